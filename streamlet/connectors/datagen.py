"""A source that makes its records from their index: for load, for demos, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from streamlet.clock import Clock, SystemClock
from streamlet.errors import ConfigError, note_place
from streamlet.source import PartitionedSource, PartitionReader

T = TypeVar("T")

_ONLY_PARTITION = "0"


class DataGenSource(PartitionedSource[T]):
    """A source of `fn(0), fn(1), ...`: `count` records, or without end when `count` is None.

    With `rate`, records come evenly spaced at that many per second, counted from when the reader
    opens; one that fell behind catches up. Its position is the next index, so a restored job goes
    on with the same records if `fn` depends on nothing but the index.

    >>> DataGenSource(lambda index: index * index, count=4).open_partition("0", None).poll(10)
    [0, 1, 4, 9]
    """

    name = "datagen"

    def __init__(
        self,
        fn: Callable[[int], T],
        count: int | None = None,
        rate: float | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        if not callable(fn):
            raise ConfigError(f"DataGenSource needs a function of the index, got {fn!r}")
        if count is not None and count < 0:
            raise ConfigError(f"DataGenSource: count must not be negative, got {count!r}")
        if rate is not None and not rate > 0:
            raise ConfigError(
                f"DataGenSource: rate is in records per second and must be > 0, got {rate!r}"
            )
        self._fn = fn
        self._count = count
        self._rate = rate
        self._clock = clock or SystemClock()
        self.bounded = count is not None

    def list_partitions(self) -> list[str]:
        return [_ONLY_PARTITION]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[T]:
        start = 0 if position is None else int(position)
        pace = None if self._rate is None else _Pace(self._rate, self._clock)
        return _DataGenReader(self._fn, self._count, start, pace)


class _Pace:
    """How many records are due since it was made."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._opened_s = clock.monotonic_s()
        self._given = 0

    def take(self, wanted: int) -> int:
        due = int((self._clock.monotonic_s() - self._opened_s) * self._rate) - self._given
        taken = min(wanted, max(due, 0))
        self._given += taken
        return taken


class _DataGenReader(PartitionReader[T]):
    def __init__(
        self, fn: Callable[[int], T], count: int | None, start: int, pace: _Pace | None
    ) -> None:
        self._fn = fn
        self._count = count
        self._next = start
        self._pace = pace

    def poll(self, max_records: int) -> list[T] | None:
        wanted = max_records
        if self._count is not None:
            wanted = min(wanted, self._count - self._next)
            if wanted <= 0:
                return None
        if self._pace is not None:
            wanted = self._pace.take(wanted)
        return self._make(wanted)

    def _make(self, wanted: int) -> list[T]:
        made: list[T] = []
        start = self._next
        try:
            for index in range(start, start + wanted):
                made.append(self._fn(index))  # noqa: PERF401 - its length tells the failing index
        except Exception as error:
            note_place(error, f"in the function of a DataGenSource, index {start + len(made)}")
            raise
        self._next = start + wanted
        return made

    def position(self) -> int:
        return self._next
