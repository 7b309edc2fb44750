"""Keeps on record what becomes of a run, so that `--resume` finds where to go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.storage import CheckpointStorage, RunRecord
from streamlet.errors import TransientError

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

    def begin(self, restored: Path | None, uid_map: Mapping[str, str]) -> list[str]:
        """Records that the run begins with this state; gives the earlier runs, oldest first."""
        if not self._is_recorded:
            return []
        earlier = self._storage.earlier_runs()
        if earlier:
            # The clock may have jumped back since: this run is the latest all the same.
            after_ms = earlier[-1].started_ms + 1
            self._record.started_ms = max(self._record.started_ms, after_ms)
        self._storage.create()
        self._record.restored_from = None if restored is None else str(restored)
        self._record.uid_map = dict(uid_map)
        self._storage.write_run(self._record)
        return [record.id for record in earlier]

    def on_checkpoint(self, checkpoint_id: int) -> None:
        """The first one is recorded, so that a later loss of all of them is noticed."""
        is_first, self._record.last_checkpoint = not self._record.last_checkpoint, checkpoint_id
        if is_first and self._is_recorded:
            self._storage.write_run(self._record)

    def on_stop_savepoint(self, savepoint: str | None) -> None:
        """Recorded before the sinks commit it, so that a crash between resumes from it."""
        self._record.savepoint = savepoint
        if self._is_recorded:
            self._storage.write_run(self._record)

    def on_refused(self) -> None:
        """A restore was refused: a run that never began leaves no trace.

        `--resume` must find the run before it.
        """
        has_begun = self._record.last_checkpoint or self._storage.latest_checkpoint()
        self._is_refused = not has_begun

    def end(
        self, state: str, ended_ms: int, savepoint: str | None, *, keeps_checkpoints: bool
    ) -> None:
        """Records how the run ended; that this cannot be written does not change how."""
        if not self._is_recorded:
            return
        if self._is_refused:
            self._disk.remove(self._storage.run)
            return
        self._record.state = state
        self._record.ended_ms = ended_ms
        self._record.savepoint = savepoint
        try:
            self._storage.write_run(self._record)
            if not keeps_checkpoints:
                self._storage.forget_checkpoints(self._storage.run)
        except (TransientError, OSError):
            _log.exception("the end of run %s could not be recorded", self._record.id)
