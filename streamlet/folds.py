"""The aggregates behind `streamlet.aggregates`: how each folds, merges and gives its result."""

from __future__ import annotations

import heapq
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, ClassVar, Final, TypeAlias

from streamlet.errors import ConfigError
from streamlet.selectors import Selector, compile_batch_selector

Rows: TypeAlias = Iterable[list[Any]]
"""Rows of accumulators, one entry for each of several aggregates."""


class Aggregate(ABC):
    """Folds records into an accumulator, and the accumulator into a result."""

    __slots__ = ()

    is_result: ClassVar[bool] = False
    """Whether the accumulator is its own result, so that `result` need not be called."""

    is_replaced: ClassVar[bool] = False
    """Whether no accumulator is ever changed: `add` and `merge` give another each time."""

    is_order_free: ClassVar[bool] = False
    """Whether records may be folded in groups that are merged later, into another accumulator:
    the result is the same, and `merge` leaves both its arguments as they are."""

    @abstractmethod
    def create(self) -> Any:
        """The accumulator before the first record."""

    def parts(self, values: Sequence[Any], /) -> Iterable[Any]:
        """What `add` takes of each record of a batch; picked for all at once, which is quicker."""
        return values

    @abstractmethod
    def add(self, accumulator: Any, part: Any, /) -> Any:
        """The accumulator with one more record, of which it gets the part."""

    @abstractmethod
    def merge(self, older: Any, newer: Any, /) -> Any:
        """One accumulator for two sessions that became one; `older` starts first."""

    @abstractmethod
    def result(self, accumulator: Any, /) -> Any: ...

    def fold(self, rows: Rows, at: int, parts: Iterable[Any]) -> None:
        """Adds to entry `at` of each row its part, in order; a row may come more than once."""
        add = self.add
        for row, part in zip(rows, parts, strict=True):
            row[at] = add(row[at], part)

    def run(self, rows: Rows, at: int, parts: Iterable[Any], results: list[Any]) -> None:
        """As `fold`; appends the result as it is after each part."""
        add, result, append = self.add, self.result, results.append
        for row, part in zip(rows, parts, strict=True):
            row[at] = accumulator = add(row[at], part)
            append(result(accumulator))


def _fold_sums(rows: Rows, at: int, parts: Iterable[Any]) -> None:
    for row, part in zip(rows, parts, strict=True):
        row[at] = row[at] + part  # and not `+=`, by which a value of the user's could change


def _run_sums(rows: Rows, at: int, parts: Iterable[Any], results: list[Any]) -> None:
    append = results.append
    for row, part in zip(rows, parts, strict=True):
        row[at] = total = row[at] + part
        append(total)


def _fold_ones(rows: Rows, at: int, parts: Iterable[Any]) -> None:
    for row in rows:
        row[at] += 1


def _run_ones(rows: Rows, at: int, parts: Iterable[Any], results: list[Any]) -> None:
    append = results.append
    for row in rows:
        row[at] = count = row[at] + 1
        append(count)


class Count(Aggregate):
    __slots__ = ()

    is_result = True
    is_order_free = True
    is_replaced = True

    add = staticmethod(operator.add)
    merge = staticmethod(operator.add)
    fold = staticmethod(_fold_ones)
    run = staticmethod(_run_ones)

    def create(self) -> int:
        return 0

    def parts(self, values: Sequence[Any], /) -> Iterable[int]:
        return repeat(1, len(values))

    def result(self, accumulator: int, /) -> int:
        return accumulator


class Selecting(Aggregate):
    """Base of aggregates over a part of the record."""

    __slots__ = ("_select", "selector")

    def __init__(self, selector: Selector | None) -> None:
        self.selector = selector
        self._select = None if selector is None else compile_batch_selector(selector)

    def parts(self, values: Sequence[Any], /) -> Iterable[Any]:
        return values if self._select is None else self._select(values)


class Sum(Selecting):
    __slots__ = ()

    is_result = True
    is_order_free = True
    is_replaced = True

    add = staticmethod(operator.add)
    merge = staticmethod(operator.add)
    fold = staticmethod(_fold_sums)
    run = staticmethod(_run_sums)

    def create(self) -> Any:
        return 0

    def parts(self, values: Sequence[Any], /) -> Iterable[Any]:
        parts = super().parts(values)
        return [0 if part is None else part for part in parts] if None in parts else parts

    def result(self, accumulator: Any, /) -> Any:
        return accumulator


class Best(Selecting):
    """Base of min and max; the accumulator is the value, None before the first."""

    __slots__ = ()

    is_result = True
    is_order_free = True
    is_replaced = True

    def create(self) -> Any:
        return None

    def result(self, accumulator: Any, /) -> Any:
        return accumulator


def _fold_least(rows: Rows, at: int, parts: Iterable[Any]) -> None:
    for row, part in zip(rows, parts, strict=True):
        least = row[at]
        if least is None or (part is not None and part < least):
            row[at] = part


def _fold_greatest(rows: Rows, at: int, parts: Iterable[Any]) -> None:
    for row, part in zip(rows, parts, strict=True):
        greatest = row[at]
        if greatest is None or (part is not None and part > greatest):
            row[at] = part


