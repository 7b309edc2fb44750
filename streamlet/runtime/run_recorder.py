"""Keeps on record what becomes of a run, so that `--resume` finds where to go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.storage import CheckpointStorage, RunRecord, resume_point
from streamlet.errors import RestoreError, TransientError, first_lines

_log = logging.getLogger("streamlet.job")


class RunRecorder:
    """The record of one run: begun, first checkpoint, stop, end."""

    def __init__(
        self, storage: CheckpointStorage, disk: Disk, record: RunRecord, *, is_recorded: bool
    ) -> None:
        self._storage = storage
        self._disk = disk
        self._record = record
        self._is_recorded = is_recorded
        """False: the run leaves no trace."""
        self._is_refused = False
        self._has_noted = False
        """The record says that there is a checkpoint, and of no savepoint that it has overtaken."""
        self._earlier: list[RunRecord] = []

    def begin(self, restored: Path | None, uid_map: Mapping[str, str]) -> list[str]:
        """Records that the run begins with this state; gives the earlier runs, oldest first."""
        if not self._is_recorded:
            return []
        self._earlier = earlier = self._storage.earlier_runs()
        self._sync_savepoints()
        if earlier:
            # The clock may have jumped back since: this run is the latest all the same.
            after_ms = earlier[-1].started_ms + 1
            self._record.started_ms = max(self._record.started_ms, after_ms)
        self._storage.create()
        self._record.restored_from = None if restored is None else str(restored)
        self._record.uid_map = dict(uid_map)
        self._storage.write_run(self._record)
        return [record.id for record in earlier]

    def _sync_savepoints(self) -> None:
        """What is spared for a savepoint of an earlier run must not be left when that is lost.

        A killed process may not have synced it, and a loss of power would take it back.
        """
        for record in self._earlier:
            for _, path in record.savepoints:
                if self._is_there(path):
                    with suppress(OSError):  # it was not told of, or it was synced then
                        self._disk.sync_directory(Path(path))

    def on_checkpoint(self, checkpoint_id: int) -> None:
        """The first one is recorded, so that a later loss of all of them is noticed.

        So is the first one after a stop that the sinks could not commit: the run went on from its
        savepoint, which is no place to resume from any more.
        """
        self._record.last_checkpoint = checkpoint_id
        self._record.savepoint = None
        if self._is_recorded and not self._has_noted:
            self._storage.write_run(self._record)
            self._has_noted = True  # not before: what could not be written is with the next one

    def on_savepoint(self, checkpoint_id: int, directory: Path) -> None:
        """Recorded before its manifest is written, so that its prepared output is spared."""
        kept = [(one, path) for one, path in self._record.savepoints if self._is_there(path)]
        self._record.savepoints = [*kept, (checkpoint_id, str(directory))]
        if self._is_recorded:
            self._storage.write_run(self._record)

    def savepoints(self) -> list[tuple[str, int]]:
        """(run id, checkpoint id) of those of all runs that are still where they were written."""
        return [
            (record.id, checkpoint_id)
            for record in [*self._earlier, self._record]
            for checkpoint_id, path in record.savepoints
            if self._is_there(path)
        ]

    def _is_there(self, savepoint: str) -> bool:
        return self._storage.is_whole(Path(savepoint))

    def on_stop_savepoint(self, savepoint: str | None) -> None:
        """Recorded before the sinks commit it, so that a crash between resumes from it."""
        self._record.savepoint = savepoint
        self._has_noted = False
        if self._is_recorded:
            self._storage.write_run(self._record)

    def on_failed(self, error: Exception) -> None:
        """Kept for whoever asks later why there is no such job any more."""
        self._record.failure = first_lines(error)

    def on_refused(self, has_recovered_sinks: bool) -> None:
        """A restore was refused: a run that never began leaves no trace.

        `--resume` must find the run before it.
        """
        record = self._record
        # Sinks may have committed the savepoint of a stop, and keep what others prepared.
        has_begun = record.last_checkpoint or record.savepoint or record.savepoints
        has_begun = has_begun or (has_recovered_sinks and self._has_gone_back())
        self._is_refused = not (has_begun or self._storage.latest_checkpoint())

    def _has_gone_back(self) -> bool:
        """Whether the sinks may have rolled back what `--resume` would need without this run."""
        try:
            point = resume_point(self._storage)  # of the runs before it
        except RestoreError:
            return False
        return point.directory is not None and str(point.directory) != self._record.restored_from

    def end(
        self, state: str, ended_ms: int, savepoint: str | None, *, keeps_checkpoints: bool
    ) -> None:
        """Records how the run ended; that this cannot be written does not change how."""
        if not self._is_recorded:
            return
        self._record.state = state
        self._record.ended_ms = ended_ms
        self._record.savepoint = savepoint
        try:
            if self._is_refused:
                self._storage.remove()
                return
            self._storage.write_run(self._record)
            if not keeps_checkpoints:
                self._storage.forget_lineage(self._record)
        except (TransientError, OSError):
            _log.exception("the end of run %s could not be recorded", self._record.id)
