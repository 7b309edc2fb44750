"""Timers that come many at once, in sorted runs: for operators on columns."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Keys = npt.NDArray[Any]
"""Of int64, or of Python's objects."""

_MOST_AT_ONCE: Final = 8_192


class TimerRuns:
    """Timers as (timestamp, key); the same one may be there twice.

    >>> runs = TimerRuns()
    >>> runs.register(np.array([30, 10, 20]), np.array([7, 5, 6]))
    >>> [keys.tolist() for keys in runs.pop_due(20)], runs.pop_due(20)
    ([[5, 6]], [])
    """

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, _Run]] = []
        """By the first time that is left; numbers keep apart runs of the same time."""
        self._numbers = count()

    def register(self, times: Times, keys: Keys) -> None:
        """Adds a timer for each key."""
        if not len(times):
            return
        order = np.argsort(times, kind="stable")
        run = _Run(times[order], keys[order])
        heapq.heappush(self._heap, (run.first_ms(), next(self._numbers), run))

    def limit_ms(self, limit_ms: int) -> int:
        """A time up to which, if possible, not more are due than should fire at once."""
        due = list(self._due_runs(limit_ms))
        while sum(run.due(limit_ms) for run in due) > _MOST_AT_ONCE:
            first_ms = self._heap[0][0]
            if first_ms == limit_ms:
                break
            limit_ms = (first_ms + limit_ms) // 2
        return limit_ms

    def _due_runs(self, limit_ms: int) -> Iterator[_Run]:
        """Looks at no others: in a heap nothing comes before its parent."""
        positions = [0]
        while positions:
            at = positions.pop()
            if at < len(self._heap) and self._heap[at][0] <= limit_ms:
                yield self._heap[at][2]
                positions += (2 * at + 1, 2 * at + 2)

    def has_due(self, limit_ms: int) -> bool:
        """Whether there are timers up to this time."""
        return bool(self._heap) and self._heap[0][0] <= limit_ms

    def pop_due(self, limit_ms: int) -> list[Keys]:
        """Removes timers up to this time, as many as should fire at once; gives their keys."""
        keys: list[Keys] = []
        room = _MOST_AT_ONCE
        while room and self.has_due(limit_ms):
            _, number, run = self._heap[0]
            keys.append(run.pop_due(limit_ms, room))
            room -= len(keys[-1])
            if run.is_over():
                heapq.heappop(self._heap)
            else:
                heapq.heapreplace(self._heap, (run.first_ms(), number, run))
        return keys


class _Run:
    """Times, ascending, and beside them the keys; what is before `_next` has fired."""

    __slots__ = ("_keys", "_next", "_times")

    def __init__(self, times: Times, keys: Keys) -> None:
        self._times = times
        self._keys = keys
        self._next = 0

    def first_ms(self) -> int:
        return int(self._times[self._next])

    def is_over(self) -> bool:
        return self._next == len(self._keys)

    def due(self, limit_ms: int) -> int:
        """How many are due."""
        return int(np.searchsorted(self._times, limit_ms, side="right")) - self._next

    def pop_due(self, limit_ms: int, most: int) -> Keys:
        start, self._next = self._next, self._next + min(self.due(limit_ms), most)
        due = self._keys[start : self._next].copy()
        if due.dtype == object:
            # Not when the run is over: to free all its keys at once would stall the loop.
            self._keys[start : self._next] = None
        if self._next * 2 > len(self._keys):  # the last timers may be far off
            self._keys = self._keys[self._next :].copy()
            self._times, self._next = self._times[self._next :].copy(), 0
        return due
