"""The messages to the coordinator, in their order; some wait until it can do what they ask."""

from __future__ import annotations

import asyncio
from collections import deque

from streamlet.runtime.messages import ToCoordinator


class Inbox:
    """Filled by tasks, clients and signals, emptied by one coroutine."""

    def __init__(self) -> None:
        self._new: asyncio.Queue[ToCoordinator] = asyncio.Queue()
        self._put_off: deque[ToCoordinator] = deque()

    def put(self, message: ToCoordinator) -> None:
        """It comes after all that is there."""
        self._new.put_nowait(message)

    def put_off(self, message: ToCoordinator) -> None:
        """It comes before what is new, and after what was put off before it."""
        self._put_off.append(message)

    def is_empty(self) -> bool:
        return not self._put_off and self._new.empty()

    def take(self) -> ToCoordinator:
        """The next message; there is one."""
        return self._put_off.popleft() if self._put_off else self._new.get_nowait()

    async def next(self, timeout_s: float | None = None) -> ToCoordinator | None:
        """The next message; None if there is none in time (no timeout: it waits)."""
        if not self.is_empty():
            # Without a turn of the loop, which may cost as much as a slice of every task.
            return self.take()
        return await self.next_new(timeout_s)

    async def next_new(self, timeout_s: float | None = None) -> ToCoordinator | None:
        """As `next`, of those that were not put off."""
        try:
            return await asyncio.wait_for(self._new.get(), timeout_s)
        except TimeoutError:
            return None