class Min(Best):
    __slots__ = ()

    fold = staticmethod(_fold_least)

    def merge(self, older: Any, newer: Any, /) -> Any:
        if older is None:
            return newer
        return newer if newer is not None and newer < older else older

    add = merge


class Max(Best):
    __slots__ = ()

    fold = staticmethod(_fold_greatest)

    def merge(self, older: Any, newer: Any, /) -> Any:
        if older is None:
            return newer
        return newer if newer is not None and newer > older else older

    add = merge


class Mean(Selecting):
    """The accumulator is (total, count)."""

    __slots__ = ()

    is_order_free = True
    is_replaced = True

    def create(self) -> tuple[Any, int]:
        return 0, 0

    def add(self, accumulator: tuple[Any, int], part: Any, /) -> tuple[Any, int]:
        return accumulator if part is None else (accumulator[0] + part, accumulator[1] + 1)

    def merge(self, older: tuple[Any, int], newer: tuple[Any, int], /) -> tuple[Any, int]:
        return older[0] + newer[0], older[1] + newer[1]

    def result(self, accumulator: tuple[Any, int], /) -> Any:
        total, number = accumulator
        return total / number if number else None


class First(Selecting):
    """The accumulator is a list of at most one value."""

    __slots__ = ()

    is_replaced = True

    def create(self) -> list[Any]:
        return []

    def add(self, accumulator: list[Any], part: Any, /) -> list[Any]:
        return accumulator or [part]

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        return older or newer

    def result(self, accumulator: list[Any], /) -> Any:
        return accumulator[0] if accumulator else None


class Last(First):
    __slots__ = ()

    def add(self, accumulator: list[Any], part: Any, /) -> list[Any]:
        return [part]

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        return newer or older


class Collect(Selecting):
    __slots__ = ()

    def create(self) -> list[Any]:
        return []

    def add(self, accumulator: list[Any], part: Any, /) -> list[Any]:
        accumulator.append(part)
        return accumulator

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        return older + newer

    def result(self, accumulator: list[Any], /) -> Any:
        return list(accumulator)


class CountDistinct(Selecting):
    """The accumulator is a dict whose keys are the values."""

    __slots__ = ()

    is_order_free = True

    def create(self) -> dict[Any, None]:
        return {}

    def add(self, accumulator: dict[Any, None], part: Any, /) -> dict[Any, None]:
        if part is not None:
            accumulator[part] = None
        return accumulator

    def merge(self, older: dict[Any, None], newer: dict[Any, None], /) -> dict[Any, None]:
        return older | newer

    def result(self, accumulator: dict[Any, None], /) -> int:
        return len(accumulator)


class Quantile(Collect):
    """The accumulator is the list of values, in order of arrival."""

    __slots__ = ("_q",)

    is_order_free = True

    def __init__(self, selector: Selector | None, q: float) -> None:
        if isinstance(q, bool) or not isinstance(q, int | float) or not 0 <= q <= 1:
            raise ConfigError(f"quantile needs a q from 0 to 1, like 0.95, got {q!r}")
        super().__init__(selector)
        self._q = q

    def add(self, accumulator: list[Any], part: Any, /) -> list[Any]:
        if part is not None:
            accumulator.append(part)
        return accumulator

    def result(self, accumulator: list[Any], /) -> Any:
        if not accumulator:
            return None
        # A copy: a checkpoint may be reading the accumulator, and a list is empty while it sorts.
        values = sorted(accumulator)
        rank = (len(values) - 1) * self._q
        index = math.floor(rank)
        low, high = values[index], values[min(index + 1, len(values) - 1)]
        fraction = rank - index
        if fraction < 0.5:
            return low + (high - low) * fraction
        return high - (high - low) * (1 - fraction)


class Top(Aggregate):
    """The accumulator is [number of records so far, heap of (by, -arrival number, record)].

    The heap's least entry is the next to go: the smallest `by`, and of equal ones the latest.
    Arrival numbers are unique, so records are never compared.
    """

    __slots__ = ("_by", "_n")

    def __init__(self, n: int, by: Selector) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ConfigError(f"top needs a whole number of records from 1 on, got n={n!r}")
        self._n = n
        self._by = compile_batch_selector(by)

    def parts(self, values: Sequence[Any], /) -> Iterable[Any]:
        return zip(self._by(values), values, strict=True)

    def create(self) -> list[Any]:
        return [0, []]

    def add(self, accumulator: list[Any], part: Any, /) -> list[Any]:
        arrival, heap = accumulator
        by, value = part
        if by is None:
            return accumulator
        accumulator[0] = arrival + 1
        if len(heap) < self._n:
            heapq.heappush(heap, (by, -arrival, value))
        elif by > heap[0][0]:
            heapq.heapreplace(heap, (by, -arrival, value))
        return accumulator

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        arrivals, heap = older
        shifted = [(by, negative - arrivals, record) for by, negative, record in newer[1]]
        best = heapq.nlargest(self._n, [*heap, *shifted], key=_RANK)
        heapq.heapify(best)
        return [arrivals + newer[0], best]

    def result(self, accumulator: list[Any], /) -> list[Any]:
        return [record for _, _, record in sorted(accumulator[1], key=_RANK, reverse=True)]


_RANK: Final = operator.itemgetter(0, 1)
