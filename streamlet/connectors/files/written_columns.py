"""Columns cast for a Parquet file, where that gives what their Python values give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamlet.columns import in_microseconds
from streamlet.connectors.files.text_columns import InDoubt, as_field, is_known, is_text

if TYPE_CHECKING:
    import pyarrow as pa

_FINER: Final = {"s": ("s", "ms", "us"), "ms": ("ms", "us"), "us": ("us",)}


def seen_schema(records: pa.RecordBatch) -> pa.Schema | None:
    """The schema that their Python values would give; None: only they can tell."""
    import pyarrow as pa

    names = records.schema.names
    kinds = [_seen_type(column) for column in records.columns]
    if None in kinds or len(set(names)) < len(names):
        return None
    return pa.schema(zip(names, kinds, strict=True))


def _seen_type(column: pa.Array) -> pa.DataType | None:
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if column.null_count == len(column):
        return pa.null()
    if types.is_integer(kind):
        return None if types.is_uint64(kind) else pa.int64()
    if types.is_float64(kind) or types.is_float32(kind):
        return pa.float64()
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz) if kind.tz in (None, "UTC") else None
    if is_text(kind):
        return pa.string()
    return kind if types.is_boolean(kind) or types.is_date32(kind) else None


def as_written(column: pa.Array, field: pa.Field) -> pa.Array:
    """The column as the file has it; raises InDoubt, or what Arrow raises."""
    column = in_microseconds(column)
    if not _is_same_cast(column.type, field.type):
        raise InDoubt(f"{column.type} as {field.type}")
    return as_field(column, field)


def _is_same_cast(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether to cast gives what the Python values give, or an error if they give one."""
    from pyarrow import types

    if given == wanted:
        return is_known(given) or bool(types.is_null(given))
    if types.is_null(given):
        return is_known(wanted)
    if types.is_integer(given) or types.is_float64(given) or types.is_float32(given):
        return bool(types.is_integer(wanted) or types.is_float64(wanted))
    if types.is_timestamp(given) and types.is_timestamp(wanted):
        return given.tz == wanted.tz and wanted.unit in _FINER[given.unit]
    return is_text(given) and is_text(wanted)
