"""Bugs to plant in what makes a checkpoint durable, restores it and commits its output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from streamlet.checkpoint import manifest, row_files, storage
from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.history import RunHistory
from streamlet.checkpoint.manifest import FileEntry, OperatorEntry, ScopedFile
from streamlet.checkpoint.restore import KeyedShare
from streamlet.checkpoint.state_files import StateFiles
from streamlet.checkpoint.storage import CheckpointStorage, FoundCheckpoint, ResumePoint
from streamlet.connectors.files.commit import Commit
from streamlet.connectors.files.journal import CommitJournal
from streamlet.operators.sink import SinkOperator
from streamlet.runtime import (
    attempt_start,
    checkpoint_writer,
    checkpoints,
    deployment,
    recovery,
    starting_point,
)
from streamlet.runtime.recovery import Recovery
from streamlet.runtime.run_recorder import RunRecorder
from streamlet.sink import RestoreContext
from streamlet.testing.simulation import SimulatedDisk
from streamlet.testing.simulation.file_disk import SimulatedFileDisk
from streamlet.testing.simulation.mounted_disk import MountedDisk, kind_of

Patch: TypeAlias = pytest.MonkeyPatch


def manifest_is_renamed_before_it_is_synced(patch: Patch) -> None:
    """A loss of power then leaves a manifest with half its bytes under its final name."""
    write = manifest.write_manifest

    class Careless:
        """Passes everything on but the sync of a file."""

        def __init__(self, disk: Disk) -> None:
            self._disk = disk

        def __getattr__(self, name: str) -> Any:
            return getattr(self._disk, name)

        def sync(self, file: Any) -> None:
            pass

    patch.setattr(
        checkpoint_writer, "write_manifest", lambda disk, *rest: write(Careless(disk), *rest)
    )


def state_directory_is_not_synced_before_the_manifest(patch: Patch) -> None:
    """A file that was synced is lost all the same while no synced directory names it."""
    sync_directory = MountedDisk.sync_directory

    def careless(self: MountedDisk, path: Path) -> None:
        if kind_of(path) != "state-directory":
            sync_directory(self, path)

    patch.setattr(MountedDisk, "sync_directory", careless)


def sync_syncs_nothing(patch: Patch) -> None:
    """As disks do that lie about their caches."""
    patch.setattr(SimulatedDisk, "sync", lambda self, file: None)


def output_is_committed_before_the_manifest(patch: Patch) -> None:
    """A crash between the two gives the same output again."""
    items_of = checkpoint_writer.operator_items

    def hasty(pending: Any, plan: Any) -> Any:
        items = items_of(pending, plan)
        if pending.kind.commits:
            for op in plan.operators():
                if op.sink is not None:
                    op.sink.commit(items[op.uid].committables)
        return items

    patch.setattr(checkpoints, "operator_items", hasty)


def output_file_is_not_synced(patch: Patch) -> None:
    """It is committed, and torn by a loss of power."""
    _skip_for_output(patch, "sync_file")


def output_directory_is_not_synced(patch: Patch) -> None:
    """It is committed, and its name is lost with the power."""
    _skip_for_output(patch, "sync_directory")


def commit_is_not_noted_in_the_journal(patch: Patch) -> None:
    """Files that a reader has taken are then called lost when they are committed again."""
    patch.setattr(CommitJournal, "advance", lambda self, run_id, first, last: None)


def damage_of_hidden_files_goes_unnoticed(patch: Patch) -> None:
    """Readers then see it."""
    patch.setattr(Commit, "check_restore", lambda self: None)
    patch.setattr(Commit, "_check_size", lambda self, one: None)


def output_of_an_aborted_checkpoint_is_forgotten(patch: Patch) -> None:
    """It belongs to the next one, which commits it too."""
    prepare = SinkOperator.prepare_barrier

    def forgetful(self: SinkOperator, *args: Any) -> None:
        self._uncommitted.clear()
        prepare(self, *args)

    patch.setattr(SinkOperator, "prepare_barrier", forgetful)


def stop_is_not_recorded_before_its_output_is_committed(patch: Patch) -> None:
    """Whoever resumes after a crash in between goes further back than the output."""
    patch.setattr(RunRecorder, "on_stop_savepoint", lambda self, path: None)


def restored_output_is_not_committed_again(patch: Patch) -> None:
    """SNK-3: a crash between the manifest and its commit then loses the output for good."""
    recover = recovery.recover

    def forgetful(*args: Any, **options: Any) -> Recovery:
        recovered = recover(*args, **options)
        recovered.committables.clear()
        return recovered

    patch.setattr(attempt_start, "recover", forgetful)


def output_of_a_savepoint_is_rolled_back(patch: Patch) -> None:
    """SP-5: a restart from an older checkpoint then leaves a savepoint that lost its output."""
    patch.setattr(RestoreContext, "is_spared", lambda self, run_id, checkpoint_id: False)


def savepoint_is_not_recorded(patch: Patch) -> None:
    """The next process then does not know whose output it must spare."""
    patch.setattr(RunRecorder, "on_savepoint", lambda self, checkpoint_id, directory: None)


def history_is_not_kept(patch: Patch) -> None:
    """What another attempt's savepoint has shown then passes for the own past, by its number."""
    patch.setattr(RunHistory, "up_to", lambda self, checkpoint_id: [])


