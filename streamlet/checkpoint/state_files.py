"""The files of one subtask's keyed state: a base, deltas after it, and their merging.

A checkpoint writes what changed since the one before as one delta file. When the deltas outgrow
their base they become a new base together. Files are immutable and a checkpoint names all it needs,
so one that is aborted costs nothing: its delta stays in the list of the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.manifest import FileEntry, ScopedFile
from streamlet.checkpoint.readable import SAVEPOINT_ROWS, readable
from streamlet.checkpoint.restore import KeyedShare
from streamlet.checkpoint.row_files import merge_rows, read_state, write_rows

_BATCH_ROWS: Final = 4_096


class StateFiles:
    """Writes and remembers the files of one subtask. Called by one thread at a time."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        name: str,
        key_groups: range,
        restored: KeyedShare | None,
    ) -> None:
        self._disk = disk
        self._directory = directory
        # Paths are relative to where manifests are: a sibling of the state directory.
        self._manifests = directory.parent / "chk"
        self._name = name
        self._key_groups = key_groups
        self._restored = restored if restored is not None and restored.files else None
        self._files: list[ScopedFile] = []
        self._written = 0

    def write(self, checkpoint_id: int, changes: Iterator[pa.RecordBatch]) -> list[ScopedFile]:
        """Writes the changes durably; gives the files that hold the whole state now.

        The first file after a restore is a new base: a run never depends on another run's files.
        """
        first = next(changes, None)
        if first is None and self._restored is None:
            return list(self._files)
        rows = changes if first is None else chain([first], changes)
        if self._restored is None and not self._is_merge_due():
            self._files.append(self._write(checkpoint_id, rows))
            return list(self._files)
        base = self._write(checkpoint_id, _merged(chain(self._read_all(), rows)))
        # Only now, when the new base is durable, may the old ones be forgotten.
        self._files, self._restored = [base], None
        return list(self._files)

    def export(self, checkpoint_id: int, directory: Path, operator: str) -> list[ScopedFile]:
        """Writes the whole state, merged and readable, into a savepoint's own directory."""
        path = directory / f"{self._name}.parquet"
        rows = (readable(batch, operator) for batch in _merged(self._read_all()))
        entry = write_rows(self._disk, path, directory, rows, checkpoint_id, SAVEPOINT_ROWS)
        return [self._scoped(entry)]

    def _is_merge_due(self) -> bool:
        if len(self._files) < 2:
            return False
        base, *deltas = (scoped.file.row_count for scoped in self._files)
        return sum(deltas) > base

    def _read_all(self) -> Iterator[pa.RecordBatch]:
        if self._restored is not None:
            share = self._restored
            yield from read_state(self._disk, share.directory, share.files, self._key_groups)
        yield from read_state(self._disk, self._manifests, self._files, self._key_groups)

    def _write(self, checkpoint_id: int, rows: Iterator[pa.RecordBatch]) -> ScopedFile:
        # The count tells apart files for one checkpoint: a spill before the barrier, and a retry.
        self._written += 1
        path = self._directory / f"{checkpoint_id}-{self._name}-{self._written}.parquet"
        entry = write_rows(self._disk, path, self._manifests, rows, checkpoint_id)
        return self._scoped(entry)

    def _scoped(self, entry: FileEntry) -> ScopedFile:
        return ScopedFile(entry, self._key_groups.start, self._key_groups.stop - 1)


def _merged(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from merge_rows(rows).to_batches(max_chunksize=_BATCH_ROWS)
