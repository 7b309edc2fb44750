"""What stays on record of a run, so that `--resume` finds where to go on."""

from __future__ import annotations

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


def test_refused_run_leaves_no_trace(storage: CheckpointStorage, recorder: RunRecorder) -> None:
    recorder.on_refused()
    recorder.end("FAILED", 2, None, keeps_checkpoints=True)
    assert not storage.run.exists()


def test_run_that_is_refused_after_its_stop_savepoint_stays_on_record(
    storage: CheckpointStorage, recorder: RunRecorder
) -> None:
    """Sinks may have committed it: to resume from the run before would double that."""
    recorder.on_stop_savepoint("sp-1")
    recorder.on_refused()
    recorder.end("FAILED", 2, "sp-1", keeps_checkpoints=True)
    assert record_of(storage).savepoint == "sp-1"


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
