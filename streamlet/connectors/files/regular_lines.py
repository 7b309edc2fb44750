"""JSON lines that all have one form: the keys of the first line, in its order, and plain values.

Most files are written by one program, line after line the same way: what is between two values is
the same in all lines. So numpy goes through all lines together, value by value, several times
faster than a parser. Every byte is looked at all the same: what is not certain is in doubt.
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

    from streamlet.connectors.files.words import Places, Words

    Ends = npt.NDArray[np.integer[Any]]

_FIELD: Final = re.compile(
    rb'([{,] *"([^"\\\x00-\x1f]*)" *: *)("[^"\\\x00-\x1f]*"|[^" ,{}\[\]\x00-\x1f]+)'
)
_NUMBER: Final = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?$"
"""Of the numbers of JSON those that no reader finds too long."""

_MOST_LOOKS: Final = 3
"""So often the end of a value is looked for nearby; for longer texts all quotes are found."""

_LONG: Final = 16
"""Of a text as long as this, with its quotes, the end is not looked for nearby."""

_WORD_BYTES: Final = 8
"""As many zeros are before the text, and more behind it."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    is_text: bool
    before: bytes
    """All between the value before it, or the beginning of the line, and its own; quotes too."""
    quotes_before: int
    """How many quotes come before the value."""
    stop: bytes
    """The byte that comes after the value."""
    is_long: bool
    """Whether the first line has a long text there; the others may have any."""


@dataclass(frozen=True, slots=True)
class _Form:
    fields: list[_Field]
    end: bytes
    """What comes after the last value."""


class _Text:
    """Lines of one form, between zeros that make the words at all places complete."""

    def __init__(self, text: bytes, ends: Ends, form: _Form) -> None:
        longest = max(len(one.before) for one in form.fields)
        zeros = bytes(_WORD_BYTES)
        self.padded = b"".join((zeros, text, bytes(longest), zeros))
        self.length = len(text)
        self._ends = ends
        self._quotes_per_line = form.fields[-1].quotes_before + form.end.count(b'"')
        self._quotes: Places | None = None

    def quotes(self) -> Places:
        """Where the quotes are, those of a line in a row; InDoubt if there are more or fewer."""
        import numpy as np

        from streamlet.connectors.files.words import count_controls, find_quotes

        if self._quotes is None:
            view = np.frombuffer(self.padded, np.uint8, self.length, _WORD_BYTES)
            quotes = find_quotes(view)
            lines = len(self._ends)
            if len(quotes) != lines * self._quotes_per_line:
                raise InDoubt("a line of another form")
            if count_controls(view) != lines:
                raise InDoubt("a control character")
            self._quotes = quotes.reshape(lines, self._quotes_per_line)
        return self._quotes

    def words_behind(self, literal: bytes, places: Places) -> Words:
        """The eight bytes after a literal; InDoubt unless it stands at each of the places."""
        import numpy as np

        # One look takes the literal, so that it ends where a word ends, and the word behind it.
        count = -(-len(literal) // _WORD_BYTES)
        more = count * _WORD_BYTES - len(literal)
        size = (count + 1) * _WORD_BYTES
        looks = np.ndarray((self.length,), f"V{size}", self.padded, _WORD_BYTES - more, (1,))
        words = looks[places].view("<u8").reshape(len(places), count + 1)
        for index, wanted in enumerate(np.frombuffer(bytes(more) + literal, "<u8")):
            unlike = words[:, index] ^ wanted
            if index == 0 and more:
                unlike >>= np.uint64(8 * more)
            if unlike.any():
                raise InDoubt("a line of another form")
        return words[:, count]

    def words_at(self, places: Places) -> Words:
        """The eight bytes from each place on."""
        return self.words_behind(b"", places)


@dataclass(frozen=True, slots=True)
class _Values:
    """One field of all lines, each in [start, stop) of the text."""

    text: _Text
    starts: Places
    stops: Places

    def strings(self) -> pa.Array:
        """The values as they are written."""
        import numpy as np
        import pyarrow as pa

        # One array of values and what is between them: every second of it is a value.
        count = len(self.starts)
        offsets = np.empty(2 * count + 1, np.int32)
        offsets[0:-1:2], offsets[1::2], offsets[-1] = self.starts, self.stops, self.text.length
        offsets += _WORD_BYTES
        pieces = pa.StringArray.from_buffers(
            2 * count, pa.py_buffer(offsets), pa.py_buffer(self.text.padded)
        )
        return pieces.take(pa.array(np.arange(0, 2 * count, 2)))


def regular_columns(text: bytes, ends: Ends, schema: pa.Schema) -> list[pa.Array]:
    """The columns of a schema of integers, floats, booleans and text; raises InDoubt.

    The text is UTF-8, a newline after each line.
    """
    import pyarrow as pa

    form = _form_of(text[: int(ends[0])])
    kinds = dict(zip(schema.names, schema.types, strict=True))
    if b"\\" in text or not all(
        is_text(kinds[one.name]) == one.is_text for one in form.fields if one.name in kinds
    ):
        raise InDoubt("an escape, text for what is no text, or the reverse")
    columns = _columns(_Text(text, ends, form), ends, form, kinds)
    return [
        columns[field.name] if field.name in columns else pa.nulls(len(ends), field.type)
        for field in schema
    ]


def _form_of(line: bytes) -> _Form:
    fields: list[_Field] = []
    place = quotes = 0
    quote = b""
    while (found := _FIELD.match(line, place)) is not None:
        if line.startswith(b"{", place) != (place == 0):
            break
        place = found.end()
        is_text = found[3].startswith(b'"')
        before = quote + found[1] + b'"' * is_text
        quotes += before.count(b'"')
        quote = b'"' * is_text
        stop = quote or line[place : place + 1]
        is_long = is_text and len(found[3]) >= _LONG
        fields.append(_Field(found[2].decode(), is_text, before, quotes, stop, is_long))
    if not fields or line[place:] != b"}":
        raise InDoubt("a first line that is not plain")
    if len({one.name for one in fields}) < len(fields):
        raise InDoubt("a key twice")
    return _Form(fields, quote + b"}")


def _columns(
    text: _Text, ends: Ends, form: _Form, kinds: dict[str, pa.DataType]
) -> dict[str, pa.Array]:
    """The columns by name, after it is certain that all lines have the form."""
    columns = {}
    stops = starts_of(ends)
    for one in form.fields:
        words = text.words_behind(one.before, stops)
        starts = stops + len(one.before)
        kind = kinds.get(one.name)
        if not one.is_text and (kind is None or _is_integer(kind)):
            columns[one.name], stops = _read_integers(text, starts, words, kind)
        else:
            stops = _find_stops(text, starts, words, one)
            columns[one.name] = _read(_Values(text, starts, stops), kind)
    text.words_behind(form.end, stops)
    if not (stops + len(form.end) == ends).all():
        raise InDoubt("a line that goes on")
    return columns


def _is_integer(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind))


