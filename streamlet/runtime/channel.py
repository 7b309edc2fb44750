"""Bounded channels between tasks: a full one makes its sender wait, which is backpressure."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from streamlet.elements import Element

CAPACITY: Final = 2
"""Elements, nearly all of them batches, that may wait in one channel. What waits there waits before
every barrier, and on one loop a longer queue makes nothing faster."""


class Channel:
    """From one subtask to one other, in order."""

    __slots__ = ("_capacity", "_elements", "_has_room", "_wake")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._elements: deque[Element] = deque()
        self._capacity = capacity
        self._has_room = asyncio.Event()
        self._wake: Callable[[], None] = lambda: None

    def on_element(self, wake: Callable[[], None]) -> None:
        """Whom to wake when something arrives."""
        self._wake = wake

    async def send(self, element: Element) -> None:
        """Adds the element, once there is room."""
        while len(self._elements) >= self._capacity:
            self._has_room.clear()
            await self._has_room.wait()
        self._elements.append(element)
        self._wake()

    def receive_nowait(self) -> Element:
        """The oldest element; IndexError if there is none."""
        element = self._elements.popleft()
        self._has_room.set()
        return element

    def __len__(self) -> int:
        return len(self._elements)


class InputGate:
    """The channels into one task, read in turn."""

    def __init__(self, channels: Sequence[Channel], is_blocked: Callable[[int], bool]) -> None:
        self.channels = channels
        self._is_blocked = is_blocked
        self._next = 0

    def poll(self) -> tuple[int, Element] | None:
        """The next element of a channel that may be read, and the channel's index."""
        count = len(self.channels)
        for step in range(count):
            index = (self._next + step) % count
            if len(self.channels[index]) and not self._is_blocked(index):
                self._next = (index + 1) % count
                return index, self.channels[index].receive_nowait()
        return None
