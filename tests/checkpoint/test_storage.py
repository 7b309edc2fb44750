"""Where checkpoints are kept: ids, retention, and from where a job goes on."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import FileEntry, Manifest, OperatorEntry, ScopedFile
from streamlet.checkpoint.manifest import write_manifest as write
from streamlet.checkpoint.storage import (
    RUN_FILE,
    CheckpointStorage,
    FoundCheckpoint,
    RunRecord,
    find_snapshot,
    newest_snapshot,
    read_run,
    resume_point,
)
from streamlet.errors import RestoreError


def storage_of(root: Path, run_id: str = "new") -> CheckpointStorage:
    storage = CheckpointStorage(RealDisk(), root, "job", run_id)
    storage.create()
    return storage


def add_checkpoint(storage: CheckpointStorage, checkpoint_id: int, *state_files: str) -> Path:
    directory = storage.checkpoint_directory(checkpoint_id)
    directory.mkdir()
    (directory / "operator-state.parquet").write_bytes(b"")
    for name in state_files:
        (storage.state / name).write_bytes(b"rows")
    scoped = [
        ScopedFile(FileEntry(f"../state/{name}", 4, "", 1, checkpoint_id), 0, 127)
        for name in state_files
    ]
    operator = OperatorEntry("u", "n", "k", 1, 128, True, False, subtasks=[scoped])
    own = FileEntry("operator-state.parquet", 0, "", 0, checkpoint_id)
    manifest = Manifest(checkpoint_id, "checkpoint", "", "", "job", [], "", 0, [operator], own)
    write(RealDisk(), directory, manifest)
    return directory


def add_run(
    root: Path,
    run_id: str,
    started_ms: int,
    state: str = "RUNNING",
    *,
    savepoint: str | None = None,
    restored_from: str | None = None,
    last_checkpoint: int = 0,
) -> CheckpointStorage:
    storage = storage_of(root, run_id)
    storage.write_run(
        RunRecord(
            run_id,
            "job",
            started_ms,
            state,
            last_checkpoint=last_checkpoint,
            restored_from=restored_from,
            savepoint=savepoint,
        )
    )
    return storage


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_highest_id_is_above_everything_that_is_there_whole_or_not(tmp_path: Path) -> None:
    """CP-1."""
    first, second = storage_of(tmp_path, "a"), storage_of(tmp_path, "b")
    assert second.highest_id() == 0
    add_checkpoint(first, 4)
    assert second.highest_id() == 4
    first.checkpoint_directory(6).mkdir()
    assert second.highest_id() == 6
    (first.state / "9-v1-0-a1-1.parquet").write_bytes(b"half")
    assert second.highest_id() == 9


def test_id_of_a_checkpoint_that_is_gone_and_of_a_savepoint_is_not_used_again(
    tmp_path: Path,
) -> None:
    """CP-1: later output, which has the greater ids, would pass for earlier and come twice."""
    storage = add_run(tmp_path, "a", 1, "FINISHED", last_checkpoint=7)
    assert storage_of(tmp_path).highest_id() == 7
    storage.write_run(RunRecord("a", "job", 1, last_checkpoint=7, savepoints=[(9, "sp-9")]))
    assert storage_of(tmp_path).highest_id() == 9


def test_directory_without_a_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    add_checkpoint(storage, 2)
    storage.checkpoint_directory(3).mkdir()
    (storage.checkpoint_directory(3) / ".manifest.json.inprogress").write_bytes(b"{}")
    latest = storage.latest_checkpoint()
    assert latest is not None
    assert latest.checkpoint_id == 2


def test_checkpoints_are_ordered_by_number_and_not_by_name(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    for checkpoint_id in (9, 10, 100):
        add_checkpoint(storage, checkpoint_id)
    assert [c.checkpoint_id for c in storage.whole_checkpoints(storage.run)] == [9, 10, 100]


def test_retention_keeps_what_the_newest_need_and_nothing_else(tmp_path: Path) -> None:
    """CP-60: a file that an older checkpoint wrote stays while a newer one names it."""
    storage = storage_of(tmp_path)
    add_checkpoint(storage, 1, "1-base.parquet")
    add_checkpoint(storage, 2, "1-base.parquet", "2-delta.parquet")
    add_checkpoint(storage, 3, "1-base.parquet", "3-delta.parquet")
    (storage.state / "3-declined.parquet").write_bytes(b"rows")
    storage.retain(1)
    assert names(storage.run) == ["chk-3", "state"]
    assert names(storage.state) == ["1-base.parquet", "3-delta.parquet"]


def test_retention_spares_files_for_a_checkpoint_that_is_still_to_come(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    add_checkpoint(storage, 3, "3-base.parquet")
    (storage.state / "4-spilled.parquet").write_bytes(b"rows")
    storage.retain(1)
    assert names(storage.state) == ["3-base.parquet", "4-spilled.parquet"]


def test_sweep_removes_what_no_whole_checkpoint_names(tmp_path: Path) -> None:
    """A job that fails again and again before its checkpoints are complete leaks nothing."""
    storage = storage_of(tmp_path)
    add_checkpoint(storage, 3, "3-kept.parquet")
    for leftover in ("2-old.parquet", "4-new.parquet"):
        (storage.state / leftover).write_bytes(b"rows")
    unfinished = storage.checkpoint_directory(4)
    unfinished.mkdir()
    (unfinished / ".manifest.json.inprogress").write_bytes(b"{")
    storage.sweep()
    assert names(storage.run) == ["chk-3", "state"]
    assert names(storage.state) == ["3-kept.parquet"]


def test_sweep_touches_only_runs_that_are_sure_to_be_over(tmp_path: Path) -> None:
    runs = [storage_of(tmp_path, name) for name in ("over", "unknown", "this")]
    for run in runs:
        (run.state / "1-left.parquet").write_bytes(b"rows")
    runs[-1].sweep(earlier_runs=["over"])
    assert [names(run.state) for run in runs] == [[], ["1-left.parquet"], []]


def test_sweep_leaves_a_run_alone_whose_manifest_is_damaged_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It stopped there, and leftovers of all later runs stayed for ever; it is said once."""
    damaged, later = storage_of(tmp_path, "damaged"), storage_of(tmp_path, "later")
    directory = add_checkpoint(damaged, 3, "3-kept.parquet")
    (directory / "manifest.json").write_bytes(b"damaged")
    storage = storage_of(tmp_path, "this")
    for run in (damaged, later, storage):
        (run.state / "4-left.parquet").write_bytes(b"rows")
    for _ in range(2):
        storage.sweep(["damaged", "later"])
    assert names(damaged.state) == ["3-kept.parquet", "4-left.parquet"]
    assert names(later.state) == names(storage.state) == []
    (told,) = caplog.messages
    assert "files of run damaged are left alone" in told
    assert str(directory / "manifest.json") in told


