"""Named aggregates for `.agg(...)`: `from streamlet import aggregates as agg`.

Without a selector an aggregate takes the record itself. `sum`, `min`, `max`, `mean`, `quantile`
and `count_distinct` step over None, as SQL does, and give None (`sum`: 0) when nothing else came;
`count`, `first`, `last` and `collect` take every record.

An accumulator belongs to one key (and window) and may be changed in place by `add` and `merge`; it
consists of what state can keep. Results share no container with it, but may hold the same records,
which nobody may change.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from streamlet.errors import GraphError
from streamlet.folds import (
    Aggregate,
    Collect,
    Count,
    CountDistinct,
    First,
    Last,
    Max,
    Mean,
    Min,
    Quantile,
    Sum,
    Top,
)
from streamlet.row_builder import RowBuilder, row_builder
from streamlet.selectors import Selector


def count() -> Aggregate:
    """The number of records."""
    return Count()


def sum(selector: Selector | None = None) -> Aggregate:  # noqa: A001 - api.md names
    """The sum: of ints an int of any size; floats are added as they come."""
    return Sum(selector)


def min(selector: Selector | None = None) -> Aggregate:  # noqa: A001 - api.md names
    """The least value; of equal ones the first."""
    return Min(selector)


def max(selector: Selector | None = None) -> Aggregate:  # noqa: A001 - api.md names
    """The greatest value; of equal ones the first."""
    return Max(selector)


def mean(selector: Selector | None = None) -> Aggregate:
    """The arithmetic mean."""
    return Mean(selector)


def first(selector: Selector | None = None) -> Aggregate:
    """The value that came first; of merged sessions, that of the earlier one."""
    return First(selector)


def last(selector: Selector | None = None) -> Aggregate:
    """The value that came last; of merged sessions, that of the later one."""
    return Last(selector)


def collect(selector: Selector | None = None) -> Aggregate:
    """All values in a list, in order of arrival; memory grows with their number."""
    return Collect(selector)


def count_distinct(selector: Selector | None = None) -> Aggregate:
    """How many different values there were; memory grows with that number."""
    return CountDistinct(selector)


def quantile(selector: Selector | None, q: float) -> Aggregate:
    """The exact quantile, 0 <= q <= 1, interpolated between the two nearest values.

    Memory grows with the number of values, and each result sorts them.
    """
    return Quantile(selector, q)


def top(n: int, by: Selector) -> Aggregate:
    """The list of the n records with the greatest `by`, greatest first, ties by arrival.

    Records whose `by` is None are stepped over.
    """
    return Top(n, by)


Adder: TypeAlias = Callable[[list[Any], Any], list[Any]]
Column: TypeAlias = Sequence[Any]


class NamedAggregates:
    """Several aggregates over the same records; the accumulator is a list, one entry for each.

    >>> named = NamedAggregates({"bids": count(), "total": sum("price")})
    >>> [parts] = named.parts([{"price": 7}])
    >>> named.result(named.add(named.create(), parts))
    {'bids': 1, 'total': 7}
    """

    __slots__ = ("_is_result", "add", "aggregates", "is_order_free", "is_replaced", "names")

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
        self.aggregates = tuple(named.values())
        self._is_result = all(aggregate.is_result for aggregate in self.aggregates)
        self.is_order_free = all(aggregate.is_order_free for aggregate in self.aggregates)
        """Whether groups of records may be folded apart; see `Aggregate.is_order_free`."""
        self.is_replaced = all(aggregate.is_replaced for aggregate in self.aggregates)
        """Whether `list(accumulator)` shares nothing with it that ever changes."""
        self.add = _adder([aggregate.add for aggregate in self.aggregates])
        """(accumulator, parts) -> the same accumulator, now with one more record."""

    def create(self) -> list[Any]:
        """The accumulator before the first record."""
        return [aggregate.create() for aggregate in self.aggregates]

    def parts(self, values: Sequence[Any], /) -> list[Any]:
        """Per record of a batch what `add` takes."""
        columns = self.columns(values)
        return list(columns[0]) if len(columns) == 1 else list(zip(*columns, strict=True))

    def columns(self, values: Sequence[Any], /) -> list[Iterable[Any]]:
        """Per aggregate what it takes of the records of a batch."""
        return [aggregate.parts(values) for aggregate in self.aggregates]

    def run(
        self,
        accumulators: Sequence[list[Any]],
        columns: Sequence[Iterable[Any]],
        results: list[list[Any]],
    ) -> None:
        """Adds each record to the accumulator at its position, which is that of its key, in order.

        Appends to `results` a list per aggregate: what it gives after each record. Upon an error
        the last one is as long as there were records without.
        """
        for at, aggregate in enumerate(self.aggregates):
            results.append([])
            aggregate.run(accumulators, at, columns[at], results[at])

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        """One accumulator for two sessions that became one; `older` starts first."""
        parts = zip(self.aggregates, older, newer, strict=True)
        return [aggregate.merge(a, b) for aggregate, a, b in parts]

    def merge_all(self, older: Sequence[list[Any]], newer: Collection[list[Any]], /) -> None:
        """Merges into each of `older`, in place, the one at its position in `newer`."""
        for at, aggregate in enumerate(self.aggregates):
            merge = aggregate.merge
            for into, accumulator in zip(older, newer, strict=True):
                into[at] = merge(into[at], accumulator[at])

    def result(self, accumulator: list[Any], /) -> dict[str, Any]:
        """One entry per name, in the order in which they were given."""
        [row] = self.row_builder(())(*self.results([accumulator]))
        return row

    def results(self, accumulators: Sequence[list[Any]], /) -> list[Column]:
        """Per aggregate the results of all accumulators, as `row_builder` takes them."""
        columns = list(zip(*accumulators, strict=True))
        if self._is_result:
            return list(columns)
        return [list(map(a.result, c)) for a, c in zip(self.aggregates, columns, strict=True)]

    def row_builder(self, leading: tuple[str, ...]) -> RowBuilder:
        """A function from columns, those of the leading entries first, to a dict per row."""
        return row_builder((*leading, *self.names))


def _adder(adds: list[Callable[[Any, Any], Any]]) -> Adder:
    """Adds part by part; without a loop where there are one or two, as there mostly are."""
    first, last = adds[0], adds[-1]

    def add_one(accumulator: list[Any], part: Any) -> list[Any]:
        accumulator[0] = first(accumulator[0], part)
        return accumulator

    def add_two(accumulator: list[Any], parts: Any) -> list[Any]:
        accumulator[0] = first(accumulator[0], parts[0])
        accumulator[1] = last(accumulator[1], parts[1])
        return accumulator

    def add_all(accumulator: list[Any], parts: Any) -> list[Any]:
        accumulator[:] = map(operator.call, adds, accumulator, parts)
        return accumulator

    return {1: add_one, 2: add_two}.get(len(adds), add_all)
