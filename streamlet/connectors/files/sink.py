"""The file sink: every record in exactly one visible file, whatever crashes when."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streamlet.connectors.files.commit import Commit
from streamlet.connectors.files.disk import REAL_DISK, FileDisk
from streamlet.connectors.files.encoders import CsvEncoder, JsonLinesEncoder
from streamlet.connectors.files.fields import checked_schema
from streamlet.connectors.files.journal import CommitJournal
from streamlet.connectors.files.later_output import Found, LaterOutput
from streamlet.connectors.files.output import DirectoryLock, remove
from streamlet.connectors.files.parquet_parts import ParquetParts
from streamlet.connectors.files.part_names import (
    run_and_checkpoint_of,
    run_and_checkpoint_of_hidden,
)
from streamlet.connectors.files.partitions import PartitionBy, Partitions
from streamlet.connectors.files.parts import PartFormat, TextParts
from streamlet.connectors.files.writer import FileSinkWriter, Place, Rolling
from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext
from streamlet.units import Duration

if TYPE_CHECKING:
    import pyarrow as pa

_LOG: Final = logging.getLogger("streamlet")


class FileSink(Sink[Any]):
    """Writes `part-<run>-<subtask>-<checkpoint>-<n>.<ext>`; made by `json_lines`, `csv`, `parquet`.

    A file is hidden (`.part-....inprogress`) until the checkpoint that covers its records is
    complete; then one rename makes it visible, and it never changes again. Readers of `part-*`
    therefore see each record exactly once, and may move files away. Files are closed at every
    checkpoint, at `roll_size`, and `roll_interval` after they were opened (seen when records come).

    `partition_by` (a field name, position or function, or several names) puts records into
    subdirectories `key=value`. `schema` (pyarrow) states the columns; without one they come from
    the first records. A job holds a lock on its output directory until `close`.

    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     sink = FileSink.json_lines(directory)
    ...     writer = sink.create_writer(WriterContext("run", 0, 1))
    ...     writer.write([{"user": "u1"}], None)
    ...     sink.commit(writer.prepare_commit())
    ...     sink.close()
    ...     sorted(os.listdir(directory))
    ['.streamlet.committed', '.streamlet.lock', 'part-run-0-1-1.jsonl']
    """

    name = "files"

    def __init__(
        self,
        directory: str | os.PathLike[str],
        make_format: Callable[[], PartFormat],
        *,
        partition_by: PartitionBy | None = None,
        rolling: Rolling | None = None,
        disk: FileDisk = REAL_DISK,
    ) -> None:
        self._directory = Path(directory)
        self._make_format = make_format
        self._partition_by = partition_by
        self._rolling = rolling or Rolling.of()
        self.rows_because = make_format().rows_because
        # Refuses what is no selector while the job is being built.
        if partition_by is not None and not Partitions(partition_by).takes_columns:
            self.rows_because = self.rows_because or "partition_by is not by field names"
        self._disk = disk
        self._lock = DirectoryLock(disk, self._directory)
        self._journal = CommitJournal(disk, self._directory)

    @classmethod
    def json_lines(
        cls,
        dir: str | os.PathLike[str],  # noqa: A002 - the API page's name
        *,
        partition_by: PartitionBy | None = None,
        roll_size: str | int = "128mb",
        roll_interval: Duration = "60s",
        schema: pa.Schema | None = None,
    ) -> FileSink:
        """One JSON value per line; with a schema exactly its fields, missing ones null."""
        schema = checked_schema(schema)
        return cls(
            dir,
            lambda: TextParts(JsonLinesEncoder(schema)),
            partition_by=partition_by,
            rolling=Rolling.of(roll_size, roll_interval),
        )

    @classmethod
    def csv(
        cls,
        dir: str | os.PathLike[str],  # noqa: A002 - the API page's name
        *,
        partition_by: PartitionBy | None = None,
        roll_size: str | int = "128mb",
        roll_interval: Duration = "60s",
        schema: pa.Schema | None = None,
    ) -> FileSink:
        """A header line in each file, then one line per record."""
        schema = checked_schema(schema)
        return cls(
            dir,
            lambda: TextParts(CsvEncoder(schema)),
            partition_by=partition_by,
            rolling=Rolling.of(roll_size, roll_interval),
        )

    @classmethod
    def parquet(
        cls,
        dir: str | os.PathLike[str],  # noqa: A002 - the API page's name
        *,
        partition_by: PartitionBy | None = None,
        roll_size: str | int = "128mb",
        roll_interval: Duration = "60s",
        schema: pa.Schema | None = None,
    ) -> FileSink:
        """Parquet files, compressed with zstd inside."""
        schema = checked_schema(schema)
        return cls(
            dir,
            lambda: ParquetParts(schema),
            partition_by=partition_by,
            rolling=Rolling.of(roll_size, roll_interval),
        )

    def destination(self) -> str:
        return f"the directory {os.path.realpath(self._directory)}"

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        # Partitions and formats remember what they saw, so each writer has its own.
        partitions = None if self._partition_by is None else Partitions(self._partition_by)
        place = Place(self._disk, self._directory)
        return FileSinkWriter(place, ctx, self._make_format(), partitions, self._rolling)

    def commit(self, committables: Sequence[Any]) -> None:
        """Renames every file; returns when the renames would survive power loss.

        If the process dies on the way, the same committables come again after the restore: what is
        renamed already is left as it is, or where a reader has moved it.
        """
        self._take_directory()
        if committables:
            Commit(self._disk, self._directory, self._journal, committables).run()

    def check_restore(self, ctx: RestoreContext, committables: Sequence[Any]) -> None:
        """Locks the directory; refuses output that the checkpoint does not know, and lost files."""
        self._take_directory()
        self._later_output(self._output()[0], ctx).check()
        if committables:
            Commit(self._disk, self._directory, self._journal, committables).check_restore()

    def recover(self, ctx: RestoreContext) -> None:
        """Locks the directory; refuses, keeps or discards later output; removes hidden files.

        It refuses before it removes anything. Only files of `ctx.run_ids` are touched; those that
        a savepoint needs stay hidden.
        """
        self._take_directory()
        self._journal.begin_attempt()
        visible, hidden = self._output()
        later = self._later_output(visible, ctx)
        later.check()
        later.settle()
        left = [
            path
            for path, run_id, opened_for in hidden
            if run_id in ctx.run_ids and not ctx.is_spared(run_id, opened_for)
        ]
        remove(self._disk, left)
        strangers = [path for path, run_id, _ in visible if run_id not in ctx.run_ids]
        if ctx.checkpoint_id == 0 and strangers:
            _LOG.warning(
                "%s holds %d files of other runs (such as %s); this run adds its own beside them",
                self._directory,
                len(strangers),
                strangers[0].name,
            )

    def _later_output(self, visible: Sequence[Found], ctx: RestoreContext) -> LaterOutput:
        return LaterOutput(self._disk, self._directory, self._journal, visible, ctx)

    def _take_directory(self) -> None:
        """Keeps other jobs out; what they may have noted meanwhile is read anew."""
        if self._lock.acquire():
            self._journal = CommitJournal(self._disk, self._directory)

    def _output(self) -> tuple[list[Found], list[Found]]:
        """The visible files with their checkpoints, and the hidden ones: see `part_names`."""
        visible: list[Found] = []
        hidden: list[Found] = []
        for path in self._files():
            if (known := run_and_checkpoint_of(path.name)) is not None:
                visible.append((path, *known))
            elif (known := run_and_checkpoint_of_hidden(path.name)) is not None:
                hidden.append((path, *known))
        return visible, hidden

    def _files(self) -> Iterator[Path]:
        unseen = [self._directory]
        while unseen:
            for path in self._disk.list(unseen.pop()):
                # Only partitions can hold parts; whatever else lies there is none of the sink's.
                if "=" in path.name and self._disk.is_directory(path):
                    unseen.append(path)
                else:
                    yield path

    def close(self) -> None:
        """Gives the output directory back to other jobs."""
        self._lock.release()