def discarded_output_is_forgotten(patch: Patch) -> None:
    """A savepoint that counts on it can then be restored, and does not write it again."""
    patch.setattr(CommitJournal, "discarded", lambda self: {})


def older_checkpoint_is_resumed(patch: Patch) -> None:
    """CP-70: what the newest one has committed is then given again."""
    resume_point = storage.resume_point

    def previous(kept: CheckpointStorage) -> ResumePoint:
        point = resume_point(kept)
        if point.directory is None:
            return point
        older = kept.whole_checkpoints(point.directory.parent)[:-1]
        chosen = older[-1].directory if older else point.directory
        return ResumePoint(chosen, point.is_finished, point.said)

    patch.setattr(starting_point, "resume_point", previous)


def deltas_are_read_newest_first(patch: Patch) -> None:
    """Old values then override new ones."""
    read = row_files.read_state

    def backwards(disk: Any, directory: Any, files: Any, key_groups: Any) -> Iterator[Any]:
        return read(disk, directory, list(reversed(files)), key_groups)

    patch.setattr(deployment, "read_state", backwards)


def base_is_swept_while_its_deltas_are_kept(patch: Patch) -> None:
    """A checkpoint needs every file that its manifest names, however old it is."""
    files_of = CheckpointStorage._files_of

    def newest(self: CheckpointStorage, found: FoundCheckpoint) -> Iterator[str]:
        return iter(sorted(files_of(self, found))[-1:])

    patch.setattr(CheckpointStorage, "_files_of", newest)


def name_of_a_state_file_is_used_again_after_a_restart(patch: Patch) -> None:
    """The new file replaces one that the restored manifest names."""
    init = StateFiles.__init__

    def without_attempt(self: StateFiles, disk: Any, directory: Any, name: str, *rest: Any) -> None:
        init(self, disk, directory, name.rpartition("-a")[0], *rest)

    def write(self: StateFiles, checkpoint_id: int, rows: Any) -> ScopedFile:
        self._written += 1
        path = self._directory / f"1-{self._name}-{self._written}.parquet"
        return self._scoped(_write_rows(self, path, rows, checkpoint_id))

    patch.setattr(StateFiles, "__init__", without_attempt)
    patch.setattr(StateFiles, "_write", write)


def rescaled_subtask_reads_only_its_namesakes_files(patch: Patch) -> None:
    """Its key groups were partly another subtask's before."""

    def namesakes(entry: OperatorEntry, directory: Path, key_groups: range) -> KeyedShare:
        mine = [
            files
            for files in entry.subtasks
            if files and files[0].first_key_group == key_groups.start
        ]
        return KeyedShare(directory, tuple(mine[0]) if mine else ())

    patch.setattr(recovery, "shares_of", namesakes)


def _skip_for_output(patch: Patch, operation: str) -> None:
    sync = getattr(SimulatedFileDisk, operation)

    def careless(self: SimulatedFileDisk, path: Path) -> None:
        if not kind_of(path).startswith("output-"):
            sync(self, path)

    patch.setattr(SimulatedFileDisk, operation, careless)


def _write_rows(files: StateFiles, path: Path, rows: Any, checkpoint_id: int) -> FileEntry:
    return row_files.write_rows(files._disk, path, files._manifests, rows, checkpoint_id)
