"""Where the checkpoints of one job name are kept, and which of them still count.

    <root>/<job name>/lock
    <root>/<job name>/<run id>/run.json          what became of the run
                              /state/*.parquet   immutable files of keyed state
                              /chk-<n>/          operator state and, last, the manifest

Live files are those that a retained manifest names; nothing is deleted before the newer manifest
is durable.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from streamlet.checkpoint.disk import Disk, writing
from streamlet.checkpoint.manifest import MANIFEST_NAME, read_manifest
from streamlet.errors import RestoreError

_log = logging.getLogger("streamlet.checkpoint")

_CHECKPOINT_NAME: Final = re.compile(r"chk-(\d+)")
_STATE_FILE_NAME: Final = re.compile(r"(\d+)-.*\.parquet")
RUN_FILE: Final = "run.json"


class RunRecord(msgspec.Struct):
    """What became of one run of a job; kept beside its checkpoints."""

    id: str
    name: str
    started_ms: int
    state: str = "RUNNING"
    ended_ms: int | None = None
    last_checkpoint: int = 0
    """The id of the latest complete checkpoint; 0: none."""
    restored_from: str | None = None
    """The checkpoint or savepoint with which the run began."""
    uid_map: dict[str, str] = {}
    """Which operators had another uid there; until the first checkpoint a resume needs it again."""
    savepoint: str | None = None
    """Where a stop with savepoint put it."""
    savepoints: list[tuple[int, str]] = []
    """Checkpoint id and directory of the savepoints it took: recorded before there is a manifest,
    and for as long as there is one there."""
    failure: str | None = None
    """The first lines of the error with which it failed; older versions wrote none."""


@dataclass(frozen=True, slots=True)
class FoundCheckpoint:
    """A directory with a whole manifest."""

    checkpoint_id: int
    directory: Path


class CheckpointStorage:
    """The checkpoints of one job name; the runs of that name are its subdirectories."""

    def __init__(self, disk: Disk, root: Path, job_name: str, run_id: str) -> None:
        self.disk = disk
        self._job = root / job_name
        self.run = self._job / run_id
        self.state = self.run / "state"
        self._left_alone: set[Path] = set()
        """Runs with a damaged manifest, of which it was told."""

    def create(self) -> None:
        """Makes the directories of this run; those that were removed before cannot come back."""
        with writing(self.run):
            self.disk.make_directory(self.state)
            self.disk.sync_directory(self._job)

    def remove(self) -> None:
        """Removes all of this run, durably: after a loss of power it would be the latest again."""
        self.disk.remove(self.run)
        self.disk.sync_directory(self._job)

    def checkpoint_directory(self, checkpoint_id: int) -> Path:
        return self.run / f"chk-{checkpoint_id}"

    def highest_id(self) -> int:
        """The highest checkpoint id that any run of this job has used, whole or not.

        Of what is gone, and of savepoints, which may be anywhere, the records tell.
        """
        names = [
            entry.name
            for run in self.disk.list(self._job)
            for entry in [*self.disk.list(run), *self.disk.list(run / "state")]
        ]
        matches = [_CHECKPOINT_NAME.fullmatch(n) or _STATE_FILE_NAME.fullmatch(n) for n in names]
        found = [int(match[1]) for match in matches if match]
        for record in self.earlier_runs():
            found += [record.last_checkpoint, *(number for number, _ in record.savepoints)]
        return max(found, default=0)

    def whole_checkpoints(self, run: Path) -> list[FoundCheckpoint]:
        """The complete checkpoints of one run, oldest first."""
        found = []
        for entry in self.disk.list(run):
            match = _CHECKPOINT_NAME.fullmatch(entry.name)
            if match and self.is_whole(entry):
                found.append(FoundCheckpoint(int(match[1]), entry))
        return sorted(found, key=lambda checkpoint: checkpoint.checkpoint_id)

    def is_whole(self, directory: Path) -> bool:
        """Whether there is a manifest, with which a checkpoint or savepoint exists."""
        return directory / MANIFEST_NAME in self.disk.list(directory)

    def latest_checkpoint(self) -> FoundCheckpoint | None:
        """The newest complete checkpoint of this run."""
        found = self.whole_checkpoints(self.run)
        return found[-1] if found else None

    def retain(self, count: int, earlier_runs: Collection[str] = ()) -> None:
        """Deletes what the `count` newest checkpoints of this run do not need.

        Once there are so many, the checkpoints of the earlier runs it went on from go as well: no
        file of theirs is needed since this run's first checkpoint.

        Files for a checkpoint newer than the newest complete one are still being written or may yet
        be referenced: they stay. Safe to be cut off anywhere: manifests go before their files.
        """
        found = self.whole_checkpoints(self.run)
        for old in found[:-count]:
            discard(self.disk, old.directory)
        newest = found[-1].checkpoint_id if found else 0
        is_known = self._remove_unnamed(self.run, found[-count:], newest)
        if is_known and len(found) >= count:
            # By what is there: the ids come from a manifest, which anyone may have made.
            for run in self.disk.list(self._job):
                if run.name in earlier_runs and run != self.run:
                    self.forget_checkpoints(run)

    def sweep(self, earlier_runs: Collection[str] = ()) -> None:
        """Removes what an attempt or a process left behind that died before its checkpoint counted.

        Only while no task of this run is there, and for earlier runs that are sure to be over.
        """
        for run in [self.run, *map(self.run_directory, earlier_runs)]:
            found = self.whole_checkpoints(run)
            whole = {checkpoint.directory for checkpoint in found}
            for entry in self.disk.list(run):
                if _CHECKPOINT_NAME.fullmatch(entry.name) and entry not in whole:
                    self.disk.remove(entry)
            self._remove_unnamed(run, found, sys.maxsize)

    def _remove_unnamed(self, run: Path, kept: list[FoundCheckpoint], newest: int) -> bool:
        """Files of keyed state, up to that checkpoint, that none of the kept ones names.

        False: nobody knows which these are, as a manifest is damaged; all are left alone.
        """
        try:
            live = {name for checkpoint in kept for name in self._files_of(checkpoint)}
        except RestoreError as error:
            self._leave_alone(run, error)
            return False
        for path in self.disk.list(run / "state"):
            match = _STATE_FILE_NAME.fullmatch(path.name)
            if match and int(match[1]) <= newest and path.name not in live:
                self.disk.remove(path)
        return True

    def _leave_alone(self, run: Path, error: RestoreError) -> None:
        if run not in self._left_alone:
            self._left_alone.add(run)
            _log.warning(
                "files of run %s are left alone, as nobody knows which are needed: %s",
                run.name,
                error,
            )

    def forget_checkpoints(self, run: Path) -> None:
        """Deletes a run's checkpoints; what became of it stays on record."""
        for found in self.whole_checkpoints(run):
            discard(self.disk, found.directory)
        self.disk.remove(run / "state")

    def forget_lineage(self, last: RunRecord) -> None:
        """Deletes the checkpoints of a run that is over, and of those it went on from.

        Whole checkpoints of other runs may still be named by a user.
        """
        runs = {record.id: record for record in self.earlier_runs()}
        record: RunRecord | None = last
        while record is not None:
            self.forget_checkpoints(self.run_directory(record.id))
            began = Path(record.restored_from or "")
            # A checkpoint lies in its run's directory; a savepoint's own is named by run and id.
            saved_by = began.name.rpartition("-")[0]
            record = runs.pop(saved_by if saved_by in runs else began.parent.name, None)

    def forget_finished(self) -> None:
        """Deletes what is left of the latest run, which has finished, and of those before it."""
        if records := self.earlier_runs():
            self.forget_lineage(records[-1])
        self.sweep([record.id for record in records])

    def _files_of(self, found: FoundCheckpoint) -> Iterator[str]:
        # Names, which no two files of a run share: paths differ by links and by what is relative.
        for entry in read_manifest(self.disk, found.directory).files():
            yield PurePosixPath(entry.path).name

    def write_run(self, record: RunRecord) -> None:
        """Replaces the run's record."""
        temporary = self.run / f".{RUN_FILE}.inprogress"
        with writing(temporary):
            if self.run not in self.disk.list(self._job):  # somebody removed it under the job
                self.disk.make_directory(self.run)
            with self.disk.create(temporary) as file:
                content: dict[str, Any] = msgspec.to_builtins(record)
                content["sha256"] = _checksum(content)
                file.write(msgspec.json.format(msgspec.json.encode(content), indent=2))
                self.disk.sync(file)
            self.disk.rename(temporary, self.run / RUN_FILE)
            self.disk.sync_directory(self.run)

    def earlier_runs(self) -> list[RunRecord]:
        """The other runs of this job, oldest first."""
        records = [
            read_run(self.disk, run)
            for run in self.disk.list(self._job)
            if run != self.run and run / RUN_FILE in self.disk.list(run)
        ]
        return sorted(records, key=lambda record: (record.started_ms, record.id))

    def run_directory(self, run_id: str) -> Path:
        return self._job / run_id