def test_retention_with_a_damaged_manifest_removes_no_file_and_forgets_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, storage = storage_of(tmp_path, "first"), storage_of(tmp_path, "second")
    add_checkpoint(first, 1, "1-base.parquet")
    directory = add_checkpoint(storage, 3, "3-base.parquet")
    (storage.state / "2-old.parquet").write_bytes(b"rows")
    (directory / "manifest.json").write_bytes(b"damaged")
    for _ in range(2):
        storage.retain(1, ["first"])
    assert names(storage.state) == ["2-old.parquet", "3-base.parquet"]
    assert names(first.run) == ["chk-1", "state"]
    assert len(caplog.messages) == 1


def test_retention_with_fewer_checkpoints_than_are_kept_removes_none(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    (storage.state / "1-spilled.parquet").write_bytes(b"rows")
    storage.retain(2)
    add_checkpoint(storage, 1, "1-base.parquet")
    storage.retain(2)
    assert names(storage.run) == ["chk-1", "state"]
    assert names(storage.state) == ["1-base.parquet"]


def test_retention_forgets_the_runs_it_went_on_from_once_it_has_enough_of_its_own(
    tmp_path: Path,
) -> None:
    first, stranger = storage_of(tmp_path, "first"), storage_of(tmp_path, "stranger")
    add_checkpoint(first, 1, "1-base.parquet")
    add_checkpoint(stranger, 2, "2-base.parquet")
    outside = tmp_path / "outside" / "state"
    outside.mkdir(parents=True)
    storage = storage_of(tmp_path, "second")
    add_checkpoint(storage, 3, "3-base.parquet")
    lineage = ["first", "second", "../outside", "../../outside"]
    storage.retain(2, lineage)
    assert names(first.run) == ["chk-1", "state"]
    add_checkpoint(storage, 4, "3-base.parquet")
    storage.retain(2, lineage)
    assert names(first.run) == []
    assert names(stranger.run) == ["chk-2", "state"]
    assert names(storage.run) == ["chk-3", "chk-4", "state"]
    assert outside.exists()


@pytest.mark.parametrize("kind", ["relative", "link"])
def test_retention_knows_live_files_however_the_root_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    storage = storage_of(Path("real") if kind == "relative" else tmp_path / "link")
    add_checkpoint(storage, 1, "1-base.parquet")
    storage.retain(1)
    assert names(storage.state) == ["1-base.parquet"]


@pytest.mark.parametrize("name", ["", "manifest.json"])
def test_snapshot_may_be_named_by_its_directory_or_its_manifest(name: str) -> None:
    """SP-4."""
    assert find_snapshot(Path("sp") / name) == Path("sp")


FOUND, STOP = FoundCheckpoint(5, Path("chk-5")), FoundCheckpoint(6, Path("sp-6"))


@pytest.mark.parametrize(
    ("found", "stop", "completed_id", "expected"),
    [
        (None, None, 0, None),
        (FOUND, None, 5, FOUND),
        (FOUND, None, 4, FOUND),
        (FOUND, STOP, 5, STOP),
        (None, STOP, 0, STOP),
        (FoundCheckpoint(7, Path("chk-7")), STOP, 7, FoundCheckpoint(7, Path("chk-7"))),
    ],
)
def test_restart_goes_on_from_the_newest(
    found: FoundCheckpoint | None,
    stop: FoundCheckpoint | None,
    completed_id: int,
    expected: FoundCheckpoint | None,
) -> None:
    """CP-70; a complete one whose completion nobody heard of counts too."""
    assert newest_snapshot(found, stop, completed_id) == expected


@pytest.mark.parametrize("found", [None, FOUND])
def test_restart_refuses_a_state_older_than_what_was_committed(
    found: FoundCheckpoint | None,
) -> None:
    with pytest.raises(RestoreError, match="checkpoint 6 was complete and is gone"):
        newest_snapshot(found, None, 6)


class TestResume:
    """From where `--resume` goes on, by what the runs before left."""

    def test_job_that_never_ran_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RestoreError, match="nothing to resume"):
            resume_point(storage_of(tmp_path))

    def test_run_that_completed_no_checkpoint_starts_over(self, tmp_path: Path) -> None:
        add_run(tmp_path, "a", 1)
        point = resume_point(storage_of(tmp_path))
        assert (point.directory, point.is_finished) == (None, False)
        assert "starting over" in point.said

    def test_run_with_checkpoints_goes_on_from_the_latest(self, tmp_path: Path) -> None:
        run = add_run(tmp_path, "a", 1, last_checkpoint=2)
        add_checkpoint(run, 2)
        latest = add_checkpoint(run, 11)
        assert resume_point(storage_of(tmp_path)).directory == latest

    @pytest.mark.parametrize("state", ["RUNNING", "CANCELED", "FAILED", "SUSPENDED"])
    def test_how_the_run_ended_does_not_matter_unless_it_finished(
        self, tmp_path: Path, state: str
    ) -> None:
        run = add_run(tmp_path, "a", 1, state)
        latest = add_checkpoint(run, 2)
        assert resume_point(storage_of(tmp_path)).directory == latest

    def test_finished_job_is_at_its_end(self, tmp_path: Path) -> None:
        add_checkpoint(add_run(tmp_path, "a", 1, "FINISHED"), 2)
        assert resume_point(storage_of(tmp_path)).is_finished

    def test_stopped_job_goes_on_from_its_savepoint(self, tmp_path: Path) -> None:
        run = add_run(tmp_path, "a", 1, "FINISHED")
        savepoint = add_checkpoint(run, 5)
        run.write_run(RunRecord("a", "job", 1, "FINISHED", savepoint=str(savepoint)))
        point = resume_point(storage_of(tmp_path))
        assert (point.directory, point.is_finished) == (savepoint, False)

    def test_stop_that_failed_and_was_gone_on_from_is_not_gone_back_to(
        self, tmp_path: Path
    ) -> None:
        """Its sinks could not commit; the process died before the next checkpoint was recorded."""
        run = add_run(tmp_path, "a", 1)
        savepoint = add_checkpoint(storage_of(tmp_path / "savepoints"), 5)
        run.write_run(RunRecord("a", "job", 1, last_checkpoint=4, savepoint=str(savepoint)))
        add_checkpoint(run, 4)
        assert resume_point(storage_of(tmp_path)).directory == savepoint
        newer = add_checkpoint(run, 6)
        assert resume_point(storage_of(tmp_path)).directory == newer

    def test_savepoint_that_is_gone_is_refused(self, tmp_path: Path) -> None:
        add_run(tmp_path, "a", 1, "FINISHED", savepoint=str(tmp_path / "sp"))
        with pytest.raises(RestoreError, match="is gone"):
            resume_point(storage_of(tmp_path))

    def test_checkpoints_that_are_gone_are_refused(self, tmp_path: Path) -> None:
        """State is never silently empty."""
        add_run(tmp_path, "a", 1, "FAILED", last_checkpoint=4)
        with pytest.raises(RestoreError, match="completed checkpoint 4, but no whole"):
            resume_point(storage_of(tmp_path))

    def test_run_that_was_resumed_and_completed_none_goes_on_from_where_it_began(
        self, tmp_path: Path
    ) -> None:
        began = add_checkpoint(add_run(tmp_path, "a", 1), 3)
        add_run(tmp_path, "b", 2, restored_from=str(began))
        add_run(tmp_path, "c", 3, restored_from=str(began))
        assert resume_point(storage_of(tmp_path)).directory == began

    def test_map_of_uids_is_needed_again_until_there_is_a_checkpoint(self, tmp_path: Path) -> None:
        began = add_checkpoint(add_run(tmp_path, "a", 1), 3)
        storage = storage_of(tmp_path, "b")
        record = RunRecord("b", "job", 2, restored_from=str(began), uid_map={"old": "new"})
        storage.write_run(record)
        point = resume_point(storage_of(tmp_path))
        assert (point.directory, point.uid_map) == (began, {"old": "new"})
        own = add_checkpoint(storage, 4)
        point = resume_point(storage_of(tmp_path))
        assert (point.directory, point.uid_map) == (own, {})

    def test_latest_run_counts_and_not_the_greatest_name(self, tmp_path: Path) -> None:
        add_checkpoint(add_run(tmp_path, "z", 1), 9)
        latest = add_checkpoint(add_run(tmp_path, "a", 2), 3)
        assert resume_point(storage_of(tmp_path)).directory == latest

    def test_directory_without_a_record_is_no_run(self, tmp_path: Path) -> None:
        """A crash may come between the directory of a run and its record."""
        latest = add_checkpoint(add_run(tmp_path, "a", 1), 3)
        (tmp_path / "job" / "half" / "state").mkdir(parents=True)
        assert resume_point(storage_of(tmp_path)).directory == latest


