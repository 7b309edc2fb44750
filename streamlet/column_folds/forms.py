"""The column form of an aggregate, and those of count, first and last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from streamlet.column_folds.groups import GroupedRows
from streamlet.column_folds.kept import INTS, OBJECTS, Kept, Older, kept_array, objects
from streamlet.columns import values_of
from streamlet.folds import Aggregate, Last, Selecting

Running: TypeAlias = tuple[pa.Array, Kept]
"""For each row the result after it, and for each group the accumulator after all rows."""


class FoldForm(ABC):
    """How one aggregate folds batches of columns of one schema.

    It leaves what is older as it is. None is the answer where columns cannot give what
    `Aggregate.add` gives row by row, an error perhaps.
    """

    merges: bool = True
    """Whether folding rows afresh and merging comes to the same as folding them on top."""

    def __init__(self, aggregate: Aggregate, dtype: np.dtype[Any]) -> None:
        self.aggregate = aggregate
        self.dtype = dtype
        """What keeps the accumulators; where one of them is of another kind, it is objects."""

    @abstractmethod
    def fold(self, rows: GroupedRows, older: Older) -> Kept | None:
        """One accumulator per group, as it is after all rows."""

    @abstractmethod
    def running(self, rows: GroupedRows, older: Older) -> Running | None:
        """The same with the result after each row."""

    def results(self, kept: Kept) -> pa.Array | None:
        """What the aggregate gives for each accumulator; None: Arrow cannot hold that."""
        results = None if kept.dtype == OBJECTS else self.results_at_once(kept)
        if results is not None:
            return results
        return as_array(list(map(self.aggregate.result, kept.tolist())))

    def results_at_once(self, kept: Kept) -> pa.Array | None:
        """As `results`, of what is no objects; None if that might differ from one by one."""
        return pa.array(kept.copy())  # or else they would share memory, and `kept` may change


class CountForm(FoldForm):
    def __init__(self, aggregate: Aggregate, schema: pa.Schema) -> None:
        super().__init__(aggregate, INTS)

    def fold(self, rows: GroupedRows, older: Older) -> Kept | None:
        typed = older.typed(self.dtype, 0)
        return None if typed is None else typed.kept + rows.groups.sizes

    def running(self, rows: GroupedRows, older: Older) -> Running | None:
        newer = self.fold(rows, older)
        if newer is None:
            return None
        groups = rows.groups
        counts = np.arange(1, len(groups.codes) + 1)
        counts += groups.in_order(newer - groups.sizes - groups.starts)
        return pa.array(groups.as_they_came(counts)), newer


class FieldForm(FoldForm):
    """Base of aggregates over one column: all groups at once if it can, else value by value."""

    def __init__(self, aggregate: Selecting, dtype: np.dtype[Any]) -> None:
        super().__init__(aggregate, dtype)
        self.field = str(aggregate.selector)
        self._of_values = type(aggregate)(None)

    def fold(self, rows: GroupedRows, older: Older) -> Kept | None:
        folded = self.fold_at_once(rows, older)
        return self._by_value(rows, older, None) if folded is None else folded

    def running(self, rows: GroupedRows, older: Older) -> Running | None:
        running = self.running_at_once(rows, older)
        if running is not None:
            return running
        results: list[Any] = []
        newer = self._by_value(rows, older, results)
        array = as_array(results)
        return None if newer is None or array is None else (array, newer)

    @abstractmethod
    def fold_at_once(self, rows: GroupedRows, older: Older) -> Kept | None:
        """As `fold`; None if that might differ from taking value by value."""

    @abstractmethod
    def running_at_once(self, rows: GroupedRows, older: Older) -> Running | None:
        """As `running`; None if that might differ from taking value by value."""

    def _by_value(self, rows: GroupedRows, older: Older, results: list[Any] | None) -> Kept | None:
        """Without the records around the values, yet the aggregate's own way."""
        accumulators = [[each] for each in older.accumulators(self.aggregate.create())]
        row_by_row = map(accumulators.__getitem__, rows.groups.codes.tolist())
        try:
            parts = self._of_values.parts(values_of(rows.values(self.field)))
            if results is None:
                self._of_values.fold(row_by_row, 0, parts)
            else:
                self._of_values.run(row_by_row, 0, parts, results)
        except Exception:  # whatever it is, rows say it with the record
            return None
        return kept_array([accumulator for [accumulator] in accumulators], self.dtype)


class PickForm(FieldForm):
    """First and last; they take nulls, too."""

    merges = False

    def __init__(self, aggregate: Selecting, schema: pa.Schema) -> None:
        super().__init__(aggregate, OBJECTS)

    def fold_at_once(self, rows: GroupedRows, older: Older) -> Kept:
        groups, is_last = rows.groups, isinstance(self.aggregate, Last)
        picked = groups.last_rows if is_last else groups.first_rows
        has_rows = groups.sizes > 0
        values = iter(values_of(rows.values(self.field).take(pa.array(picked[has_rows]))))
        newer = [[next(values)] if has_row else [] for has_row in has_rows.tolist()]
        accumulators = older.accumulators(self.aggregate.create())
        return objects(list(map(self.aggregate.merge, accumulators, newer)))

    def running_at_once(self, rows: GroupedRows, older: Older) -> Running | None:
        newer = self.fold_at_once(rows, older)
        if isinstance(self.aggregate, Last):
            results = as_array(values_of(rows.values(self.field)))
        else:
            firsts = self.results(newer)
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
