"""FileSink: exactly once through checkpoints, crashes and restores (SNK-3, FS-1 to FS-4)."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streamlet.connectors.files import FileSink
from streamlet.connectors.files.output import writing as disk_writing
from streamlet.connectors.files.writer import Rolling
from streamlet.errors import ConfigError, FatalError, InternalError, RestoreError, TransientError
from streamlet.sink import RestoreContext
from tests.connectors.files.writing import Run, SteppedClock, content, hidden, visible


def test_records_are_hidden_until_their_checkpoint_is_committed(tmp_path: Path) -> None:
    """FS-1: readers see only finished files."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write(1, 2)
    assert hidden(tmp_path) == [".part-r1-0-1-1.jsonl.inprogress"]
    committables = run.prepare(1)
    assert visible(tmp_path) == []
    run.sink.commit(committables)
    assert hidden(tmp_path) == []
    assert visible(tmp_path) == ["part-r1-0-1-1.jsonl"]
    assert content(tmp_path) == "1\n2\n"
    run.finish()


def test_each_checkpoint_names_its_own_files(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    for checkpoint_id in (1, 2, 5):
        run.write(checkpoint_id)
        run.checkpoint(checkpoint_id)
    run.finish()
    assert visible(tmp_path) == [
        "part-r1-0-1-1.jsonl",
        "part-r1-0-2-2.jsonl",
        "part-r1-0-5-3.jsonl",
    ]


def test_a_checkpoint_without_records_has_nothing_to_commit(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    run.write()
    assert run.prepare(1) == []
    run.finish()
    assert visible(tmp_path) == hidden(tmp_path) == []


def test_a_commit_can_be_repeated(tmp_path: Path) -> None:
    """SNK-3: a restore commits again what may have been committed."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write("a")
    committables = run.prepare(1)
    for _ in range(3):
        run.sink.commit(committables)
    assert content(tmp_path) == '"a"\n'
    run.finish()


def test_a_crash_between_two_renames_is_completed_by_the_restore(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, partition_by=lambda v: v))
    run.write(1, 2, 3)
    committables = run.prepare(1)
    run.sink.commit(committables[:1])
    run.kill()
    restored = FileSink.json_lines(tmp_path)
    restored.commit(committables)
    Run(restored, "r2", ["r1"], restored_checkpoint=1).finish()
    assert len(visible(tmp_path)) == 3
    assert hidden(tmp_path) == []


def test_a_file_whose_both_names_are_missing_is_lost(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    run.write("a")
    committables = run.prepare(1)
    (tmp_path / hidden(tmp_path)[0]).unlink()
    with pytest.raises(FatalError, match=r"part-r1-0-1-1\.jsonl is lost"):
        run.sink.commit(committables)
    run.finish()


def test_a_commit_never_replaces_a_visible_file(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    run.write("a")
    committables = run.prepare(1)
    (tmp_path / "part-r1-0-1-1.jsonl").write_text("precious")
    with pytest.raises(FatalError, match="exists"):
        run.sink.commit(committables)
    assert content(tmp_path) == "precious"
    run.finish()


@pytest.mark.parametrize("field", ["temp", "final"])
def test_a_commit_never_leaves_the_directory(tmp_path: Path, field: str) -> None:
    """A savepoint may come from anyone: it must not rename files elsewhere."""
    (tmp_path / "outside").touch()
    sink = FileSink.json_lines(tmp_path / "out")
    committable = {"temp": ".part-r1-0-1-1.jsonl.inprogress", "final": "part-r1-0-1-1.jsonl"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / committable["temp"]).touch()
    for name in ("../outside", str(tmp_path / "outside")):
        with pytest.raises(FatalError, match="outside"):
            sink.commit([committable | {field: name}])
    sink.close()
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["out", "outside"]


def test_committables_outlive_a_move_of_the_directory(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path / "a"))
    run.write("a")
    committables = run.prepare(1)
    run.kill()
    (tmp_path / "a").rename(tmp_path / "b")
    moved = FileSink.json_lines(tmp_path / "b")
    moved.commit(committables)
    moved.close()
    assert content(tmp_path / "b") == '"a"\n'


def test_what_a_killed_attempt_wrote_since_its_checkpoint_vanishes(tmp_path: Path) -> None:
    """FS-4."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write(1)
    run.checkpoint(1)
    run.write(2)
    run.prepare(2)
    run.write(3)
    run.kill()
    assert len(hidden(tmp_path)) == 2
    again = Run(FileSink.json_lines(tmp_path), "r2", ["r1"], restored_checkpoint=1)
    assert hidden(tmp_path) == []
    again.write(2, 3)
    again.checkpoint(2)
    again.finish()
    assert content(tmp_path) == "1\n2\n3\n"


def test_an_attempt_never_writes_under_a_name_of_its_restored_checkpoint(tmp_path: Path) -> None:
    """Else the third attempt would commit the second one's records over the first one's."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write("first")
    committables = run.prepare(1)
    run.sink.commit(committables)
    run.kill()
    again = Run(FileSink.json_lines(tmp_path), restored_checkpoint=1)
    again.write("never committed")
    again.kill()
    third = FileSink.json_lines(tmp_path)
    third.commit(committables)
    Run(third, restored_checkpoint=1).finish()
    assert content(tmp_path) == '"first"\n'
    assert hidden(tmp_path) == []


def test_hidden_files_of_other_jobs_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / ".part-other-0-1-1.jsonl.inprogress"
    other.write_text("")
    Run(FileSink.json_lines(tmp_path), "r2", ["r1"]).finish()
    assert other.exists()


def test_a_run_that_ends_removes_what_no_checkpoint_knows(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, roll_size=1))
    run.write(1)
    prepared = run.prepare(1)
    run.write(2)
    run.finish()
    assert hidden(tmp_path) == [prepared[0]["temp"]]


@hypothesis_settings(max_examples=40)
@given(
    events=st.lists(st.sampled_from(["write", "complete", "abort", "kill", "kill mid commit"])),
    rolls=st.booleans(),
)
def test_every_record_is_visible_exactly_once_whatever_crashes_when(
    tmp_path_factory: pytest.TempPathFactory, events: list[str], rolls: bool
) -> None:
    """A job that replays from its last complete checkpoint, with kills anywhere."""
    directory = tmp_path_factory.mktemp("out")
    job = _ReplayedJob(directory, roll_size=1 if rolls else "1mb")
    for event in events:
        job.do(event)
    job.do("complete")
    job.run.finish()
    assert content(directory) == "".join(f"{n}\n" for n in range(job.next_record))
    assert hidden(directory) == []


class _ReplayedJob:
    """Writes 0, 1, 2, ...; a checkpoint holds the next number and the open committables."""

    def __init__(self, directory: Path, roll_size: int | str) -> None:
        self.directory = directory
        self.roll_size = roll_size
        self.run_ids = ["r1"]
        self.next_record = 0
        self.next_checkpoint = 1
        self.pending: list[dict[str, str]] = []
        self.complete = (0, 0, list(self.pending))
        self.run = Run(self.sink(), "r1")

    def sink(self) -> FileSink:
        return FileSink.json_lines(self.directory, roll_size=self.roll_size)

    def do(self, event: str) -> None:
        if event == "write":
            self.run.write(self.next_record)
            self.next_record += 1
        elif event == "kill":
            self.restart()
        else:
            self.take_checkpoint(event)

    def take_checkpoint(self, event: str) -> None:
        checkpoint_id = self.next_checkpoint
        self.next_checkpoint += 1
        # What an aborted checkpoint prepared is committed by the next that completes (SNK-2).
        self.pending += self.run.prepare(checkpoint_id)
        if event == "abort":
            return
        self.complete = (checkpoint_id, self.next_record, list(self.pending))
        if event == "kill mid commit":
            self.run.sink.commit(self.pending[: len(self.pending) // 2])
            self.restart()
        else:
            self.run.sink.commit(self.pending)
        self.pending = []

    def restart(self) -> None:
        self.run.kill()
        checkpoint_id, self.next_record, committables = self.complete
        self.pending = []
        sink = self.sink()
        sink.commit(committables)
        earlier = list(self.run_ids)
        self.run_ids.append(f"r{len(self.run_ids) + 1}")
        self.run = Run(sink, self.run_ids[-1], earlier, checkpoint_id)
        self.next_checkpoint = checkpoint_id + 1


def with_later_output(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, partition_by=lambda v: v % 2))
    for checkpoint_id in (1, 2, 3):
        run.write(checkpoint_id)
        run.checkpoint(checkpoint_id)
    run.write(9)
    run.kill()


def test_output_newer_than_the_checkpoint_is_refused_before_anything_changes(
    tmp_path: Path,
) -> None:
    with_later_output(tmp_path)
    before = visible(tmp_path) + hidden(tmp_path)
    sink = FileSink.json_lines(tmp_path)
    with pytest.raises(RestoreError) as caught:
        Run(sink, "r2", ["r1"], restored_checkpoint=1)
    sink.close()
    message = str(caught.value)
    assert "partition=0/part-r1-0-2-2.jsonl" in message
    assert "part-r1-0-1-1.jsonl" not in message
    assert "--keep-later-output" in message
    assert "--discard-later-output" in message
    assert visible(tmp_path) + hidden(tmp_path) == before


def test_later_output_can_be_kept(tmp_path: Path) -> None:
    with_later_output(tmp_path)
    before = visible(tmp_path)
    sink = FileSink.json_lines(tmp_path)
    Run(sink, "r2", ["r1"], restored_checkpoint=1, later_output="keep").finish()
    assert visible(tmp_path) == before
    assert hidden(tmp_path) == []


def test_later_output_can_be_discarded(tmp_path: Path) -> None:
    with_later_output(tmp_path)
    stranger = tmp_path / "part-other-0-9-1.jsonl"
    stranger.write_text("")
    sink = FileSink.json_lines(tmp_path)
    Run(sink, "r2", ["r1"], restored_checkpoint=1, later_output="discard").finish()
    assert visible(tmp_path) == ["part-other-0-9-1.jsonl", "partition=1/part-r1-0-1-1.jsonl"]


def test_a_fresh_start_beside_other_output_is_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with_later_output(tmp_path)
    with caplog.at_level(logging.WARNING, "streamlet"):
        Run(FileSink.json_lines(tmp_path), "new").finish()
    assert "holds 3 files of other runs" in caplog.text


def test_a_second_job_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    with pytest.raises(FatalError, match="another job writes to"):
        Run(FileSink.csv(tmp_path), "r2")
    run.finish()
    Run(FileSink.csv(tmp_path), "r2").finish()


def test_attempts_of_one_job_share_its_lock(tmp_path: Path) -> None:
    sink = FileSink.json_lines(tmp_path)
    Run(sink).writer.close()
    Run(sink, "r2", ["r1"]).finish()


def test_recovering_an_output_that_does_not_exist_makes_it(tmp_path: Path) -> None:
    sink = FileSink.json_lines(tmp_path / "a" / "b")
    sink.recover(RestoreContext(0, ["r1"]))
    sink.close()
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_is_closed_at_its_size(tmp_path: Path) -> None:
    """FS-2."""
    run = Run(FileSink.json_lines(tmp_path, roll_size=10))
    for value in range(1_000, 1_006):
        run.write(value)
    run.checkpoint(1)
    run.finish()
    assert [(tmp_path / name).read_text() for name in visible(tmp_path)] == [
        "1000\n1001\n",
        "1002\n1003\n",
        "1004\n1005\n",
    ]


def test_a_file_is_closed_at_its_age(tmp_path: Path) -> None:
    """FS-2."""
    clock = SteppedClock()
    make = FileSink.json_lines(tmp_path)._make_format
    run = Run(FileSink(tmp_path, make, rolling=Rolling.of(roll_interval="60s", clock=clock)))
    for now_ms in (0, 59_999, 60_000, 70_000, 120_000):
        clock.milliseconds = now_ms
        run.write(now_ms)
    run.checkpoint(1)
    run.finish()
    assert [(tmp_path / name).read_text() for name in visible(tmp_path)] == [
        "0\n59999\n",
        "60000\n70000\n",
        "120000\n",
    ]


def test_rolled_files_wait_for_their_checkpoint_too(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, roll_size=1))
    run.write(1)
    run.write(2)
    assert visible(tmp_path) == []
    run.checkpoint(4)
    run.finish()
    assert visible(tmp_path) == ["part-r1-0-4-1.jsonl", "part-r1-0-4-2.jsonl"]


def test_open_files_are_limited_however_many_partitions_there_are(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, partition_by=lambda v: v))
    run.write(*range(250))
    assert len(run.writer._open) == 100
    run.checkpoint(1)
    run.finish()
    assert len(visible(tmp_path)) == 250


def test_a_full_disk_restarts_the_job_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="disk is full"), disk_writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_directory_that_cannot_be_written_stops_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match="cannot be written"):
        FileSink.json_lines(tmp_path / "file" / "out").recover(RestoreContext(0, ["r1"]))


def test_a_file_in_the_directorys_place_stops_the_job(tmp_path: Path) -> None:
    """The job once restarted for ever: the system says "File exists", which no restart mends."""
    (tmp_path / "out").write_text("")
    with pytest.raises(FatalError, match="there is a file of that name"):
        FileSink.json_lines(tmp_path / "out").recover(RestoreContext(0, ["r1"]))


def test_a_run_id_that_breaks_file_names_is_refused(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path), "r-1")
    with pytest.raises(InternalError, match="run id"):
        run.write(1)
    run.finish()


@pytest.mark.parametrize("settings", [{"roll_size": "big"}, {"roll_interval": 0}])
def test_settings_that_mean_nothing_are_refused_at_once(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        FileSink.json_lines(tmp_path, **settings)