def _find_stops(text: _Text, starts: Places, words: Words, field: _Field) -> Places:
    """Where the values that start there end, or a control character is; InDoubt over long ones."""
    import numpy as np

    from streamlet.connectors.files.words import SEEN, count_before

    if field.is_long:
        return _closing_quotes(text, starts, field)
    counts = count_before(words, field.stop[0])
    stops = starts + counts
    going_on = np.flatnonzero(counts == SEEN)
    for _ in range(_MOST_LOOKS):
        if not len(going_on):
            return stops
        counts = count_before(text.words_at(stops[going_on]), field.stop[0])
        stops[going_on] += counts
        going_on = going_on[counts == SEEN]
    return _closing_quotes(text, starts, field) if len(going_on) else stops


def _closing_quotes(text: _Text, starts: Places, field: _Field) -> Places:
    """Where texts of any length stop; InDoubt over any other value."""
    quotes = text.quotes()
    # A row may have quotes of another line. The next one after the opening quote, which is just
    # before the text, never stands before it: over values that end so Arrow crashes.
    if not (quotes[:, field.quotes_before - 1] == starts - 1).all():
        raise InDoubt("a quote within a text")
    return quotes[:, field.quotes_before].copy()


def _read_integers(
    text: _Text, starts: Places, words: Words, kind: pa.DataType | None
) -> tuple[pa.Array | None, Places]:
    """The numbers, of whatever type if it is None, and where their last digits end."""
    import numpy as np

    from streamlet.connectors.files.words import MOST_DIGITS

    first = words & np.uint64(0xFF)
    is_negative = first == ord("-")
    if is_negative.any():
        starts = starts + is_negative
        words = text.words_at(starts)
        first = words & np.uint64(0xFF)
    numbers, stops = _add_up(text, starts, words)
    lengths = stops - starts
    is_zero = first == ord("0")
    if not lengths.all() or lengths.max() > MOST_DIGITS:
        raise InDoubt("no whole number, or a long one")
    if (is_zero & (is_negative | (lengths > 1))).any():
        raise InDoubt("a zero before a number, or below zero")
    return None if kind is None else _of_kind(numbers, is_negative, kind), stops


def _add_up(text: _Text, starts: Places, words: Words) -> tuple[Words, Places]:
    from streamlet.connectors.files.words import MOST_DIGITS, SEEN, add_digits

    numbers, counts = add_digits(None, words)
    stops = starts + counts
    for _ in range(MOST_DIGITS // SEEN):
        if counts.max() < SEEN:
            break
        numbers, counts = add_digits(numbers, text.words_at(stops))
        stops += counts
    return numbers, stops


def _of_kind(numbers: Words, is_negative: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    bounds = np.iinfo(kind.to_pandas_dtype())
    most = np.uint64(bounds.max)
    if is_negative.any():
        limits = np.where(is_negative, np.uint64(-int(bounds.min)), most)
        is_fitting = (numbers <= limits).all()
        numbers = np.where(is_negative, ~numbers + np.uint64(1), numbers)
    else:
        is_fitting = numbers.max() <= most
    if not is_fitting:
        raise InDoubt("a number that its type has not")
    return pa.array(numbers.view(np.int64).astype(bounds.dtype, copy=False))


def _read(values: _Values, kind: pa.DataType | None) -> pa.Array | None:
    import pyarrow as pa

    if kind is None:
        return None
    if is_text(kind):
        return values.strings()
    return _read_floats(values, kind) if pa.types.is_floating(kind) else _read_booleans(values)


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
