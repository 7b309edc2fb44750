"""The file source: JSON lines, CSV, Parquet or text from one file, a directory or a glob."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from streamlet.connectors.files.discovery import FileEnumerator, check_path
from streamlet.connectors.files.disk import REAL_DISK, FileDisk
from streamlet.connectors.files.fields import checked_schema
from streamlet.connectors.files.formats import (
    CsvFormat,
    FileFormat,
    LineFormat,
    Opening,
    ParquetFormat,
    json_format,
)
from streamlet.connectors.files.malformed import MalformedRecords, OnError, check_on_error
from streamlet.connectors.files.named_tuples import TupleMaker
from streamlet.connectors.files.records import mirror_type
from streamlet.connectors.files.splits import FileSplit
from streamlet.elements import OutputTag
from streamlet.errors import ConfigError
from streamlet.source import PartitionReader, Source, SplitEnumerator

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class FileSource(Source[T]):
    """Reads files as streams of records; made by `json_lines`, `csv`, `parquet` or `text`.

    `path` is a file, a directory (the files in it, not those in its subdirectories) or a glob;
    hidden files are left out. Names that end in `.gz` or `.zst` are read through gzip or zstd.
    Records are dicts, or `record_type` objects (dataclass, NamedTuple, msgspec Struct).

    With a `schema` (pyarrow) records have exactly its fields: text becomes what the type says,
    other fields are dropped, missing ones are None; a value that does not fit is malformed.
    Parquet, CSV and, with a schema, JSON lines are read as columns unless there is a record type;
    where text might mean something else to the parser of columns, it is read row by row.

    `on_error` says what a malformed record does: `"fail"` stops the job with its place and text,
    `"skip"` counts it, an `OutputTag` sends `{"file", "line" | "offset" | "row", "text", "error"}`
    to that side output.

    `follow=True` never ends: it waits for whole new lines and for new files. Parquet and
    compressed files must then be moved into place whole. A followed file may only grow: one that
    is truncated or replaced (log rotation) stops the job; follow a directory of new files instead.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = pathlib.Path(directory, "clicks.jsonl")
    ...     _ = path.write_text('{"user":"u1"}\\n')
    ...     reader = FileSource.json_lines(path).open_split(str(path), None)
    ...     reader.poll(10), reader.poll(10), reader.position(), reader.close()
    ([{'user': 'u1'}], None, 14, None)
    """

    # A poll is one batch from a local file. A thread would parse it under the same GIL, and the
    # switching between the two costs more than reading on the loop.
    blocking = False
    name = "files"

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: FileFormat,  # noqa: A002 - what else to call it
        *,
        follow: bool = False,
        on_error: OnError = "fail",
        disk: FileDisk = REAL_DISK,
    ) -> None:
        check_on_error(on_error)
        self._path = os.fspath(path)
        self._disk = disk
        check_path(disk, self._path, follow=follow)
        self._format = format
        self._follow = follow
        self._on_error = on_error
        self.bounded = not follow
        self.rows_because = format.rows_because
        self.dead_letter_tag = on_error if isinstance(on_error, OutputTag) else None

    @classmethod
    def json_lines(
        cls,
        path: str | os.PathLike[str],
        *,
        follow: bool = False,
        record_type: type | None = None,
        schema: pa.Schema | None = None,
        on_error: OnError = "fail",
    ) -> FileSource[Any]:
        """One JSON value per line; blank lines are left out."""
        _check_record_type(record_type)
        return cls(
            path, json_format(checked_schema(schema), record_type), follow=follow, on_error=on_error
        )

    @classmethod
    def text(
        cls,
        path: str | os.PathLike[str],
        *,
        follow: bool = False,
        on_error: OnError = "fail",
    ) -> FileSource[Any]:
        r"""Each line as a str, without its newline (\n or \r\n); bytes must be UTF-8."""
        return cls(path, LineFormat.text(), follow=follow, on_error=on_error)

    @classmethod
    def csv(  # noqa: PLR0913 - the names are the API page's
        cls,
        path: str | os.PathLike[str],
        *,
        follow: bool = False,
        record_type: type | None = None,
        schema: pa.Schema | None = None,
        on_error: OnError = "fail",
        header: bool = True,
        delimiter: str = ",",
        quoted_newlines: bool = True,
    ) -> FileSource[Any]:
        """One record per row, all text unless there is a schema or a record type.

        Without a header, columns are called after the schema, the record type, or `c0`, `c1`, ...
        `quoted_newlines=False` promises that no field has a newline: then one big file is read by
        several readers at once.
        """
        if len(delimiter) != 1:
            raise ConfigError(f"delimiter must be one character, got {delimiter!r}")
        _check_record_type(record_type)
        known = checked_schema(schema)
        csv_format = CsvFormat(known, record_type, header, delimiter, quoted_newlines)
        return cls(path, csv_format, follow=follow, on_error=on_error)

    @classmethod
    def parquet(
        cls,
        path: str | os.PathLike[str],
        *,
        follow: bool = False,
        record_type: type | None = None,
        schema: pa.Schema | None = None,
        on_error: OnError = "fail",
    ) -> FileSource[Any]:
        """One record per row; with a schema its columns only, cast to its types."""
        _check_record_type(record_type)
        parquet_format = ParquetFormat(checked_schema(schema), record_type)
        source: FileSource[Any] = cls(path, parquet_format, follow=follow, on_error=on_error)
        source.make_records = TupleMaker.of(record_type)
        return source

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return FileEnumerator(
            self._disk, self._path, parallelism, self._format.cut, follow=self._follow
        )

    def open_split(self, split: str, position: Any | None) -> PartitionReader[T]:
        parsed = FileSplit.parse(split)
        malformed = MalformedRecords(parsed.path, self._on_error)
        return self._format.open(Opening(self._disk, parsed, position, self._follow, malformed))


def _check_record_type(record_type: type | None) -> None:
    if record_type is not None:
        mirror_type(record_type)
