"""Encodes batches of records as the text formats of the file sink: JSON lines and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from streamlet.connectors.files.fields import column_values, fields_of, is_named_tuple
from streamlet.connectors.files.malformed import shorten
from streamlet.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa


_CSV_TYPES: Final = frozenset({str, int, float, type(None)})
"""What Python's csv writes as it should be read."""


class TextEncoder(Protocol):
    """Encodes the files of one writer."""

    extension: str

    def header(self, values: Sequence[Any]) -> bytes:
        """What a file begins with, given its first records."""

    def encode(self, values: Sequence[Any]) -> bytes:
        """The records; RecordError names the one that cannot be encoded."""


class JsonLinesEncoder:
    """One JSON value per line: dates in ISO format, Decimal and UUID as text, tuples as arrays.

    NamedTuples, dataclasses and Structs are objects. NaN and infinities are null: JSON has none.
    """

    extension = "jsonl"

    def __init__(self, schema: pa.Schema | None) -> None:
        self._names = None if schema is None else list(schema.names)
        self._encoder = msgspec.json.Encoder(enc_hook=_plain)

    def header(self, values: Sequence[Any]) -> bytes:
        return b""

    def encode(self, values: Sequence[Any]) -> bytes:
        objects = self._objects(values)
        try:
            return self._encoder.encode_lines(objects)
        except (TypeError, ValueError, OverflowError, RecursionError):
            for value in objects:
                self._encode_one(value)
            raise

    def _objects(self, values: Sequence[Any]) -> Sequence[Any]:
        names = self._names
        if names is not None:
            return [
                dict(zip(names, column_values(record, names, may_lack=True), strict=True))
                for record in fields_of(values)
            ]
        if any(is_named_tuple(kind) for kind in set(map(type, values))):
            return [v._asdict() if is_named_tuple(type(v)) else v for v in values]
        return values

    def _encode_one(self, value: Any) -> None:
        try:
            self._encoder.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RecordError(
                f"a record cannot be written as JSON: {error}\n  record: {shorten(repr(value))}\n"
                "  map it to dicts, lists, text, numbers, dates or dataclasses before the sink"
            ) from error


def _plain(value: Any) -> Any:
    # Scalars of array libraries (numpy, pyarrow) know their Python value.
    for name in ("item", "as_py"):
        if callable(convert := getattr(value, name, None)):
            return convert()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class CsvEncoder:
    """A header line, then one line per record.

    Columns are those of the schema, or of the first record that this writer sees. None is an
    empty field, dates are in ISO format, booleans true or false, lists and dicts JSON.
    """

    extension = "csv"

    def __init__(self, schema: pa.Schema | None) -> None:
        self._has_schema = schema is not None
        self._names: list[str] | None = None if schema is None else list(schema.names)

    def header(self, values: Sequence[Any]) -> bytes:
        return _csv_lines([self._columns(values)])

    def encode(self, values: Sequence[Any]) -> bytes:
        names = self._columns(values)
        records = fields_of(values)
        rows = [column_values(record, names, may_lack=self._has_schema) for record in records]
        columns = [_csv_column(column) for column in zip(*rows, strict=True)]
        return _csv_lines(list(zip(*columns, strict=True)))

    def _columns(self, values: Sequence[Any]) -> list[str]:
        if self._names is None:
            self._names = list(map(str, fields_of(values[:1])[0]))
        return self._names


def _csv_column(values: Sequence[Any]) -> Sequence[Any]:
    if set(map(type, values)) <= _CSV_TYPES:
        return values
    return [_csv_text(value) for value in values]


def _csv_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    buffer = io.StringIO()
    try:
        csv.writer(buffer, lineterminator="\n").writerows(rows)
        return buffer.getvalue().encode()
    except (csv.Error, UnicodeEncodeError) as error:
        raise RecordError(f"a record cannot be written as CSV: {error}") from error


def _csv_text(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, (list, dict, tuple)):
        try:
            return msgspec.json.encode(value, enc_hook=_plain).decode()
        except (TypeError, ValueError) as error:
            raise RecordError(f"{value!r:.200} cannot be written as CSV: {error}") from error
    return value
