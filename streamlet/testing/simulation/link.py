"""The way of messages between coordinator and worker: slow, in order, and cut by a crash."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from random import Random
from typing import Any, Final

from streamlet.runtime.machine import Post
from streamlet.runtime.messages import TaskReport
from streamlet.testing.simulation.crash_points import CrashPoints

LINK_S: Final = 0.002
"""A message takes at most so long."""
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")


class SimulatedLink:
    """One direction of the connection."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, random: Random, points: CrashPoints, deliver: Post
    ) -> None:
        self._loop = loop
        self._random = random
        self._points = points
        self._deliver = deliver
        self._under_way: deque[Any] = deque()

    def __call__(self, message: Any) -> None:
        """Sends the message."""
        self._under_way.append(message)
        self._loop.call_later(self._random.random() * LINK_S, self._arrive)

    def _arrive(self) -> None:
        # The oldest one, whichever delay is over: messages do not overtake each other.
        message = self._under_way.popleft()
        if not isinstance(message, TaskReport):  # figures for people: they change nothing
            self._points.reach(f"before-{_WORD.sub('-', type(message).__name__).lower()}-message")
        self._deliver(message)
