"""What stays on record of a run, so that `--resume` finds where to go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.storage import CheckpointStorage, RunRecord, read_run
from streamlet.errors import TransientError
from streamlet.runtime.run_recorder import RunRecorder


@pytest.fixture
def storage(tmp_path: Path) -> CheckpointStorage:
    return CheckpointStorage(RealDisk(), tmp_path, "job", "a")


@pytest.fixture
def recorder(storage: CheckpointStorage) -> RunRecorder:
    recorder = RunRecorder(storage, RealDisk(), RunRecord("a", "job", 1), is_recorded=True)
    recorder.begin(None, {})
    return recorder


def record_of(storage: CheckpointStorage) -> RunRecord:
    return read_run(RealDisk(), storage.run)


def test_why_a_run_failed_is_on_record(storage: CheckpointStorage, recorder: RunRecorder) -> None:
    error = OSError("no route")
    error.add_note("in operator 'out'")
    recorder.on_failed(error)
    recorder.end("FAILED", 2, None, keeps_checkpoints=True)
    assert record_of(storage).failure == "OSError: no route\nin operator 'out'"


def test_record_of_an_older_version_has_no_failure(
    storage: CheckpointStorage, recorder: RunRecorder
) -> None:
    path = storage.run / "run.json"
    written = json.loads(path.read_text())
    del written["failure"], written["sha256"]
    path.write_text(json.dumps(written))
    assert record_of(storage).failure is None


def test_refused_run_leaves_no_trace(storage: CheckpointStorage, recorder: RunRecorder) -> None:
    recorder.on_refused(has_recovered_sinks=False)
    recorder.end("FAILED", 2, None, keeps_checkpoints=True)
    assert not storage.run.exists()


def test_run_that_is_refused_after_its_stop_savepoint_stays_on_record(
    storage: CheckpointStorage, recorder: RunRecorder
) -> None:
    """Sinks may have committed it: to resume from the run before would double that."""
    recorder.on_stop_savepoint("sp-1")
    recorder.on_refused(has_recovered_sinks=False)
    recorder.end("FAILED", 2, "sp-1", keeps_checkpoints=True)
    assert record_of(storage).savepoint == "sp-1"


@pytest.mark.parametrize(
    ("restored", "has_recovered_sinks", "stays"),
    [("chk-7", True, False), ("sp-5", False, False), ("sp-5", True, True)],
    ids=["to where resume goes anyway", "before any output changed", "back"],
)
def test_refused_run_stays_on_record_if_its_sinks_went_back(
    tmp_path: Path, restored: str, has_recovered_sinks: bool, stays: bool
) -> None:
    """A resume from the newest checkpoint would lack what they have rolled back."""
    earlier = CheckpointStorage(RealDisk(), tmp_path, "job", "earlier")
    earlier.create()
    earlier.write_run(RunRecord("earlier", "job", 1, last_checkpoint=7))
    newest = earlier.checkpoint_directory(7)
    newest.mkdir()
    (newest / "manifest.json").touch()
    storage = CheckpointStorage(RealDisk(), tmp_path, "job", "a")
    recorder = RunRecorder(storage, RealDisk(), RunRecord("a", "job", 2), is_recorded=True)
    recorder.begin(newest if restored == "chk-7" else tmp_path / restored, {})
    recorder.on_refused(has_recovered_sinks)
    recorder.end("FAILED", 3, None, keeps_checkpoints=True)
    assert storage.run.exists() == stays


def test_first_checkpoint_that_could_not_be_recorded_is_with_the_next(
    storage: CheckpointStorage, recorder: RunRecorder
) -> None:
    in_the_way = storage.run / ".run.json.inprogress"
    in_the_way.mkdir()
    with pytest.raises(TransientError):
        recorder.on_checkpoint(1)
    in_the_way.rmdir()
    recorder.on_checkpoint(2)
    assert record_of(storage).last_checkpoint == 2


def test_checkpoint_after_a_stop_that_failed_takes_its_savepoint_off_record(
    storage: CheckpointStorage, recorder: RunRecorder
) -> None:
    """The run went on from the savepoint: who resumes from that would go back."""
    recorder.on_checkpoint(1)
    recorder.on_stop_savepoint("sp-2")
    assert record_of(storage).savepoint == "sp-2"
    recorder.on_checkpoint(3)
    assert (record_of(storage).last_checkpoint, record_of(storage).savepoint) == (3, None)
