"""Keys as the leading columns of results, and columns by key, as rows of a window come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamlet.column_folds.forms import as_arrays
from streamlet.column_folds.kept import INTS
from streamlet.columns import numbers_of
from streamlet.operators.keyed import key_columns
from streamlet.state.key_index import Keys


def key_arrays(key_fields: tuple[str, ...], keys: Keys) -> list[pa.Array] | None:
    """A column per field of the keys; None: Arrow would change one."""
    if len(key_fields) == 1 and keys.dtype == INTS:
        return [pa.array(keys)]
    return as_arrays(key_columns(key_fields, keys.tolist()))


def by_key(
    keys: Sequence[pa.Array], arrays: Sequence[pa.Array]
) -> tuple[list[pa.Array], list[pa.Array]] | None:
    """The columns of the keys, and the arrays beside them, by key ascending.

    None: a part of a key is not there.
    """
    if not keys:
        return [], list(arrays)
    if any(key.null_count for key in keys):
        return None
    if len(keys) == 1 and pa.types.is_integer(keys[0].type):
        order = pa.array(np.argsort(numbers_of(keys[0])))
    else:
        names = [str(index) for index in range(len(keys))]
        table = pa.RecordBatch.from_arrays(keys, names)
        order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names])
    return [key.take(order) for key in keys], [array.take(order) for array in arrays]
