"""The formats of file sources: how each is cut into splits, and how a split is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from streamlet.connectors.files.column_reader import CHUNK_BYTES, ColumnReader, Decoders
from streamlet.connectors.files.csv_lines import QuotedLines
from streamlet.connectors.files.csv_start import CsvStart
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.json_columns import JsonColumns
from streamlet.connectors.files.line_reader import (
    Decode,
    FileReader,
    LineReader,
    decode_text,
    json_decode,
)
from streamlet.connectors.files.lines import LINE_CHUNK_BYTES, LineCursor, Lines
from streamlet.connectors.files.malformed import MalformedRecords
from streamlet.connectors.files.named_tuples import TupleMaker
from streamlet.connectors.files.parquet_reader import ParquetReader, open_parquet
from streamlet.connectors.files.splits import FileSplit, cut_evenly
from streamlet.connectors.files.streams import compression_of, reading
from streamlet.connectors.files.text_columns import is_known, schema_of_columns

if TYPE_CHECKING:
    import pyarrow as pa

MIN_RANGE_BYTES: Final = 1 << 20
"""A shorter byte range is not worth a reader."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One split to be read: from where, whether its file is followed, what malformed ones do."""

    disk: FileDisk
    split: FileSplit
    position: Any | None
    follow: bool
    malformed: MalformedRecords


class FileFormat(Protocol):
    """What a format of a file source does."""

    @property
    def rows_because(self) -> str | None:
        """Why its records are Python objects, for the plan; None: they are columns."""

    def cut(self, disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
        """The file in at most `parts` splits."""

    def open(self, opening: Opening) -> FileReader:
        """A reader of the split."""


def cut_by_bytes(disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
    """Byte ranges of at least 1 MiB; a compressed file, which cannot be entered midway, whole."""
    if parts <= 1 or compression_of(path) is not None:
        return [FileSplit(path)]
    with reading(path):
        size = disk.size_bytes(path)
    return cut_evenly(path, "bytes", size, min(parts, size // MIN_RANGE_BYTES))


def _cursor(opening: Opening, chunk_bytes: int = LINE_CHUNK_BYTES) -> LineCursor:
    disk, split, position, follow = opening.disk, opening.split, opening.position, opening.follow
    return LineCursor(disk, split, position, follow=follow, chunk_bytes=chunk_bytes)


@dataclass(frozen=True, slots=True)
class LineFormat:
    """One record per line, each a Python object."""

    decode: Decode
    rows_because: str | None

    @classmethod
    def text(cls) -> LineFormat:
        """Each line is a str."""
        return cls(decode_text, "text lines")

    @classmethod
    def json(cls, schema: pa.Schema | None, record_type: type | None) -> LineFormat:
        """Each line is a JSON value."""
        rows_because = _why_rows(schema, record_type) or "JSON lines without a schema"
        return cls(json_decode(schema, record_type), rows_because)

    def cut(self, disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
        return cut_by_bytes(disk, path, parts)

    def open(self, opening: Opening) -> FileReader:
        return LineReader(_cursor(opening), lambda _: self.decode, opening.malformed)


@dataclass(frozen=True, slots=True)
class JsonColumnsFormat:
    """One JSON object per line, with the fields of a schema."""

    schema: pa.Schema
    rows_because: str | None = None

    def cut(self, disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
        return cut_by_bytes(disk, path, parts)

    def open(self, opening: Opening) -> FileReader:
        decoders = Decoders(JsonColumns(self.schema), json_decode(self.schema, None))
        return ColumnReader(_cursor(opening, CHUNK_BYTES), lambda _: decoders, opening.malformed)


def json_format(schema: pa.Schema | None, record_type: type | None) -> FileFormat:
    """One JSON value per line, as columns where a schema says which."""
    if schema is not None and _why_rows(schema, record_type) is None:
        return JsonColumnsFormat(schema)
    return LineFormat.json(schema, record_type)


def _why_rows(schema: pa.Schema | None, record_type: type | None) -> str | None:
    if record_type is not None:
        return f"record_type={record_type.__name__}"
    if schema is None or schema_of_columns(schema) is not None:
        return None
    unknown = next((field for field in schema if not is_known(field.type)), None)
    if unknown is None:
        return "no schema of distinct fields"
    return f"schema field {unknown.name}: {unknown.type}"


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """Comma-separated values, as RFC 4180 has them."""

    schema: pa.Schema | None
    record_type: type | None
    has_header: bool
    delimiter: str
    quoted_newlines: bool

    @property
    def rows_because(self) -> str | None:
        return _why_rows(self.schema, self.record_type)

    def cut(self, disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
        # A newline may stand inside quotes: no byte range can know where a record begins.
        return [FileSplit(path)] if self.quoted_newlines else cut_by_bytes(disk, path, parts)

    def open(self, opening: Opening) -> FileReader:
        def open_lines(split: FileSplit) -> Lines:
            return self._lines(LineCursor(opening.disk, split, None, follow=opening.follow))

        start = CsvStart(open_lines, self.delimiter, self.has_header, self.schema, self.record_type)
        if self.rows_because is None:
            lines = self._lines(_cursor(opening, CHUNK_BYTES))
            return ColumnReader(lines, start.both, opening.malformed)
        return LineReader(self._lines(_cursor(opening)), start.decode, opening.malformed)

    def _lines(self, cursor: LineCursor) -> Lines:
        return QuotedLines(cursor, self.delimiter) if self.quoted_newlines else cursor


@dataclass(frozen=True, slots=True)
class ParquetFormat:
    """Parquet, by row groups."""

    schema: pa.Schema | None
    record_type: type | None

    @property
    def rows_because(self) -> str | None:
        if self.record_type is None or TupleMaker.of(self.record_type) is not None:
            return None
        return f"record_type={self.record_type.__name__}"

    def cut(self, disk: FileDisk, path: str, parts: int) -> list[FileSplit]:
        if parts <= 1:
            return [FileSplit(path)]
        file = open_parquet(disk, path)
        groups = file.num_row_groups
        file.close(force=True)
        return cut_evenly(path, "row-groups", groups, min(parts, groups))

    def open(self, opening: Opening) -> FileReader:
        columns = (self.schema, self.record_type)
        position = opening.position
        place = None if position is None else (int(position[0]), int(position[1]))
        return ParquetReader(opening.disk, opening.split, place, columns, opening.malformed)
