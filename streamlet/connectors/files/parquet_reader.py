"""Reads Parquet files by row group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from streamlet.columns import in_microseconds
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.line_reader import MALFORMED, FileReader
from streamlet.connectors.files.malformed import MalformedRecords, Place
from streamlet.connectors.files.named_tuples import TupleMaker
from streamlet.connectors.files.records import RecordShape
from streamlet.connectors.files.splits import FileSplit
from streamlet.connectors.files.streams import has_changed, reading
from streamlet.errors import FatalError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_BATCH_ROWS: Final = 1 << 16


class ParquetReader(FileReader):
    """The rows of a split as columns, or as records of a type.

    Its position is (row group, row within it). A row group is read piece by piece: the first does
    not wait for the last, and no more than one is in memory.
    """

    def __init__(
        self,
        disk: FileDisk,
        split: FileSplit,
        position: tuple[int, int] | None,
        columns: tuple[pa.Schema | None, type | None],
        malformed: MalformedRecords,
    ) -> None:
        super().__init__(malformed)
        self._path = split.path
        self._schema, record_type = columns
        self._shape = RecordShape(None, record_type, from_text=False)
        self._file = open_parquet(disk, split.path)
        names = self._file.schema_arrow.names
        # A name that comes twice is one field of a dict, and two columns.
        self._gives_columns = 0 < len(names) == len(set(names))
        self._record_type = record_type
        self._tuples = TupleMaker.of(record_type)
        self._group, self._row = (split.start, 0) if position is None else position
        groups = self._file.num_row_groups
        self._stop = groups if split.end is None else split.end
        if max(self._group, self._stop) > groups:
            self.close()
            raise has_changed(split.path, f"it was replaced by one of {groups} row groups")
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._batch: pa.RecordBatch | None = None
        """What was read and not yet given: it begins at `_row`."""
        self._is_columns = False
        """Whether the source makes the very records of its columns, should anybody need them."""

    def poll(self, max_records: int) -> pa.RecordBatch | list[Any] | None:
        """The next rows; never crosses a row group."""
        batch = self._next_batch()
        if batch is None:
            return None
        part = batch.slice(0, max_records)
        records = part if self._is_columns else self._shaped(part)
        self._row += part.num_rows
        self._batch = batch.slice(part.num_rows) if part.num_rows < batch.num_rows else None
        if self._row >= self._group_rows():
            self._group, self._row, self._batches = self._group + 1, 0, None
        return records

    def _group_rows(self) -> int:
        rows: int = self._file.metadata.row_group(self._group).num_rows
        return rows

    def _next_batch(self) -> pa.RecordBatch | None:
        while self._batch is None and self._group < self._stop:
            if self._row >= self._group_rows():
                self._group, self._row, self._batches = self._group + 1, 0, None
            else:
                self._batch = self._read_batch()
                self._is_columns = self._is_fit(self._batch)
        return self._batch

    def _read_batch(self) -> pa.RecordBatch:
        """The next rows of the row group; those before `_row` are read again and left out."""
        passed = 0
        if self._batches is None:
            names = self._names_to_read() if self._schema is None else self._known_names()
            self._batches = self._file.iter_batches(_BATCH_ROWS, [self._group], names)
            passed = self._row
        with reading_parquet(self._path):
            batch = next(self._batches)
            while passed >= batch.num_rows:
                passed -= batch.num_rows
                batch = next(self._batches)
        batch = batch.slice(passed)
        return _in_microseconds(batch if self._schema is None else self._cast(batch))

    def _is_fit(self, batch: pa.RecordBatch) -> bool:
        if not self._gives_columns or self._record_type is None:
            return self._gives_columns
        return self._tuples is not None and self._tuples.fits(batch)

    def _names_to_read(self) -> list[str] | None:
        """The columns that records are made of; None: all."""
        needed = self._shape.names_needed()
        have = self._file.schema_arrow.names
        wanted = [name for name in have if needed is None or name in needed]
        return wanted if 0 < len(wanted) < len(have) else None

    def _known_names(self) -> list[str]:
        assert self._schema is not None
        have = self._file.schema_arrow.names
        missing = [name for name in self._schema.names if name not in have]
        if missing:
            raise FatalError(f"{self._path}: it lacks {missing} of the schema; it has {have}")
        return list(self._schema.names)

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        assert self._schema is not None
        import pyarrow as pa

        try:
            return batch.select(self._schema.names).cast(self._schema)
        except (ValueError, TypeError, pa.ArrowException) as error:
            raise FatalError(
                f"{self._path}: row group {self._group} does not fit the schema: {error}"
            ) from error

    def _shaped(self, part: pa.RecordBatch) -> list[Any]:
        try:
            return self._shape.of_columns(part)
        except MALFORMED:
            return self._one_by_one(part.to_pylist())

    def _one_by_one(self, rows: list[Any]) -> list[Any]:
        records: list[Any] = []
        before = sum(self._file.metadata.row_group(g).num_rows for g in range(self._group))
        for index, row in enumerate(rows, before + self._row + 1):
            try:
                records.extend(self._shape.apply([row]))
            except MALFORMED as error:
                place = Place("row", index)
                self._malformed.add(lambda at=place: at, repr(row), error)  # type: ignore[misc]
        return records

    def position(self) -> tuple[int, int]:
        """The row group and the row in it that come next."""
        return self._group, self._row

    def close(self) -> None:
        self._file.close(force=True)


def _in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    for index, column in enumerate(batch.columns):
        if (cut := in_microseconds(column)) is not column:
            batch = batch.set_column(index, batch.schema.names[index], cut)
    return batch


def open_parquet(disk: FileDisk, path: str) -> pq.ParquetFile:
    """The open file, to be closed with `force=True`; FatalError when it is none."""
    import pyarrow.parquet as pq

    with reading_parquet(path):
        file = disk.open(path)
        try:
            return pq.ParquetFile(file)
        except BaseException:
            file.close()
            raise


@contextmanager
def reading_parquet(path: str) -> Iterator[None]:
    """Turns what pyarrow says about a Parquet file into a FatalError that names it."""
    import pyarrow as pa

    try:
        with reading(path):
            yield
    except pa.ArrowException as error:
        raise FatalError(
            f"{path}: not a whole Parquet file ({error}); it is damaged or still being written "
            "(Parquet files must be moved into place whole)"
        ) from error
