"""JSON lines with a schema, read as columns by Arrow where that gives what rows give.

Arrow reads a superset of JSON lines, and other numbers than msgspec: a line may hold two objects
or half of one, NaN is a number, bytes need not be UTF-8, and a `null` that is no field ends the
process. So a block is looked at before, and its columns after; what is in doubt is read as rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streamlet.connectors.files.lines import Block
from streamlet.connectors.files.regular_lines import regular_columns
from streamlet.connectors.files.text_columns import (
    InDoubt,
    as_field,
    bytes_of,
    check_returns,
    schema_of_columns,
    starts_of,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from streamlet.connectors.files.text_columns import Bytes

_LONG: Final = 300
"""A line not longer than this nests no deeper and has no longer numbers than any reader takes."""

_NO_NUMBER: Final = re.compile(rb"[:,\[]\s*-?(?:NaN|Inf(?:inity)?)\s*[,\]}]")

_EXACT: Final = {"float": 2.0**24, "double": 2.0**53}
"""Up to here every whole number is one of the type; rows refuse a greater one that is not."""


class JsonColumns:
    """Makes blocks of JSON lines columns of a schema.

    Blocks of `fewest_regular` lines or more are first tried as lines of one form.
    """

    def __init__(self, schema: pa.Schema, fewest_regular: int = 400) -> None:
        import pyarrow as pa

        known = schema_of_columns(schema)
        assert known is not None
        self.schema: pa.Schema = known
        self._fields = list(schema)
        self._parsed = pa.schema([(field.name, _parsed_type(field.type)) for field in schema])
        self._has_others = False
        self._fewest_regular = fewest_regular

    def __call__(self, block: Block) -> pa.RecordBatch:
        """The records of the block; raises InDoubt."""
        import pyarrow as pa

        text = block.text if block.text.endswith(b"\n") else block.text + b"\n"
        view = bytes_of(text)
        try:
            parsed = self._regular(text, block) or self._parse(text, view, block)
            arrays = [
                _column(column, field) for column, field in zip(parsed, self._fields, strict=True)
            ]
        except pa.ArrowException as error:
            raise InDoubt(str(error)) from error
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _regular(self, text: bytes, block: Block) -> list[pa.Array] | None:
        import pyarrow as pa

        if len(block.ends) < self._fewest_regular:
            return None
        try:
            return regular_columns(text, block.ends, self._parsed)
        except (InDoubt, pa.ArrowInvalid):
            return None

    def _parse(self, text: bytes, view: Bytes, block: Block) -> list[pa.Array]:
        line_count = _count_objects(text, view, block)
        table = self._read(text, block)
        if table.num_rows != line_count:
            raise InDoubt("an object is not one line")
        return [table.column(name).combine_chunks() for name in self._parsed.names]

    def _read(self, text: bytes, block: Block) -> pa.Table:
        import pyarrow as pa

        if not self._has_others:
            try:
                return _read_json(text, self._parsed, "error")
            except pa.ArrowInvalid:
                pass  # perhaps because of fields that the schema does not have
        _check_others(text, block)
        table = _read_json(text, self._parsed, "ignore")
        self._has_others = True
        return table


def _read_json(text: bytes, schema: pa.Schema, others: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json

    return json.read_json(
        pa.BufferReader(text),
        json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        json.ParseOptions(explicit_schema=schema, unexpected_field_behavior=others),
    )


def _parsed_type(kind: pa.DataType) -> pa.DataType:
    """What Arrow's parser must see: dates, times and decimals are text to it, as to rows."""
    import pyarrow as pa

    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return kind
    return pa.float64() if pa.types.is_floating(kind) else pa.string()


def _column(column: pa.Array, field: pa.Field) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_floating(field.type):
        _check_floats(column, _EXACT[str(field.type)])
    return as_field(column, field)


def _check_floats(column: pa.Array, exact: float) -> None:
    """InDoubt over NaN, great numbers, and a zero below zero, which may have been the integer."""
    import numpy as np

    values = column.drop_null().to_numpy(zero_copy_only=False)
    if not (np.abs(values) < exact).all() or np.signbit(values[values == 0]).any():
        raise InDoubt("a number that may have been another")


def _count_objects(text: bytes, view: Bytes, block: Block) -> int:
    """How many objects there are if each is one line; InDoubt unless it looks so.

    Each line that is not blank begins with a brace, and after a closing brace there is no value
    in its line. So Arrow meets nothing but objects outside of objects, at most one begins per
    line, and when there are as many as lines none goes on in the next.
    """
    import numpy as np

    check_returns(text)
    returns = text.count(b"\r") if b"\r" in text else 0
    if np.count_nonzero(view < ord(" ")) != len(block.ends) + returns:
        raise InDoubt("a control character")
    firsts = view[starts_of(block.ends)]
    objects = np.count_nonzero(firsts == ord("{"))
    if objects + np.count_nonzero(firsts == ord("\n")) < len(firsts):
        raise InDoubt("a line that is no object")
    following = view[np.flatnonzero(view == ord("}")) + 1]
    if not _may_follow()[following].all():
        raise InDoubt("something after an object")
    return int(objects)


def _may_follow() -> npt.NDArray[np.bool_]:
    import numpy as np

    allowed = np.zeros(256, np.bool_)
    allowed[list(b",}]\r\n")] = True
    return allowed


def _check_others(text: bytes, block: Block) -> None:
    """InDoubt if a field that the schema does not have may hold what JSON, or Python, has not."""
    import numpy as np

    if (b"NaN" in text or b"Inf" in text) and _NO_NUMBER.search(text):
        raise InDoubt("NaN")
    starts = starts_of(block.ends)
    if (block.ends - starts).max() <= _LONG:
        return
    view = bytes_of(text)
    openers: npt.NDArray[Any] = (view == ord("[")) | (view == ord("{"))
    others = np.flatnonzero((view < ord("0")) | (view > ord("9")))
    if np.add.reduceat(openers, starts, dtype=np.int64).max() > _LONG:
        raise InDoubt("deep nesting")
    if np.diff(others, prepend=-1).max() > _LONG:
        raise InDoubt("a long number")
