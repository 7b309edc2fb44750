"""The column form of an aggregate, and those of count, first and last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from operator import add
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from streamlet.column_folds.groups import GroupedRows
from streamlet.columns import values_of
from streamlet.folds import Aggregate, Last, Selecting

Running: TypeAlias = tuple[pa.Array, list[Any]]
"""For each row the result after it, and for each group the accumulator after all rows."""


class FoldForm(ABC):
    """How one aggregate folds batches of columns of one schema.

    `older` holds one accumulator per group and is left as it is. None is the answer where columns
    cannot give what `Aggregate.add` gives row by row, an error perhaps.
    """

    merges: bool = True
    """Whether folding rows afresh and merging comes to the same as folding them on top."""

    @abstractmethod
    def fold(self, rows: GroupedRows, older: list[Any]) -> list[Any] | None:
        """One accumulator per group, as it is after all rows."""

    @abstractmethod
    def running(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        """The same with the result after each row."""


class CountForm(FoldForm):
    def __init__(self, aggregate: Aggregate, schema: pa.Schema) -> None:
        pass

    def fold(self, rows: GroupedRows, older: list[Any]) -> list[Any]:
        return list(map(add, older, rows.groups.sizes.tolist()))

    def running(self, rows: GroupedRows, older: list[Any]) -> Running:
        groups = rows.groups
        counts = np.arange(1, len(groups.codes) + 1)
        counts += groups.in_order(np.array(older, np.int64) - groups.starts)
        return pa.array(groups.as_they_came(counts)), self.fold(rows, older)


class FieldForm(FoldForm):
    """Base of aggregates over one column: all groups at once if it can, else value by value."""

    def __init__(self, aggregate: Selecting, schema: pa.Schema) -> None:
        self.aggregate = aggregate
        self.field = str(aggregate.selector)
        self._of_values = type(aggregate)(None)

    def fold(self, rows: GroupedRows, older: list[Any]) -> list[Any] | None:
        folded = self.fold_at_once(rows, older)
        return self._one_by_one(rows, older, None) if folded is None else folded

    def running(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        running = self.running_at_once(rows, older)
        if running is not None:
            return running
        results: list[Any] = []
        newer = self._one_by_one(rows, older, results)
        array = as_array(results)
        return None if newer is None or array is None else (array, newer)

    @abstractmethod
    def fold_at_once(self, rows: GroupedRows, older: list[Any]) -> list[Any] | None:
        """As `fold`; None if that might differ from taking value by value."""

    @abstractmethod
    def running_at_once(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        """As `running`; None if that might differ from taking value by value."""

    def _one_by_one(
        self, rows: GroupedRows, older: list[Any], results: list[Any] | None
    ) -> list[Any] | None:
        """Without the records around the values, yet the aggregate's own way."""
        accumulators = [[accumulator] for accumulator in older]
        row_by_row = map(accumulators.__getitem__, rows.groups.codes.tolist())
        try:
            parts = self._of_values.parts(values_of(rows.values(self.field)))
            if results is None:
                self._of_values.fold(row_by_row, 0, parts)
            else:
                self._of_values.run(row_by_row, 0, parts, results)
        except Exception:  # whatever it is, rows say it with the record
            return None
        return [accumulator for [accumulator] in accumulators]


class PickForm(FieldForm):
    """First and last; they take nulls, too."""

    def fold_at_once(self, rows: GroupedRows, older: list[Any]) -> list[Any]:
        groups, is_last = rows.groups, isinstance(self.aggregate, Last)
        picked = groups.last_rows if is_last else groups.first_rows
        has_rows = groups.sizes > 0
        values = iter(values_of(rows.values(self.field).take(pa.array(picked[has_rows]))))
        newer = [[next(values)] if has_row else [] for has_row in has_rows.tolist()]
        return list(map(self.aggregate.merge, older, newer))

    def running_at_once(self, rows: GroupedRows, older: list[Any]) -> Running | None:
        newer = self.fold_at_once(rows, older)
        if isinstance(self.aggregate, Last):
            results = as_array(values_of(rows.values(self.field)))
        else:
            firsts = as_array([first[0] if first else None for first in newer])
            results = None if firsts is None else firsts.take(pa.array(rows.groups.codes))
        return None if results is None else (results, newer)


def as_array(values: Sequence[Any]) -> pa.Array | None:
    """The values as a column that gives the very same back; None where there is none."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values))
    kind = kinds.pop()
    if kinds or kind not in _ARROW_TYPES:
        return None
    try:
        return pa.array(values, _ARROW_TYPES[kind]())
    except (OverflowError, UnicodeEncodeError):  # an int beyond 64 bits, a lone surrogate
        return None


def as_arrays(columns: Iterable[Sequence[Any]]) -> list[pa.Array] | None:
    """All of them as columns; None where one of them has none."""
    arrays = []
    for values in columns:
        array = as_array(values)
        if array is None:
            return None
        arrays.append(array)
    return arrays


_ARROW_TYPES: Final = {
    bool: pa.bool_, int: pa.int64, float: pa.float64, str: pa.string, bytes: pa.binary
}  # fmt: skip
