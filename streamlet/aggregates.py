"""Named aggregates for `.agg(...)`: `from streamlet import aggregates as agg`.

Without a selector an aggregate takes the record itself. `sum`, `min`, `max`, `mean`, `quantile`
and `count_distinct` step over None, as SQL does, and give None (`sum`: 0) when nothing else came;
`count`, `first`, `last` and `collect` take every record.

An accumulator belongs to one key (and window) and may be changed in place by `add` and `merge`; it
consists of what state can keep. Results never share anything changeable with it.
"""

from __future__ import annotations

import builtins
import heapq
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Final

from streamlet.errors import ConfigError, GraphError
from streamlet.selectors import Selector, compile_selector


class Aggregate(ABC):
    """Folds records into an accumulator, and the accumulator into a result."""

    __slots__ = ()

    @abstractmethod
    def create(self) -> Any:
        """The accumulator before the first record."""

    @abstractmethod
    def add(self, accumulator: Any, value: Any, /) -> Any:
        """The accumulator with one more record."""

    @abstractmethod
    def merge(self, older: Any, newer: Any, /) -> Any:
        """One accumulator for two sessions that became one; `older` starts first."""

    @abstractmethod
    def result(self, accumulator: Any, /) -> Any: ...


class NamedAggregates:
    """Several aggregates over the same records; the accumulator is a list, one entry for each.

    >>> named = NamedAggregates({"bids": count(), "total": sum("price")})
    >>> named.result(named.add(named.create(), {"price": 7}))
    {'bids': 1, 'total': 7}
    """

    __slots__ = ("_adds", "_aggregates", "names")

    def __init__(self, named: Mapping[str, Aggregate]) -> None:
        if not named:
            raise GraphError("agg() got no aggregate; write it like .agg(bids=agg.count())")
        for name, aggregate in named.items():
            if not isinstance(aggregate, Aggregate):
                raise GraphError(
                    f"agg({name}=...) got {aggregate!r}, which is no aggregate; write it like "
                    f'{name}=agg.count() or {name}=agg.sum("price"), with '
                    "`from streamlet import aggregates as agg`"
                )
        self.names = tuple(named)
        self._aggregates = tuple(named.values())
        self._adds = tuple(enumerate(aggregate.add for aggregate in self._aggregates))

    def create(self) -> list[Any]:
        """The accumulator before the first record."""
        return [aggregate.create() for aggregate in self._aggregates]

    def add(self, accumulator: list[Any], value: Any, /) -> list[Any]:
        """Changes the accumulator, and gives it back."""
        for index, add in self._adds:
            accumulator[index] = add(accumulator[index], value)
        return accumulator

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        """One accumulator for two sessions that became one; `older` starts first."""
        parts = zip(self._aggregates, older, newer, strict=True)
        return [aggregate.merge(a, b) for aggregate, a, b in parts]

    def result(self, accumulator: list[Any], /) -> dict[str, Any]:
        """One entry per name, in the order in which they were given."""
        results = zip(self.names, self._aggregates, accumulator, strict=True)
        return {name: aggregate.result(part) for name, aggregate, part in results}


def count() -> Aggregate:
    """The number of records."""
    return _Count()


def sum(selector: Selector | None = None) -> Aggregate:  # noqa: A001 - api.md names
    """The sum: of ints an int of any size; floats are added as they come."""
    return _Sum(selector)


def min(selector: Selector | None = None) -> Aggregate:  # noqa: A001 - api.md names
    """The least value; of equal ones the first."""
    return _Min(selector)


def max(selector: Selector | None = None) -> Aggregate:  # noqa: A001 - api.md names
    """The greatest value; of equal ones the first."""
    return _Max(selector)


def mean(selector: Selector | None = None) -> Aggregate:
    """The arithmetic mean."""
    return _Mean(selector)


def first(selector: Selector | None = None) -> Aggregate:
    """The value that came first; of merged sessions, that of the earlier one."""
    return _First(selector)


def last(selector: Selector | None = None) -> Aggregate:
    """The value that came last; of merged sessions, that of the later one."""
    return _Last(selector)


def collect(selector: Selector | None = None) -> Aggregate:
    """All values in a list, in order of arrival; memory grows with their number."""
    return _Collect(selector)


def count_distinct(selector: Selector | None = None) -> Aggregate:
    """How many different values there were; memory grows with that number."""
    return _CountDistinct(selector)


def quantile(selector: Selector | None, q: float) -> Aggregate:
    """The exact quantile, 0 <= q <= 1, interpolated between the two nearest values.

    Memory grows with the number of values, and each result sorts them.
    """
    return _Quantile(selector, q)


def top(n: int, by: Selector) -> Aggregate:
    """The list of the n records with the greatest `by`, greatest first, ties by arrival.

    Records whose `by` is None are stepped over.
    """
    return _Top(n, by)


class _Count(Aggregate):
    __slots__ = ()

    def create(self) -> int:
        return 0

    def add(self, accumulator: int, value: Any, /) -> int:
        return accumulator + 1

    def merge(self, older: int, newer: int, /) -> int:
        return older + newer

    def result(self, accumulator: int, /) -> int:
        return accumulator


