"""CSV: learns the columns of a file, and how its records are decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamlet.connectors.files.column_reader import Decoders
from streamlet.connectors.files.csv_columns import CsvColumns
from streamlet.connectors.files.csv_lines import parse_rows
from streamlet.connectors.files.line_reader import BYTE_ORDER_MARK, Decode, LinePlaces
from streamlet.connectors.files.lines import Lines
from streamlet.connectors.files.malformed import MalformedError
from streamlet.connectors.files.records import RecordShape, mirror_type
from streamlet.connectors.files.splits import FileSplit
from streamlet.errors import FatalError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class CsvStart:
    """Learns the columns of a file, from its first record or the schema, and makes its decoder."""

    open_lines: Callable[[FileSplit], Lines]
    delimiter: str
    has_header: bool
    schema: pa.Schema | None
    record_type: type | None

    def decode(self, places: LinePlaces) -> Decode | None:
        """The decoder; None while a followed file has no first record yet."""
        names = self._names(places)
        if names is None:
            return None
        return csv_decode(names, self.delimiter, self.schema, self.record_type)

    def both(self, places: LinePlaces) -> Decoders | None:
        """The decoder with the one that gives columns."""
        names = self._names(places)
        if names is None:
            return None
        columns = CsvColumns(names, self.delimiter, self.schema)
        return Decoders(columns, csv_decode(names, self.delimiter, self.schema, None))

    def _names(self, places: LinePlaces) -> Sequence[str] | None:
        first, was_seen = self._first_row(places)
        return self._names_from(places.lines.path, first) if was_seen else None

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

    def _names_from(self, path: str, first: list[str]) -> Sequence[str]:
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
