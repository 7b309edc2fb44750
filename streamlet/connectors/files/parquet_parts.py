"""Parquet files that a sink writer has open, written by row groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from streamlet.columns import records_of
from streamlet.connectors.files.fields import column_values, fields_of
from streamlet.connectors.files.malformed import shorten
from streamlet.connectors.files.parts import Part
from streamlet.connectors.files.text_columns import InDoubt
from streamlet.connectors.files.written_columns import as_written, seen_schema
from streamlet.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_ROWS: Final = 1 << 16
_ROW_GROUP_BYTES: Final = 64 << 20


class ParquetParts:
    """Parquet files, zstd inside; the schema is given, or inferred from the first batch."""

    extension = "parquet"
    rows_because: str | None = None

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

    def table_of(self, records: pa.RecordBatch) -> pa.Table:
        """The records as `table` would make them of their dicts."""
        import pyarrow as pa

        schema = seen_schema(records) if self._schema is None else self._schema
        arrays = None if schema is None else self._cast(records, schema)
        if arrays is None:
            return self.table(records_of(records))
        self._schema = schema
        return pa.Table.from_arrays(arrays, schema=schema)

    def _cast(self, records: pa.RecordBatch, schema: pa.Schema) -> list[pa.Array] | None:
        """The columns of the file; None if they may not be what becomes of Python values."""
        import pyarrow as pa

        missing = set(schema.names) - set(records.schema.names)
        if len(schema) - len(missing) != records.num_columns or (missing and not self._has_schema):
            return None
        nulls = pa.nulls(records.num_rows)
        try:
            return [
                as_written(nulls if field.name in missing else records.column(field.name), field)
                for field in schema
            ]
        except (pa.ArrowException, InDoubt):
            return None


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
        self._add(self._parts.table(values))

    def write_columns(self, records: pa.RecordBatch) -> None:
        self._add(self._parts.table_of(records))

    def _add(self, table: pa.Table) -> None:
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
