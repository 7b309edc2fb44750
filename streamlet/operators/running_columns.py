"""The aggregates of each key so far, over batches of columns: one result per record."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.groups import Groups
from streamlet.column_folds.named import FoldsOfSchema, NamedFolds
from streamlet.elements import ColumnBatch, KeyColumn
from streamlet.operators.kept_keys import Elsewhere, accumulators_of, parts_of, slots_of
from streamlet.operators.key_order import key_arrays
from streamlet.state.arrays import KeyedArrays
from streamlet.state.flat_table import FlatTable
from streamlet.state.key_index import ABSENT, Keys


class RunningColumns:
    """Folds batches of columns on top of what rows are folded into."""

    def __init__(
        self, named: NamedAggregates, key_fields: tuple[str, ...], table: FlatTable
    ) -> None:
        self._named = named
        self._key_fields = key_fields
        self._table = table
        self._folds = FoldsOfSchema(named)

    def add(self, batch: ColumnBatch) -> ColumnBatch | None:
        """The result after each record. None: these records must go row by row, none was added."""
        assert batch.keys is not None
        folds = self._folds.of(batch.records.schema)
        keys, groups = keys_with_rows(batch.keys)
        leading = self._key_arrays(keys, groups) if folds is not None and len(keys) else None
        if folds is None or leading is None:
            return None
        results = self._run(keys, groups, batch.records, folds)
        if results is None:
            return None
        names = [*self._key_fields, *self._named.names]
        records = pa.RecordBatch.from_arrays([*leading, *results], names)
        return ColumnBatch(records, batch.timestamps)

    def _run(
        self, keys: Keys, groups: Groups, records: pa.RecordBatch, folds: NamedFolds
    ) -> list[pa.Array] | None:
        """For each name the result after each record."""
        table = self._table
        if not table.arrays:
            table.arrays = KeyedArrays(accumulators_of, folds.dtypes)
        elsewhere = Elsewhere(table.layers(), table.take, partial(parts_of, folds=folds))
        slots = slots_of(table.arrays, keys, elsewhere)
        older = table.arrays.read(slots)
        found = folds.run(groups, records, older, slots == ABSENT)
        if found is None:
            return None
        results, newer = found
        table.put_in_arrays(keys, slots, newer)
        return results

    def _key_arrays(self, keys: Keys, groups: Groups) -> list[pa.Array] | None:
        """The keys as the leading columns; None: Arrow would change one."""
        arrays, codes = key_arrays(self._key_fields, keys), pa.array(groups.codes)
        return None if arrays is None else [array.take(codes) for array in arrays]


def keys_with_rows(keys: KeyColumn) -> tuple[Keys, Groups]:
    """A group for each key that has rows.

    >>> keys, groups = keys_with_rows(KeyColumn(np.array([2, 0]), np.array([30, 40, 50])))
    >>> keys.tolist(), groups.codes.tolist()
    ([30, 50], [1, 0])
    """
    groups = Groups(keys.codes, len(keys.distinct))
    has_rows = groups.sizes > 0
    if has_rows.all():
        return keys.distinct, groups
    position = np.cumsum(has_rows) - 1
    present = np.flatnonzero(has_rows)
    codes = position[keys.codes]
    return keys.distinct[present], Groups(codes, len(present))
