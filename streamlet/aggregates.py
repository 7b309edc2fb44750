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
from collections.abc import Callable, Mapping, Sequence
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


Adder: TypeAlias = Callable[[list[Any], tuple[Any, ...]], list[Any]]


class NamedAggregates:
    """Several aggregates over the same records; the accumulator is a list, one entry for each.

    >>> named = NamedAggregates({"bids": count(), "total": sum("price")})
    >>> [parts] = named.parts([{"price": 7}])
    >>> named.result(named.add(named.create(), parts))
    {'bids': 1, 'total': 7}
    """

    __slots__ = ("_aggregates", "_is_result", "add", "names")

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
        self._is_result = all(aggregate.is_result for aggregate in self._aggregates)
        self.add = _adder([aggregate.add for aggregate in self._aggregates])
        """(accumulator, parts) -> the accumulator with one more record; the one given may have
        changed."""

    def create(self) -> list[Any]:
        """The accumulator before the first record."""
        return [aggregate.create() for aggregate in self._aggregates]

    def parts(self, values: Sequence[Any], /) -> list[tuple[Any, ...]]:
        """Per record of a batch what `add` takes: one part for each aggregate."""
        columns = [aggregate.parts(values) for aggregate in self._aggregates]
        return list(zip(*columns, strict=True))

    def merge(self, older: list[Any], newer: list[Any], /) -> list[Any]:
        """One accumulator for two sessions that became one; `older` starts first."""
        parts = zip(self._aggregates, older, newer, strict=True)
        return [aggregate.merge(a, b) for aggregate, a, b in parts]

    def result(self, accumulator: list[Any], /) -> dict[str, Any]:
        """One entry per name, in the order in which they were given."""
        return self.row_maker(())((), accumulator)

    def row_maker(
        self, leading: tuple[str, ...]
    ) -> Callable[[tuple[Any, ...], list[Any]], dict[str, Any]]:
        """A function from the values of the leading entries and an accumulator to the result."""
        names = (*leading, *self.names)
        if self._is_result:
            return lambda values, accumulator: dict(zip(names, (*values, *accumulator)))  # noqa: B905 - speed

        results = [aggregate.result for aggregate in self._aggregates]
        return lambda values, accumulator: dict(
            zip(names, (*values, *map(operator.call, results, accumulator)))  # noqa: B905 - speed
        )


def _adder(adds: list[Callable[[Any, Any], Any]]) -> Adder:
    """Adds part by part; without a loop where there are one or two, as there mostly are."""
    if len(adds) == 1:
        (add,) = adds
        return lambda accumulator, parts: [add(accumulator[0], parts[0])]
    if len(adds) == 2:
        first, second = adds
        return lambda accumulator, parts: [
            first(accumulator[0], parts[0]),
            second(accumulator[1], parts[1]),
        ]
    return lambda accumulator, parts: list(map(operator.call, adds, accumulator, parts))
