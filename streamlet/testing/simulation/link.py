"""The way of messages between coordinator and worker: slow, in order, and cut by a crash."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from random import Random
from typing import Any, Final

from streamlet.runtime.machine import Post
from streamlet.runtime.messages import CheckpointAborted, CheckpointComplete, TaskReport
from streamlet.testing.simulation.crash_points import CrashPoints

LINK_S: Final = 0.002
"""A message takes at most so long."""
LATE_S: Final = 0.06
"""A late notice is overtaken by messages of a checkpoint or two."""
_WORD: Final = re.compile(r"(?<!^)(?=[A-Z])")


class SimulatedLink:
    """One direction of the connection.

    Every message arrives, in order. Only notices of checkpoints are best effort (CP-30), and
    `loses_notices` makes the worst of that: each is lost, late, doubled or left as it is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        random: Random,
        points: CrashPoints,
        deliver: Post,
        *,
        loses_notices: bool = False,
    ) -> None:
        self._loop = loop
        self._random = random
        self._points = points
        self._deliver = deliver
        self._loses_notices = loses_notices
        self._under_way: deque[Any] = deque()

    def __call__(self, message: Any) -> None:
        """Sends the message."""
        copies = 1
        if self._loses_notices and isinstance(message, CheckpointComplete | CheckpointAborted):
            late, copies = self._random.choice(((0, 0), (1, 0), (1, 1), (0, 1), (0, 2)))
            for _ in range(late):
                self._loop.call_later(self._random.random() * LATE_S, self._arrive, message)
        for _ in range(copies):
            self._under_way.append(message)
            self._loop.call_later(self._random.random() * LINK_S, self._arrive_in_order)

    def _arrive_in_order(self) -> None:
        # The oldest one, whichever delay is over: messages do not overtake each other.
        self._arrive(self._under_way.popleft())

    def _arrive(self, message: Any) -> None:
        if not isinstance(message, TaskReport):  # figures for people: they change nothing
            self._points.reach(f"before-{_WORD.sub('-', type(message).__name__).lower()}-message")
        self._deliver(message)
