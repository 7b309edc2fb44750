"""Brings a job to the state with which an attempt begins: read, committed again, sinks recovered.

The order matters. What cannot be right is refused before any output is changed; what the restored
checkpoint prepared is committed before sinks remove what nobody speaks of.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from streamlet.checkpoint.manifest import read_manifest
from streamlet.checkpoint.restore import RestoreOptions
from streamlet.checkpoint.row_files import read_whole
from streamlet.checkpoint.storage import CheckpointStorage, newest_snapshot
from streamlet.runtime.checkpoints import Checkpoints
from streamlet.runtime.commits import Committer
from streamlet.runtime.recovery import Recovery, recover
from streamlet.runtime.setup import JobSetup
from streamlet.sink import RestoreContext


class AttemptStart:
    """The beginning of each attempt of one run."""

    def __init__(
        self,
        setup: JobSetup,
        checkpoints: Checkpoints,
        committer: Committer,
        storage: CheckpointStorage,
    ) -> None:
        self._setup = setup
        self._checkpoints = checkpoints
        self._committer = committer
        self._storage = storage
        self.has_recovered_sinks = False
        """Whether output was brought to a restored state, which cannot be undone."""

    async def restore(self) -> Recovery:
        """What the tasks begin with; the output is just that of the restored state then.

        Raises RestoreError for what a further attempt would meet again.
        """
        recovery = await asyncio.to_thread(self._read_state)
        context = self._restore_context(recovery)
        await asyncio.to_thread(self._check_sinks, context, recovery)
        # A crash may have come between the manifest and this commit: it is repeated.
        await self._committer.commit(self._setup.plan, recovery.committables)
        await asyncio.to_thread(self._recover_sinks, context)
        return recovery

    def _read_state(self) -> Recovery:
        """Reads the state to begin with. Blocks."""
        directory = self._snapshot_to_restore()
        stop = self._checkpoints.stop_savepoint
        if stop is not None and stop.directory == directory:
            # If this failed before, nobody could resume from what is committed now.
            self._setup.on_stop_savepoint()
        self._checkpoints.sweep_leftovers(self._setup.earlier_run_ids)
        if directory is None:
            recovery = Recovery(self._setup.plan)
        else:
            is_own = directory != self._setup.restored
            options = RestoreOptions(is_own=True) if is_own else self._setup.restore_options
            recovery = recover(self._storage.disk, self._setup.plan, directory, options)
            if not is_own and self._setup.later_output == "discard":
                self._check_files(directory)
            if any(recovery.committables.values()):
                # A process that was killed before this sync left a manifest that a loss of power
                # would take back, and then its output would be committed twice.
                self._storage.disk.sync_directory(directory)
        return recovery

    def _check_files(self, directory: Path) -> None:
        """Reads every file before later output is discarded: whoever goes back must arrive."""
        for entry in read_manifest(self._storage.disk, directory).files():
            read_whole(self._storage.disk, directory, entry)

    def _snapshot_to_restore(self) -> Path | None:
        if not self._setup.has_checkpoints:
            return self._setup.restored
        found, latest = self._storage.latest_checkpoint(), self._checkpoints.latest
        newest = newest_snapshot(
            found, self._checkpoints.stop_savepoint, 0 if latest is None else latest.checkpoint_id
        )
        return self._setup.restored if newest is None else newest.directory

    def _restore_context(self, recovery: Recovery) -> RestoreContext:
        run_ids = [*recovery.run_ids, *self._setup.earlier_run_ids, self._setup.run_id]
        run_ids = list(dict.fromkeys(run_ids))
        if recovery.checkpoint_id and not recovery.history:
            # An older version wrote it: all that has a lower number passes for its past.
            recovery.history = [(run_id, 1, recovery.checkpoint_id) for run_id in run_ids]
        return RestoreContext(
            recovery.checkpoint_id,
            run_ids,
            self._setup.later_output,
            self._setup.savepoints(),
            self._setup.run_id,
            recovery.history,
        )

    def _check_sinks(self, context: RestoreContext, recovery: Recovery) -> None:
        """Refuses, before any output is changed, what sinks could not make right. Blocks."""
        for op in self._setup.plan.operators():
            if op.sink is not None:
                op.sink.check_restore(context, recovery.committables.get(op.uid, []))

    def _recover_sinks(self, context: RestoreContext) -> None:
        """Brings sinks to just the restored state. Blocks."""
        self.has_recovered_sinks = True
        for op in self._setup.plan.operators():
            if op.sink is not None:
                op.sink.recover(context)
