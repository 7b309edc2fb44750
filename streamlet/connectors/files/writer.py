"""Writes the records of one subtask to hidden files, and closes them at every checkpoint."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from streamlet.clock import Clock, SystemClock
from streamlet.connectors.files.checksums import SummedFile
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.output import remove, sync_directories, writing
from streamlet.connectors.files.part_names import PartName
from streamlet.connectors.files.partitions import Partitions
from streamlet.connectors.files.parts import Part, PartFormat
from streamlet.sink import SinkWriter, WriterContext
from streamlet.units import Duration, to_bytes, to_positive_ms

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

_MAX_OPEN_PARTS: Final = 100

_MIN_CUT_ROWS: Final = 1 << 12
"""As many rows come in a batch of Python objects, and are not cut either."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """When a file is closed before its checkpoint."""

    size_bytes: int
    interval_ms: int
    clock: Clock

    @classmethod
    def of(
        cls,
        roll_size: str | int = "128mb",
        roll_interval: Duration = "60s",
        clock: Clock | None = None,
    ) -> Rolling:
        """At this size, and at this age as the clock has it."""
        interval_ms = to_positive_ms(roll_interval, "roll_interval")
        return cls(to_bytes(roll_size), interval_ms, clock or SystemClock())


@dataclass(slots=True)
class _OpenPart:
    name: PartName
    path: Path
    file: SummedFile
    part: Part
    opened_ms: int


@dataclass(frozen=True, slots=True)
class _ClosedPart:
    name: PartName
    path: Path
    size_bytes: int
    crc32: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sink writes."""

    disk: FileDisk
    directory: Path


class FileSinkWriter(SinkWriter[Any]):
    """One subtask's files; at most one is open per partition, and at most 100 in all.

    A committable is `{"temp": hidden path, "final": visible path, "size": bytes, "crc32": sum}`,
    paths relative to the output directory, so that the directory can be moved. Older versions
    wrote neither size nor sum.
    """

    def __init__(
        self,
        place: Place,
        ctx: WriterContext,
        format: PartFormat,  # noqa: A002 - what else to call it
        partitions: Partitions | None,
        rolling: Rolling,
    ) -> None:
        self._disk = place.disk
        self._directory = place.directory
        self._ctx = ctx
        self._format = format
        self._partitions = partitions
        self._rolling = rolling
        self._part_count = 0
        self._open: dict[str, _OpenPart] = {}
        self._closed: list[_ClosedPart] = []
        self._seen: set[Path] = set()
        self._changed: set[Path] = set()
        # Appended by the writing thread, drained by the syncing one; both ends are atomic. A sync
        # that starts late finds the paths of two checkpoints, which is more than it must do.
        self._to_sync: deque[Path] = deque()
        self._directories_to_sync: deque[Path] = deque()

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        """Appends the records to the open files of their partitions."""
        if not values:
            return
        now_ms = self._close_old()
        groups = {"": values} if self._partitions is None else self._partitions.group(values)
        for key, group in groups.items():
            self._append(key, now_ms, methodcaller("write", group))

    def write_columns(
        self, records: pa.RecordBatch, timestamps: npt.NDArray[np.int64] | None
    ) -> None:
        """As `write`; a batch that is longer than a file may be is cut."""
        if not records.num_rows:
            return
        partitions = self._partitions
        groups = {"": records} if partitions is None else partitions.group_columns(records)
        if groups is None:
            super().write_columns(records, timestamps)
            return
        now_ms = self._close_old()
        for key, group in groups.items():
            for piece in self._cut(group):
                self._append(key, now_ms, methodcaller("write_columns", piece))

    def _cut(self, records: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        pieces = -(-records.nbytes // self._rolling.size_bytes)
        step = max(-(-records.num_rows // max(pieces, 1)), min(records.num_rows, _MIN_CUT_ROWS))
        for start in range(0, records.num_rows, step):
            yield records.slice(start, step)

    def _close_old(self) -> int:
        """Closes files that are old enough; what time it is."""
        now_ms = self._rolling.clock.now_ms()
        for key in [k for k, one in self._open.items() if self._is_old(one, now_ms)]:
            self._close_part(key)
        return now_ms

    def _is_old(self, one: _OpenPart, now_ms: int) -> bool:
        return now_ms - one.opened_ms >= self._rolling.interval_ms

    def _append(self, key: str, now_ms: int, write: Callable[[Part], None]) -> None:
        one = self._open.get(key) or self._open_part(key, now_ms)
        with writing(one.path):
            write(one.part)
        if one.part.size_bytes >= self._rolling.size_bytes:
            self._close_part(key)

    def _open_part(self, key: str, now_ms: int) -> _OpenPart:
        if len(self._open) >= _MAX_OPEN_PARTS:
            # Dicts keep their order: the first was opened longest ago.
            self._close_part(next(iter(self._open)))
        self._part_count += 1
        ctx = self._ctx
        name = PartName(
            ctx.run_id,
            ctx.subtask_index,
            ctx.checkpoint_id,
            self._part_count,
            self._format.extension,
        )
        directory = self._directory / key
        path = directory / name.hidden()
        with writing(path):
            self._make_directory(directory)
            # A name is never written twice: what has it may belong to a checkpoint.
            file = SummedFile(self._disk.create_new(path))
            part = self._format.begin(cast(BinaryIO, file))  # all of it that a part asks for
            one = _OpenPart(name, path, file, part, now_ms)
        self._open[key] = one
        return one

    def _make_directory(self, directory: Path) -> None:
        """What names a partition is synced even if it is there already: an attempt or a process
        that ended before its sync may have made it."""
        self._changed.update(self._disk.make_directories(directory))
        if directory not in self._seen:
            within = directory.relative_to(self._directory)
            self._changed.update(self._directory / above for above in within.parents)
            self._seen.add(directory)

    def _close_part(self, key: str) -> None:
        one = self._open[key]
        with writing(one.path):
            one.part.close()
        del self._open[key]
        self._closed.append(_ClosedPart(one.name, one.path, one.file.size_bytes, one.file.crc32))
        self._changed.add(one.path.parent)

    def prepare_commit(self) -> Sequence[Any]:
        """Closes all files; what was written since the last call, by hidden and visible name."""
        for key in list(self._open):
            self._close_part(key)
        closed, self._closed = self._closed, []
        self._to_sync.extend(one.path for one in closed)
        self._directories_to_sync.extend(sorted(self._changed))
        self._changed.clear()
        return [self._committable(one) for one in closed]

    def _committable(self, one: _ClosedPart) -> dict[str, Any]:
        final = one.path.with_name(one.name.visible(self._ctx.checkpoint_id))
        return {
            "temp": one.path.relative_to(self._directory).as_posix(),
            "final": final.relative_to(self._directory).as_posix(),
            "size": one.size_bytes,
            "crc32": one.crc32,
        }

    def sync(self) -> None:
        """Makes the files that `prepare_commit` spoke of survive power loss."""
        while self._to_sync:
            path = self._to_sync.popleft()
            with writing(path):
                self._disk.sync_file(path)
        while self._directories_to_sync:
            sync_directories(self._disk, [self._directories_to_sync.popleft()])

    def close(self) -> None:
        """Closes and removes what no checkpoint knows of; prepared files stay for their commit."""
        for one in self._open.values():
            # Nothing of this file is kept: that closing it failed (a full disk) tells nobody more.
            with suppress(Exception):
                one.part.close()
        unknown = [one.path for one in self._open.values()] + [one.path for one in self._closed]
        self._open, self._closed = {}, []
        remove(self._disk, unknown)
