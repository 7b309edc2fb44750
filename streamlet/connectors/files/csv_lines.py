"""CSV: finds the records, which quoted newlines spread over lines, and the names of columns."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamlet.connectors.files.line_reader import BYTE_ORDER_MARK, Decode, LinePlaces
from streamlet.connectors.files.lines import LineCursor, Lines
from streamlet.connectors.files.malformed import MalformedError
from streamlet.connectors.files.records import RecordShape, mirror_type
from streamlet.connectors.files.splits import FileSplit
from streamlet.errors import FatalError

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_RECORD_BYTES: Final = 128 << 10
"""A quote left open takes no more than this with it (what Python's csv allows in a field)."""


class QuotedLines:
    """The CSV records of a file, newlines inside quotes included."""

    def __init__(self, cursor: LineCursor, delimiter: str) -> None:
        self._cursor = cursor
        self._delimiter = delimiter
        self._line_counts: list[int] = []
        self.disk = cursor.disk
        self.path = cursor.path
        self.is_range = cursor.is_range
        self.lines_before = cursor.lines_before

    @property
    def offset(self) -> int:
        """Where the next record begins."""
        return self._cursor.offset

    @property
    def is_finished(self) -> bool:
        """Whether every record was taken and none will follow."""
        return self._cursor.is_finished

    def pending(self, wanted: int) -> list[bytes]:
        """The next up to `wanted` whole records, not yet taken."""
        lines = self._cursor.pending(wanted)
        if b'"' not in b"".join(lines):
            self._line_counts = [1] * len(lines)
            return lines
        records: list[bytes] = []
        self._line_counts = []
        index = 0
        while index < len(lines):
            record, count = lines[index], 1
            if record.count(b'"') % 2:
                count = self._count_lines(index)
                if count == 0:
                    break
                record = b"\n".join(self._cursor.pending(index + count)[index:])
            records.append(record)
            self._line_counts.append(count)
            index += count
        return records

    def _count_lines(self, start: int) -> int:
        """How many lines the record at `start` has; 0: its end is not written yet.

        1 also for a quote that is never closed: that line is malformed, the next one is read.
        """
        size = 0
        stop = start + 1
        while size <= _MAX_RECORD_BYTES:
            lines = self._cursor.pending(stop)
            if len(lines) < stop:
                if self._cursor.read_more():
                    continue
                return 1 if self._cursor.has_met_end else 0
            last = lines[-1]
            size += len(last) + 1
            if last.count(b'"') % 2 and self._is_whole(lines[start:]):
                return stop - start
            stop += 1
        return 1

    def _is_whole(self, lines: list[bytes]) -> bool:
        try:
            parse_rows([b"\n".join(lines)], self._delimiter)
        except MalformedError as error:
            return not isinstance(error, _OpenQuoteError)
        except UnicodeDecodeError:
            return True
        return True

    def take(self, count: int) -> int:
        """Passes `count` of the pending records; how many lines of the file that were."""
        return self._cursor.take(sum(self._line_counts[:count]))

    def close(self) -> None:
        """Closes the file."""
        self._cursor.close()


class _OpenQuoteError(MalformedError):
    """A quote that the text does not close."""


def parse_rows(records: list[bytes], delimiter: str) -> list[list[str]]:
    """The fields of each record; raises MalformedError unless each is one row by itself."""
    try:
        texts = list(map(bytes.decode, records))
        rows = list(csv.reader(texts, delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise _OpenQuoteError("a quote is never closed") from error
        raise MalformedError(str(error)) from error
    if len(rows) != len(records):
        raise _OpenQuoteError("a quote is never closed")
    return rows


@dataclass(frozen=True, slots=True)
class CsvStart:
    """Learns the columns of a file, from its first record or the schema, and makes its decoder."""

    open_lines: Callable[[FileSplit], Lines]
    delimiter: str
    has_header: bool
    schema: pa.Schema | None
    record_type: type | None

    def __call__(self, places: LinePlaces) -> Decode | None:
        """The decoder; None while a followed file has no first record yet."""
        first, was_seen = self._first_row(places)
        if not was_seen:
            return None
        names = self._names(places.lines.path, first)
        return csv_decode(names, self.delimiter, self.schema, self.record_type)

    def _first_row(self, places: LinePlaces) -> tuple[list[str], bool]:
        lines = places.lines
        if lines.offset == 0:
            row, was_seen = self._read_row(lines)
            if row and self.has_header:
                places.take(1)
            return row, was_seen
        beginning = self.open_lines(FileSplit(lines.path))
        try:
            return self._read_row(beginning)
        finally:
            beginning.close()

    def _read_row(self, lines: Lines) -> tuple[list[str], bool]:
        records = lines.pending(1)
        if not records:
            return [], lines.is_finished
        try:
            return parse_rows([records[0].removeprefix(BYTE_ORDER_MARK)], self.delimiter)[0], True
        except (MalformedError, UnicodeDecodeError) as error:
            raise FatalError(
                f"{lines.path}: its first line, which tells the columns, cannot be read: {error}"
            ) from error

    def _names(self, path: str, first: list[str]) -> Sequence[str]:
        if self.has_header:
            self._check_header(path, first)
            return first
        if self.schema is not None:
            return tuple(self.schema.names)
        if self.record_type is not None:
            return _field_names(self.record_type)
        return [f"c{index}" for index in range(len(first))]

    def _check_header(self, path: str, names: list[str]) -> None:
        if len(set(names)) < len(names):
            raise FatalError(f"{path}: its header names a column twice: {names}")
        wanted = [] if self.schema is None else self.schema.names
        missing = [name for name in wanted if name not in names]
        if missing and names:
            raise FatalError(
                f"{path}: its header lacks {missing} of the schema; it has {names}. "
                "For a file without a header line give header=False"
            )


def _field_names(record_type: type) -> Sequence[str]:
    import msgspec

    described = msgspec.inspect.type_info(mirror_type(record_type))
    return [field.encode_name for field in getattr(described, "fields", ())]


def csv_decode(
    names: Sequence[str], delimiter: str, schema: pa.Schema | None, record_type: type | None
) -> Decode:
    """Decodes CSV records into dicts of text, shaped by the schema or type if there is one."""
    width = len(names)
    shape = RecordShape(schema, record_type, from_text=True)

    def decode(records: list[bytes]) -> list[Any]:
        rows = parse_rows(records, delimiter)
        if [] in rows:
            rows = [row for row in rows if row]
        widths = set(map(len, rows))
        if widths - {width}:
            raise MalformedError(f"expected {width} fields, got {max(widths - {width})}")
        return shape.apply([dict(zip(names, row)) for row in rows])  # noqa: B905 - as checked

    return decode
