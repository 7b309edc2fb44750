"""The file sink: every record in exactly one visible file, whatever crashes when."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from streamlet.clock import Clock, SystemClock
from streamlet.connectors.files.disk import DirectoryLock, publish, remove, sync_paths
from streamlet.connectors.files.encoders import CsvEncoder, JsonLinesEncoder
from streamlet.connectors.files.part_names import run_and_checkpoint_of, run_of_hidden
from streamlet.connectors.files.partitions import PartitionBy, Partitions
from streamlet.connectors.files.parts import ParquetParts, PartFormat, TextParts
from streamlet.connectors.files.writer import FileSinkWriter, Rolling
from streamlet.errors import FatalError, RestoreError
from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext
from streamlet.units import Duration, to_bytes, to_positive_ms

if TYPE_CHECKING:
    import pyarrow as pa

_LOG: Final = logging.getLogger("streamlet")
_SHOWN_FILES: Final = 5


class FileSink(Sink[Any]):
    """Writes `part-<run>-<subtask>-<checkpoint>-<n>.<ext>`; made by `json_lines`, `csv`, `parquet`.

    A file is hidden (`.part-....inprogress`) until the checkpoint that covers its records is
    complete; then one rename makes it visible, and it never changes again. Readers of `part-*`
    therefore see each record exactly once. Files are closed at every checkpoint, at `roll_size`,
    and `roll_interval` after they were opened (seen when records come).

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
    ['.streamlet.lock', 'part-run-0-1-1.jsonl']
    """

    name = "files"

    def __init__(
        self,
        directory: str | os.PathLike[str],
        make_format: Callable[[], PartFormat],
        *,
        partition_by: PartitionBy | None = None,
        roll_size: str | int = "128mb",
        roll_interval: Duration = "60s",
        clock: Clock | None = None,
    ) -> None:
        self._directory = Path(directory)
        self._make_format = make_format
        self._partition_by = partition_by
        self._rolling = Rolling(
            to_bytes(roll_size),
            to_positive_ms(roll_interval, "roll_interval"),
            clock or SystemClock(),
        )
        if partition_by is not None:
            Partitions(partition_by)  # refuses what is no selector while the job is being built
        self._lock = DirectoryLock(self._directory)

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
        return cls(
            dir,
            lambda: TextParts(JsonLinesEncoder(schema)),
            partition_by=partition_by,
            roll_size=roll_size,
            roll_interval=roll_interval,
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
        return cls(
            dir,
            lambda: TextParts(CsvEncoder(schema)),
            partition_by=partition_by,
            roll_size=roll_size,
            roll_interval=roll_interval,
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
        return cls(
            dir,
            lambda: ParquetParts(schema),
            partition_by=partition_by,
            roll_size=roll_size,
            roll_interval=roll_interval,
        )

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        # Partitions and formats remember what they saw, so each writer has its own.
        partitions = None if self._partition_by is None else Partitions(self._partition_by)
        return FileSinkWriter(self._directory, ctx, self._make_format(), partitions, self._rolling)

    def commit(self, committables: Sequence[Any]) -> None:
        """Renames every file; returns when the renames would survive power loss.

        If the process dies between two renames, or before the directories are synced, the same
        committables come again after the restore: what is renamed already is left as it is.
        """
        self._lock.acquire()
        directories: set[Path] = set()
        for one in committables:
            visible = self._part(one["final"])
            publish(self._part(one["temp"]), visible)
            directories.add(visible.parent)
        sync_paths(sorted(directories))

    def _part(self, name: str) -> Path:
        """Where a committable's file is; a savepoint may come from anyone."""
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise FatalError(
                f"the checkpoint names {name!r}, which is no file of {self._directory}"
            )
        return self._directory / name

    def recover(self, ctx: RestoreContext) -> None:
        """Locks the directory; refuses, keeps or discards later output; removes hidden files.

        It refuses before it removes anything. Only files of `ctx.run_ids` are touched.
        """
        self._lock.acquire()
        visible, hidden = self._output()
        later = [
            path
            for path, run_id, checkpoint_id in visible
            if run_id in ctx.run_ids and checkpoint_id > ctx.checkpoint_id
        ]
        if later and ctx.later_output == "refuse":
            raise self._later_output(later, ctx.checkpoint_id)
        if ctx.later_output == "discard":
            remove(later)
            sync_paths(sorted({path.parent for path in later}))
        remove(path for path, run_id in hidden if run_id in ctx.run_ids)
        strangers = [path for path, run_id, _ in visible if run_id not in ctx.run_ids]
        if ctx.checkpoint_id == 0 and strangers:
            _LOG.warning(
                "%s holds %d files of other runs (such as %s); this run adds its own beside them",
                self._directory,
                len(strangers),
                strangers[0].name,
            )

    def _output(self) -> tuple[list[tuple[Path, str, int]], list[tuple[Path, str]]]:
        visible: list[tuple[Path, str, int]] = []
        hidden: list[tuple[Path, str]] = []
        for path in self._files():
            if (known := run_and_checkpoint_of(path.name)) is not None:
                visible.append((path, *known))
            elif (run_id := run_of_hidden(path.name)) is not None:
                hidden.append((path, run_id))
        return visible, hidden

    def _files(self) -> Iterator[Path]:
        for directory, subdirectories, names in os.walk(self._directory):
            # Only partitions can hold parts; whatever else lies there is none of the sink's.
            subdirectories[:] = sorted(name for name in subdirectories if "=" in name)
            yield from (Path(directory, name) for name in sorted(names))

    def _later_output(self, later: list[Path], checkpoint_id: int) -> RestoreError:
        shown = "\n".join(f"  {path.relative_to(self._directory)}" for path in later[:_SHOWN_FILES])
        more = f"\n  and {len(later) - _SHOWN_FILES} more" if len(later) > _SHOWN_FILES else ""
        files = "1 file" if len(later) == 1 else f"{len(later)} files"
        if checkpoint_id:
            found = f"{files} newer than checkpoint {checkpoint_id}, from which it would go on"
        else:
            found = f"{files} of its earlier runs, and it would start from the beginning"
        return RestoreError(
            f"{self._directory} already holds output of this job: {found}\n"
            f"and write these records again:\n{shown}{more}\n"
            "  --resume goes on from the latest checkpoint instead;\n"
            "  --discard-later-output removes these files;\n"
            "  --keep-later-output leaves them, and their records are there twice"
        )

    def close(self) -> None:
        """Gives the output directory back to other jobs."""
        self._lock.release()