def newest_snapshot(
    found: FoundCheckpoint | None, stop: FoundCheckpoint | None, completed_id: int
) -> FoundCheckpoint | None:
    """From which snapshot a run goes on after a failure; never one older than it has committed.

    `found` is its newest checkpoint on disk, `stop` the savepoint of a stop that did not end it.
    """
    whole = [snapshot for snapshot in (found, stop) if snapshot is not None]
    newest = max(whole, key=lambda snapshot: snapshot.checkpoint_id, default=None)
    if completed_id > (0 if newest is None else newest.checkpoint_id):
        raise RestoreError(
            f"checkpoint {completed_id} was complete and is gone from the checkpoint directory; "
            "an older state would give its results twice. Name a savepoint with -s, or start over"
        )
    return newest


def discard(disk: Disk, directory: Path) -> None:
    """Deletes a checkpoint, its manifest first: what is left of a cut-off deletion is none."""
    disk.remove(directory / MANIFEST_NAME)
    disk.remove(directory)


def read_run(disk: Disk, run: Path) -> RunRecord:
    """The record of one run."""
    path = run / RUN_FILE
    try:
        content = msgspec.json.decode(disk.read(path), type=dict[str, Any])
        checksum = content.pop("sha256", None)  # older versions wrote none
        if checksum is not None and checksum != _checksum(content):
            raise RestoreError(f"{path} is damaged: its checksum does not fit its content")
        return msgspec.convert(content, RunRecord)
    except (OSError, ValueError) as error:  # msgspec.DecodeError, or bytes that are no UTF-8
        raise RestoreError(f"{path} is damaged: {error}") from error


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def find_snapshot(path: Path) -> Path:
    """The directory of a checkpoint or savepoint that a user named: it, or its manifest."""
    return path.parent if path.name == MANIFEST_NAME else path


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """From where `--resume` goes on."""

    directory: Path | None
    """None: an earlier run never completed a checkpoint, so the job starts over."""
    is_finished: bool
    said: str
    """One sentence for the user."""
    uid_map: Mapping[str, str] = field(default_factory=dict)
    """With which operators are found in it that had another uid then."""


