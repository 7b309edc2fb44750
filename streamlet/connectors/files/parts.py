"""The files a sink writer has open: text encoded as it comes, or Parquet by row groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from streamlet.connectors.files.encoders import TextEncoder
from streamlet.connectors.files.fields import column_values, fields_of
from streamlet.connectors.files.malformed import shorten
from streamlet.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_ROWS: Final = 1 << 16
_ROW_GROUP_BYTES: Final = 64 << 20


class Part(Protocol):
    """A file being written."""

    @property
    def size_bytes(self) -> int:
        """About how long the file would be if it were closed now."""

    def write(self, values: Sequence[Any]) -> None: ...

    def close(self) -> None: ...


class PartFormat(Protocol):
    """Makes the files of one writer, which share their columns."""

    extension: str

    def begin(self, file: BinaryIO) -> Part:
        """Writes into a new file, which the part closes."""


class TextParts:
    """Files of a text format."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.extension = encoder.extension

    def begin(self, file: BinaryIO) -> Part:
        return _TextPart(file, self._encoder)


class _TextPart:
    def __init__(self, file: BinaryIO, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._file = file
        self.size_bytes = 0

    def write(self, values: Sequence[Any]) -> None:
        if self.size_bytes == 0:
            self.size_bytes += self._file.write(self._encoder.header(values))
        self.size_bytes += self._file.write(self._encoder.encode(values))

    def close(self) -> None:
        self._file.close()


class ParquetParts:
    """Parquet files, zstd inside; the schema is given, or inferred from the first batch."""

    extension = "parquet"

    def __init__(self, schema: pa.Schema | None) -> None:
        self._has_schema = schema is not None
        self._schema = schema

    def begin(self, file: BinaryIO) -> Part:
        return _ParquetPart(file, self)

    def table(self, values: Sequence[Any]) -> pa.Table:
        """The records as columns; RecordError names the column that does not fit."""
        import pyarrow as pa

        records = fields_of(values)
        if self._schema is None:
            self._schema = _infer(records)
        names = list(self._schema.names)
        rows = [column_values(record, names, may_lack=self._has_schema) for record in records]
        arrays = [
            _column(list(column), self._schema.field(index))
            for index, column in enumerate(zip(*rows, strict=True))
        ]
        return pa.Table.from_arrays(arrays, schema=self._schema)


def _infer(records: Sequence[Any]) -> pa.Schema:
    import pyarrow as pa

    names = list(dict.fromkeys(name for record in records for name in record))
    fields = []
    for name in names:
        values = [record.get(name) for record in records]
        try:
            fields.append(pa.field(name, pa.array(values).type))
        except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
            raise _misfit(name, "any one Parquet type", values, error) from error
    return pa.schema(fields)


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    import pyarrow as pa

    try:
        if pa.types.is_integer(field.type) and any(isinstance(v, float) for v in values):
            # pyarrow would cut the fraction in silence.
            return pa.array(values).cast(field.type)
        if not field.nullable and None in values:
            raise TypeError("None in a field that is not nullable")
        return pa.array(values, field.type)
    except (ValueError, TypeError, OverflowError, pa.ArrowException) as error:
        raise _misfit(field.name, str(field.type), values, error) from error


def _misfit(name: str, expected: str, values: list[Any], error: Exception) -> RecordError:
    kinds = sorted({type(value).__name__ for value in values})
    return RecordError(
        f"column {name!r} does not fit {expected}: {error}\n"
        f"  got values of {', '.join(kinds)}: {shorten(repr(values[:5]))}\n"
        "  types come from the first batch; state them with schema=pa.schema(...)"
    )


class _ParquetPart:
    """Collects tables until they are worth a row group."""

    def __init__(self, file: BinaryIO, parts: ParquetParts) -> None:
        self._file = file
        self._parts = parts
        self._writer: Any = None
        self._tables: list[Any] = []
        self._rows = self._pending_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes written, and those of the row group being collected before compression."""
        return self._file.tell() + self._pending_bytes

    def write(self, values: Sequence[Any]) -> None:
        table = self._parts.table(values)
        self._tables.append(table)
        self._rows += table.num_rows
        self._pending_bytes += table.nbytes
        if self._rows >= _ROW_GROUP_ROWS or self._pending_bytes >= _ROW_GROUP_BYTES:
            self._write_row_group()

    def _write_row_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.concat_tables(self._tables)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_table(table)
        self._tables, self._rows, self._pending_bytes = [], 0, 0

    def close(self) -> None:
        try:
            if self._tables:
                self._write_row_group()
            if self._writer is not None:
                self._writer.close()
        finally:
            self._file.close()
