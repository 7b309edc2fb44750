"""Columns read from text at once, and the doubt whether they are what its rows would be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streamlet.columns import in_microseconds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Bytes = npt.NDArray[np.uint8]

_DAY_S: Final = 86_400
_FIRST_SECOND: Final = -62_135_596_800 + _DAY_S
_LAST_SECOND: Final = 253_402_300_800 - _DAY_S
"""What datetime can hold in any time zone."""

_UNITS_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class InDoubt(Exception):
    """The text may mean something else as rows; never leaves the files package."""


def schema_of_columns(schema: pa.Schema) -> pa.Schema | None:
    """The columns that records of the schema become; None: they must be read as rows."""
    import pyarrow as pa

    names = schema.names
    if not names or len(set(names)) < len(names) or not all(is_known(f.type) for f in schema):
        return None
    return pa.schema([field.with_type(_in_microseconds(field.type)) for field in schema])


def is_known(kind: pa.DataType) -> bool:
    """Whether every value of the type is one Python value, which is that value again."""
    from pyarrow import types

    return bool(
        types.is_integer(kind)
        or types.is_float32(kind)
        or types.is_float64(kind)
        or types.is_boolean(kind)
        or is_text(kind)
        or types.is_timestamp(kind)
        or types.is_date32(kind)
        or types.is_time32(kind)
        or types.is_decimal128(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether values of the type are any text."""
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    return kind


def as_field(column: pa.Array, field: pa.Field) -> pa.Array:
    """The column as the schema has it, if each of its values is a value of the field.

    Text is cast by the function that rows are cast by. Raises InDoubt, or what Arrow raises.
    """
    if not field.nullable and column.null_count:
        raise InDoubt(field.name)
    if column.type != field.type:
        column = column.cast(field.type)
    _check_years(column)
    return in_microseconds(column)


def _check_years(column: pa.Array) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date32(column.type):
        column = column.cast(pa.timestamp("s"))
    elif not pa.types.is_timestamp(column.type):
        return
    units = _UNITS_PER_SECOND[column.type.unit]
    bounds = pc.min_max(column.cast(pa.int64())).as_py()
    first, last = bounds["min"], bounds["max"]
    if first is not None and (first < _FIRST_SECOND * units or last > _LAST_SECOND * units):
        raise InDoubt("a year that Python does not have")


def bytes_of(text: bytes) -> Bytes:
    """The text as numpy has it; InDoubt unless it is UTF-8."""
    import numpy as np

    try:
        text.isascii() or text.decode()
    except UnicodeDecodeError as error:
        raise InDoubt("not UTF-8") from error
    return np.frombuffer(text, np.uint8)


def check_returns(text: bytes) -> None:
    r"""InDoubt if a \r is anything but the first half of a newline."""
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        raise InDoubt("a carriage return")


def starts_of(ends: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Where each record of a block begins, given where each ends."""
    import numpy as np

    return np.concatenate(([0], ends[:-1] + 1))
