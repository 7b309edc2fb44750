"""The timers of one time domain, in memory, in the order in which they fire."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final


class TimerQueue:
    """Timers, identified by (timestamp, key); a key is any hashable, None included.

    Equal timestamps fire in the order of registration. Timers may be registered and deleted
    between two pops: what is due then fires within the same advance (TM-5).

    A heap orders the distinct timestamps only, and each points at its keys, so that a million
    timers on a thousand timestamps cost a thousand heap entries.
    """

    __slots__ = ("_abandoned", "_firing", "_heap", "_keys_at", "_size")

    def __init__(self) -> None:
        # Each timestamp in `_keys_at` or `_firing` stands in the heap exactly once.
        self._heap: list[int] = []
        self._keys_at: dict[int, Any] = {}  # a key itself, several as _Keys, or _NO_KEY
        self._firing: dict[int, _Firing] = {}
        self._abandoned = 0  # how many timestamps point at _NO_KEY
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """All timers, in no promised order; the queue must not change meanwhile."""
        for timestamp, firing in self._firing.items():
            for key in firing.keys:
                yield timestamp, key
        for timestamp, keys in self._keys_at.items():
            if type(keys) is _Keys:
                for key in keys:
                    yield timestamp, key
            elif keys is not _NO_KEY:
                yield timestamp, keys

    def register(self, timestamp: int, key: Any) -> bool:
        """Adds the timer; False when it is there already (TM-1)."""
        firing = self._firing.get(timestamp) if self._firing else None
        if firing is not None and key in firing.keys:
            return False
        keys = self._keys_at.get(timestamp, _ABSENT)
        if type(keys) is _Keys:
            if key in keys:
                return False
            keys[key] = None
        elif keys is _ABSENT or keys is _NO_KEY:
            self._keys_at[timestamp] = key
            if keys is _NO_KEY:
                self._abandoned -= 1
            elif firing is None:
                heapq.heappush(self._heap, timestamp)
        elif keys is key or keys == key:
            return False
        else:
            self._keys_at[timestamp] = _Keys({keys: None, key: None})
        self._size += 1
        return True

    def delete(self, timestamp: int, key: Any) -> bool:
        """Removes the timer; False when there is none (TM-7)."""
        firing = self._firing.get(timestamp) if self._firing else None
        if firing is not None and key in firing.keys:
            del firing.keys[key]
            self._size -= 1
            return True
        keys = self._keys_at.get(timestamp, _ABSENT)
        if type(keys) is _Keys:
            if key not in keys:
                return False
            del keys[key]
            if not keys:
                self._abandon(timestamp)
        elif keys is not _ABSENT and keys is not _NO_KEY and (keys is key or keys == key):
            self._abandon(timestamp)
        else:
            return False
        self._size -= 1
        return True

    def pop_due(self, limit_ms: int) -> tuple[int, Any] | None:
        """Removes and gives the earliest timer with timestamp <= limit; None: no more (TM-2)."""
        heap, firing_at = self._heap, self._firing
        while heap and heap[0] <= limit_ms:
            timestamp = heap[0]
            firing = firing_at.get(timestamp) if firing_at else None
            if firing is not None:
                for key in firing.order:
                    if key in firing.keys:
                        del firing.keys[key]
                        self._size -= 1
                        return timestamp, key
                del firing_at[timestamp]
            # What was registered while the timestamp fired is here, behind all that fired.
            keys = self._keys_at.pop(timestamp, _ABSENT)
            if type(keys) is _Keys:
                firing_at[timestamp] = _Firing(keys)
                continue
            heapq.heappop(heap)
            if keys is _NO_KEY:
                self._abandoned -= 1
            elif keys is not _ABSENT:
                self._size -= 1
                return timestamp, keys
        return None

    def pop_all_due(self, limit_ms: int, most: int) -> tuple[list[Any], int]:
        """The keys of so many timers that are due, or of all, as `pop_due` gives them one by one.

        And the time up to which no more are due: the limit, or that of the last one, at which there
        may be others.
        """
        heap, keys_at, keys = self._heap, self._keys_at, list[Any]()
        append = keys.append
        while heap and (timestamp := heap[0]) <= limit_ms:
            key = keys_at.get(timestamp, _ABSENT)
            if key is _ABSENT or key is _NO_KEY or type(key) is _Keys or self._firing:
                due = self.pop_due(limit_ms)
                if due is None:
                    break
                timestamp, key = due
            else:  # nearly always a timestamp has one
                heapq.heappop(heap)
                del keys_at[timestamp]
                self._size -= 1
            append(key)
            if len(keys) == most:
                return keys, timestamp
        return keys, limit_ms

    def next_timestamp(self) -> int | None:
        """The earliest timer's timestamp; None: there is no timer."""
        heap = self._heap
        while heap:
            timestamp = heap[0]
            firing = self._firing.get(timestamp)
            if firing is not None and firing.keys:
                return timestamp
            keys = self._keys_at.get(timestamp, _ABSENT)
            if keys is not _ABSENT and keys is not _NO_KEY:
                return timestamp
            heapq.heappop(heap)
            self._firing.pop(timestamp, None)
            if self._keys_at.pop(timestamp, None) is _NO_KEY:
                self._abandoned -= 1
        return None

    def _abandon(self, timestamp: int) -> None:
        """Leaves a timestamp without timers in the heap: taking it out would cost a search.

        Whoever moves a timer forward with each record leaves one behind each time, so they are
        swept out together once they are the majority.
        """
        self._keys_at[timestamp] = _NO_KEY
        self._abandoned += 1
        if self._abandoned > _SWEEP_FROM and self._abandoned * 2 > len(self._heap):
            kept = {at: keys for at, keys in self._keys_at.items() if keys is not _NO_KEY}
            self._keys_at, self._abandoned = kept, 0
            self._heap = list(kept.keys() | self._firing.keys())
            heapq.heapify(self._heap)


class _Sentinel:
    """A value that no user has as a key."""

    __slots__ = ()


_ABSENT: Final = _Sentinel()
_NO_KEY: Final = _Sentinel()
_SWEEP_FROM: Final = 1_000


class _Keys(dict[Any, None]):
    """The keys of one timestamp, in the order of registration."""

    __slots__ = ()


class _Firing:
    """A timestamp that is being fired: what is left, and the order in which it comes.

    Taking the first entry of a dict again and again would step over all removed ones each time.
    """

    __slots__ = ("keys", "order")

    def __init__(self, keys: _Keys) -> None:
        self.keys = keys
        self.order = iter(list(keys))