class _Selecting(Aggregate):
    """Base of aggregates over a part of the record."""

    __slots__ = ("_select",)

    def __init__(self, selector: Selector | None) -> None:
        self._select = _whole_record if selector is None else compile_selector(selector)


def _whole_record(record: Any) -> Any:
    return record


class _Sum(_Selecting):
    __slots__ = ()

    def create(self) -> Any:
        return 0

    def add(self, accumulator: Any, value: Any, /) -> Any:
        part = self._select(value)
        return accumulator if part is None else accumulator + part

    def merge(self, older: Any, newer: Any, /) -> Any:
        return older + newer

    def result(self, accumulator: Any, /) -> Any:
        return accumulator


class _Best(_Selecting):
    """Base of min and max; the accumulator is the value, None before the first."""

    __slots__ = ()

    def create(self) -> Any:
        return None

    def add(self, accumulator: Any, value: Any, /) -> Any:
        return self.merge(accumulator, self._select(value))

    def result(self, accumulator: Any, /) -> Any:
        return accumulator


class _Min(_Best):
    __slots__ = ()

    def merge(self, older: Any, newer: Any, /) -> Any:
        if older is None:
            return newer
        return newer if newer is not None and newer < older else older


class _Max(_Best):
    __slots__ = ()

    def merge(self, older: Any, newer: Any, /) -> Any:
        if older is None:
            return newer
        return newer if newer is not None and newer > older else older


class _Mean(_Selecting):
    """The accumulator is (total, count)."""

    __slots__ = ()

    def create(self) -> tuple[Any, int]:
        return 0, 0

    def add(self, accumulator: tuple[Any, int], value: Any, /) -> tuple[Any, int]:
        part = self._select(value)
        return accumulator if part is None else (accumulator[0] + part, accumulator[1] + 1)

    def merge(self, older: tuple[Any, int], newer: tuple[Any, int], /) -> tuple[Any, int]:
        return older[0] + newer[0], older[1] + newer[1]

    def result(self, accumulator: tuple[Any, int], /) -> Any:
        total, number = accumulator
        return total / number if number else None


class _First(_Selecting):
    """The accumulator is a list of at most one value."""

    __slots__ = ()

    def create(self) -> list[Any]:
        return []

    def add(self, accumulator: list[Any], value: Any, /) -> list[Any]:
        return accumulator or [self._select(value)]

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        return older or newer

    def result(self, accumulator: list[Any], /) -> Any:
        return accumulator[0] if accumulator else None


class _Last(_First):
    __slots__ = ()

    def add(self, accumulator: list[Any], value: Any, /) -> list[Any]:
        return [self._select(value)]

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        return newer or older


class _Collect(_Selecting):
    __slots__ = ()

    def create(self) -> list[Any]:
        return []

    def add(self, accumulator: list[Any], value: Any, /) -> list[Any]:
        accumulator.append(self._select(value))
        return accumulator

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        return older + newer

    def result(self, accumulator: list[Any], /) -> Any:
        return list(accumulator)


class _CountDistinct(_Selecting):
    """The accumulator is a dict whose keys are the values."""

    __slots__ = ()

    def create(self) -> dict[Any, None]:
        return {}

    def add(self, accumulator: dict[Any, None], value: Any, /) -> dict[Any, None]:
        part = self._select(value)
        if part is not None:
            accumulator[part] = None
        return accumulator

    def merge(self, older: dict[Any, None], newer: dict[Any, None], /) -> dict[Any, None]:
        return older | newer

    def result(self, accumulator: dict[Any, None], /) -> int:
        return len(accumulator)


class _Quantile(_Collect):
    """The accumulator is the list of values, in order of arrival."""

    __slots__ = ("_q",)

    def __init__(self, selector: Selector | None, q: float) -> None:
        if isinstance(q, bool) or not isinstance(q, int | float) or not 0 <= q <= 1:
            raise ConfigError(f"quantile needs a q from 0 to 1, like 0.95, got {q!r}")
        super().__init__(selector)
        self._q = q

    def add(self, accumulator: list[Any], value: Any, /) -> list[Any]:
        part = self._select(value)
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
        low, high = values[index], values[builtins.min(index + 1, len(values) - 1)]
        fraction = rank - index
        if fraction < 0.5:
            return low + (high - low) * fraction
        return high - (high - low) * (1 - fraction)


class _Top(Aggregate):
    """The accumulator is [number of records so far, heap of (by, -arrival number, record)].

    The heap's least entry is the next to go: the smallest `by`, and of equal ones the latest.
    Arrival numbers are unique, so records are never compared.
    """

    __slots__ = ("_by", "_n")

    def __init__(self, n: int, by: Selector) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ConfigError(f"top needs a whole number of records from 1 on, got n={n!r}")
        self._n = n
        self._by = compile_selector(by)

    def create(self) -> list[Any]:
        return [0, []]

    def add(self, accumulator: list[Any], value: Any, /) -> list[Any]:
        arrival, heap = accumulator
        by = self._by(value)
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


_RANK: Final = itemgetter(0, 1)