def test_record_is_replaced_as_a_whole(tmp_path: Path) -> None:
    storage = add_run(tmp_path, "a", 1)
    before = os.stat(storage.run / "run.json").st_ino
    storage.write_run(RunRecord("a", "job", 1, "FINISHED"))
    assert os.stat(storage.run / "run.json").st_ino != before
    assert names(storage.run) == ["run.json", "state"]


def test_record_with_any_flipped_bit_is_refused_or_says_the_same(tmp_path: Path) -> None:
    """A name that nobody knows would be passed over, and a number that is wrong be believed."""
    storage = storage_of(tmp_path)
    record = RunRecord("new", "job", 1_000, "SUSPENDED", 2_000, 7, savepoint="sp-7")
    storage.write_run(record)
    path = storage.run / RUN_FILE
    content = path.read_bytes()
    for bit in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        with suppress(RestoreError):
            assert read_run(RealDisk(), storage.run) == record


def test_record_of_an_older_version_has_no_checksum(tmp_path: Path) -> None:
    storage = storage_of(tmp_path)
    (storage.run / RUN_FILE).write_text('{"id": "new", "name": "job", "started_ms": 5}')
    assert read_run(RealDisk(), storage.run) == RunRecord("new", "job", 5)


def test_end_of_a_run_is_recorded_although_its_directory_vanished(tmp_path: Path) -> None:
    """Else the next run would not know whose output to take back."""
    storage = storage_of(tmp_path, "gone")
    shutil.rmtree(tmp_path / "job")
    storage.write_run(RunRecord("gone", "job", 1_000, "FAILED", 2_000, 7))
    later = CheckpointStorage(RealDisk(), tmp_path, "job", "later")
    assert [record.id for record in later.earlier_runs()] == ["gone"]
