"""JSON lines that all have one form: the keys of the first line, in its order, and plain values.

Most files are written by one program, line after line the same way. Where nothing is escaped and
no comma is within text, commas tell where each value is, and numpy finds commas several times
faster than a parser reads. Every byte is looked at all the same: what is not certain is in doubt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamlet.connectors.files.text_columns import InDoubt, is_text, starts_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Places = npt.NDArray[np.integer[Any]]

_FIELD: Final = re.compile(rb'([{,] *"([^"\\,{}]*)" *: *)("[^"\\]*"|[^" ,{}\[\]]+)')
_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?$"
"""Of the numbers of JSON those that no reader finds too long."""

_WORD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    prefix: bytes
    """All of it that comes before the value: brace or comma, key and colon."""
    is_text: bool


@dataclass(frozen=True, slots=True)
class _Values:
    """One field of all lines, each in [start, stop) of the text."""

    text: bytes
    view: npt.NDArray[np.uint8]
    starts: Places
    stops: Places

    def at(self, places: Places) -> npt.NDArray[np.uint8]:
        """The byte at each place."""
        return self.view[places]

    def strings(self) -> pa.Array:
        """The values as they are written."""
        import numpy as np
        import pyarrow as pa

        # One array of values and what is between them: every second of it is a value.
        count = len(self.starts)
        offsets = np.empty(2 * count + 1, np.int32)
        offsets[0:-1:2], offsets[1::2], offsets[-1] = self.starts, self.stops, len(self.text)
        pieces = pa.StringArray.from_buffers(
            2 * count, pa.py_buffer(offsets), pa.py_buffer(self.text)
        )
        return pieces.take(pa.array(np.arange(0, 2 * count, 2)))


def regular_columns(
    text: bytes, view: npt.NDArray[np.uint8], ends: Places, schema: pa.Schema
) -> list[pa.Array]:
    """The columns of a schema of integers, floats, booleans and text; raises InDoubt.

    The text is UTF-8 without control characters but the newlines, of which one ends each line.
    """
    import pyarrow as pa

    fields = _form_of(text[: int(ends[0])])
    by_name = dict(zip([one.name for one in fields], _cut(text, view, ends, fields), strict=True))
    if len(by_name) < len(fields):
        raise InDoubt("a key twice")
    quoted = {one.name for one in fields if one.is_text}
    columns: dict[str, pa.Array] = {}
    for name, values in by_name.items():
        kind = schema.field(name).type if name in schema.names else None
        if kind is not None and is_text(kind) != (name in quoted):
            raise InDoubt("text for what is no text, or the reverse")
        if name in quoted:
            values = _unquoted(values)
            columns[name] = None if kind is None else values.strings()
        else:
            columns[name] = _read_bare(values, kind)
    return [
        columns[field.name] if field.name in columns else pa.nulls(len(ends), field.type)
        for field in schema
    ]


def _form_of(line: bytes) -> list[_Field]:
    fields: list[_Field] = []
    place = 0
    while (found := _FIELD.match(line, place)) is not None:
        if line.startswith(b"{", place) != (place == 0):
            break
        fields.append(_Field(found[2].decode(), found[1], found[3].startswith(b'"')))
        place = found.end()
    if not fields or line[place:] != b"}":
        raise InDoubt("a first line that is not plain")
    return fields


def _cut(
    text: bytes, view: npt.NDArray[np.uint8], ends: Places, fields: list[_Field]
) -> list[_Values]:
    """The values of each field, after it is certain that all lines have these fields."""
    import numpy as np

    commas = np.flatnonzero(view == ord(","))
    between = len(fields) - 1
    quotes = 2 * len(fields) + 2 * sum(one.is_text for one in fields)
    if (
        b"\\" in text
        or len(commas) != len(ends) * between
        or np.count_nonzero(view == ord('"')) != len(ends) * quotes
        or (view[ends - 1] != ord("}")).any()
    ):
        raise InDoubt("a line of another form")
    bounds = [starts_of(ends), *commas.reshape(len(ends), between).T, ends - 1]
    words = np.ndarray((len(text),), "<u8", text + bytes(_WORD_BYTES), 0, (1,))
    values = []
    for one, start, stop in zip(fields, bounds, bounds[1:], strict=False):
        # A prefix has no second comma or brace: where it stands, the next bound is behind it.
        _check_prefix(words, start, one.prefix)
        values.append(_Values(text, view, start + len(one.prefix), stop))
        if not (values[-1].starts < stop).all():
            raise InDoubt("a value that is missing, or in another line")
    return values


def _check_prefix(words: npt.NDArray[np.uint64], starts: Places, prefix: bytes) -> None:
    import numpy as np

    if len(prefix) < _WORD_BYTES:
        mask = np.uint64((1 << 8 * len(prefix)) - 1)
        is_there = (words[starts] & mask) == int.from_bytes(prefix, "little")
        if not is_there.all():
            raise InDoubt("another key")
        return
    for place in {*range(0, len(prefix) - _WORD_BYTES, _WORD_BYTES), len(prefix) - _WORD_BYTES}:
        word = int.from_bytes(prefix[place : place + _WORD_BYTES], "little")
        if not (words[starts + place] == word).all():
            raise InDoubt("another key")


def _unquoted(values: _Values) -> _Values:
    quote = ord('"')
    is_quoted = (values.at(values.starts) == quote) & (values.at(values.stops - 1) == quote)
    if not (is_quoted & (values.stops - values.starts > 1)).all():
        raise InDoubt("something beside text")
    return _Values(values.text, values.view, values.starts + 1, values.stops - 1)


def _read_bare(values: _Values, kind: pa.DataType | None) -> pa.Array:
    """What has no quotes: of the type, or whatever it is, if None; then it is only looked at."""
    import pyarrow as pa

    if kind is None:
        return _read_integers(values, pa.int64())
    if pa.types.is_integer(kind):
        return _read_integers(values, kind)
    return _read_floats(values, kind) if pa.types.is_floating(kind) else _read_booleans(values)


def _read_integers(values: _Values, kind: pa.DataType) -> pa.Array:
    import numpy as np

    # Arrow takes more for a number than JSON: leading zeros, and 0x1F.
    first = values.at(values.starts)
    is_negative = first == ord("-")
    if is_negative.any():
        first = np.where(is_negative, values.at(values.starts + 1), first)
    is_zero = (first == ord("0")) & (values.stops - values.starts == 1)
    last = values.at(values.stops - 1)
    is_digit = (last >= ord("0")) & (last <= ord("9"))
    if not (((first >= ord("1")) & (first <= ord("9")) | is_zero) & is_digit).all():
        raise InDoubt("no whole number")
    return values.strings().cast(kind)


def _read_floats(values: _Values, kind: pa.DataType) -> pa.Array:
    import pyarrow.compute as pc

    strings = values.strings()
    if not pc.all(pc.match_substring_regex(strings, _NUMBER)).as_py():
        raise InDoubt("no number")
    return strings.cast(kind)


def _read_booleans(values: _Values) -> pa.Array:
    import pyarrow.compute as pc

    strings = values.strings()
    is_true = pc.equal(strings, "true")
    if not pc.all(pc.or_(is_true, pc.equal(strings, "false"))).as_py():
        raise InDoubt("neither true nor false")
    return is_true
