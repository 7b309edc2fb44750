"""What slices hold as arrays, so that a window merges them at the speed of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.forms import as_array, as_arrays
from streamlet.column_folds.groups import Groups
from streamlet.column_folds.named import NamedFolds
from streamlet.columns import numbers_of
from streamlet.eventtime.windows import Span
from streamlet.folds import Aggregate, Count, Max, Min, Sum
from streamlet.operators.column_spans import MOST_AT_ONCE
from streamlet.state.arrays import KeyedArrays

MOST_MERGED: Final = 10 * MOST_AT_ONCE
"""Entries of all slices of a window that are merged in one go: some 20 ms."""
FORGOTTEN_FROM: Final = 4 * MOST_AT_ONCE
"""So many keys are numbered before those that no slice has any more are forgotten."""


class SliceColumns:
    """Keeps of each slice, from its first firing until it changes, its keys and accumulators.

    Only for aggregates whose accumulators are single values; `of` gives None for others.
    """

    def __init__(self, merging: NamedAggregates) -> None:
        self._merging = merging
        self._keys = _Numbered()
        self._slices: dict[Span, tuple[npt.NDArray[np.int64], pa.RecordBatch]] = {}

    @classmethod
    def of(cls, named: NamedAggregates) -> SliceColumns | None:
        """None: accumulators merge in a way of their own."""
        kinds = {type(aggregate) for aggregate in named.aggregates}
        if not kinds <= _MERGING.keys():
            return None
        merging = {
            name: _MERGING[type(aggregate)](name)
            for name, aggregate in zip(named.names, named.aggregates, strict=True)
        }
        return cls(NamedAggregates(merging))

    def forget(self, span: Span) -> None:
        """The slice changes, or is gone."""
        self._slices.pop(span, None)

    def knows(self, span: Span) -> bool:
        """Whether it has learnt what the slice holds."""
        return span in self._slices

    def learn(self, span: Span, entries: Mapping[Any, Sequence[Any]]) -> bool:
        """Takes what the slice holds; False: that cannot be had as columns."""
        if len(entries) > MOST_AT_ONCE:
            return False
        columns = as_arrays(zip(*entries.values(), strict=True))
        return columns is not None and self._learn(span, list(entries), columns)

    def learn_arrays(self, span: Span, entries: KeyedArrays) -> bool:
        """The same where it is in arrays."""
        if len(entries) > MOST_AT_ONCE:
            return False
        keys, parts = entries.columns()
        columns = [
            as_array(part.tolist()) if part.dtype == object else pa.array(part.copy())
            for part in parts
        ]
        return None not in columns and self._learn(span, keys, columns)

    def _learn(self, span: Span, keys: list[Any], columns: list[pa.Array]) -> bool:
        numbers = np.fromiter(map(self._keys.__getitem__, keys), np.int64, len(keys))
        self._slices[span] = numbers, pa.RecordBatch.from_arrays(columns, self._merging.names)
        return True

    def merged(self, spans: Iterable[Span]) -> tuple[list[Any], list[pa.Array]] | None:
        """The keys of slices that it knows, in no order, and per aggregate what comes out for each.

        None: they cannot be merged as columns.
        """
        parts = [self._slices[span] for span in spans]
        if sum(records.num_rows for _, records in parts) > MOST_MERGED:
            return None
        batches = [records for _, records in parts]
        if any(records.schema != batches[0].schema for records in batches):
            return None
        found = self._fold(np.concatenate([numbers for numbers, _ in parts]), batches)
        if len(self._keys) > FORGOTTEN_FROM:
            self._keys = _Numbered()
            self._slices.clear()
        return found

    def _fold(
        self, numbers: npt.NDArray[np.int64], batches: Sequence[pa.RecordBatch]
    ) -> tuple[list[Any], list[pa.Array]] | None:
        records = pa.concat_batches(batches)
        folds = NamedFolds.of(self._merging, records.schema)
        is_there = np.zeros(len(self._keys), np.bool_)
        is_there[numbers] = True
        present = np.flatnonzero(is_there)
        groups = Groups((np.cumsum(is_there) - 1)[numbers], len(present))
        folded = None if folds is None else folds.fold(groups, records, None, None)
        arrays = None if folds is None or folded is None else folds.results(folded)
        if arrays is None:
            return None
        return list(map(self._keys.in_order.__getitem__, present.tolist())), arrays


def sorted_by_key(
    key_columns: Iterable[Sequence[Any]], arrays: Sequence[pa.Array]
) -> tuple[list[pa.Array], list[pa.Array]] | None:
    """The keys as columns and the arrays beside them, both by key ascending, as rows are.

    None: the keys have no common type, or are not all there.
    """
    keys = as_arrays(key_columns)
    if keys is None or any(key.null_count for key in keys):
        return None
    if not keys:
        return keys, list(arrays)
    if len(keys) == 1 and pa.types.is_integer(keys[0].type):
        order = pa.array(np.argsort(numbers_of(keys[0])))
    else:
        names = [str(index) for index in range(len(keys))]
        table = pa.RecordBatch.from_arrays(keys, names)
        order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])
    return [key.take(order) for key in keys], [array.take(order) for array in arrays]


class _Numbered(dict[Any, int]):
    """Numbers keys in the order in which they are first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.in_order: list[Any] = []

    def __missing__(self, key: Any) -> int:
        number = self[key] = len(self)
        self.in_order.append(key)
        return number


_MERGING: Final[Mapping[type[Aggregate], type[Sum] | type[Min] | type[Max]]] = {
    Count: Sum,
    Sum: Sum,
    Min: Min,
    Max: Max,
}
"""How accumulators that stand in columns are folded again."""