def resume_point(storage: CheckpointStorage) -> ResumePoint:
    """From where the job of this name goes on; RestoreError when state would be lost."""
    runs = storage.earlier_runs()
    if not runs:
        raise RestoreError(
            f"there is nothing to resume: no run of a job of this name is recorded in "
            f"{storage.run.parent}; run it once without --resume, or name a savepoint with -s"
        )
    latest = runs[-1]
    directory = storage.run_directory(latest.id)
    if latest.state == "FINISHED" and latest.savepoint is None:
        return ResumePoint(None, True, f"run {latest.id} has finished: there is nothing to resume")
    found = storage.whole_checkpoints(directory)
    if latest.savepoint is not None and not _is_overtaken(storage, Path(latest.savepoint), found):
        return _existing(
            storage,
            Path(latest.savepoint),
            f"the savepoint with which run {latest.id} stopped",
        )
    if found:
        return _existing(storage, found[-1].directory, f"checkpoint {found[-1].checkpoint_id}")
    if latest.last_checkpoint:
        raise RestoreError(
            f"run {latest.id} completed checkpoint {latest.last_checkpoint}, but no whole "
            f"checkpoint is left in {directory}; name a savepoint with -s, or start over without "
            "--resume"
        )
    if latest.restored_from is not None:
        what = f"the state with which run {latest.id} began"
        point = _existing(storage, Path(latest.restored_from), what)
        return replace(point, uid_map=latest.uid_map)
    return ResumePoint(None, False, f"run {latest.id} completed no checkpoint: starting over")


def _is_overtaken(
    storage: CheckpointStorage, savepoint: Path, found: list[FoundCheckpoint]
) -> bool:
    """Whether a run has a newer checkpoint than the savepoint with which it was to stop.

    If its sinks could not commit that savepoint, it went on from there; a process that died after
    the next checkpoint, and before it was recorded, has committed more than the savepoint has.
    """
    if not found or not storage.is_whole(savepoint):
        return False
    return found[-1].checkpoint_id > read_manifest(storage.disk, savepoint).checkpoint_id


def _existing(storage: CheckpointStorage, directory: Path, what: str) -> ResumePoint:
    if not storage.is_whole(directory):
        raise RestoreError(
            f"{what} is gone: there is no manifest in {directory}; name a savepoint with -s, or "
            "start over without --resume"
        )
    return ResumePoint(directory, False, f"resuming from {what}: {directory}")
