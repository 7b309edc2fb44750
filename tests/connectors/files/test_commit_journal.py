"""What was committed and then moved away by a reader is told from what is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamlet.connectors.files import FileSink
from streamlet.connectors.files.disk import REAL_DISK
from streamlet.connectors.files.journal import JOURNAL_NAME, CommitJournal
from streamlet.errors import FatalError, RestoreError
from streamlet.sink import RestoreContext
from tests.connectors.files.writing import Run, hidden, visible


def take_all(directory: Path) -> list[str]:
    """As a reader does that moves finished files away."""
    taken = visible(directory)
    for name in taken:
        (directory / name).unlink()
    return taken


def test_a_commit_of_files_that_a_reader_took_is_done(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    run.write(1)
    committables = run.prepare(1)
    run.sink.commit(committables)
    assert take_all(tmp_path) == ["part-r1-0-1-1.jsonl"]
    run.kill()
    restored = FileSink.json_lines(tmp_path)
    restored.commit(committables)
    Run(restored, "r2", ["r1"], restored_checkpoint=1).finish()
    assert visible(tmp_path) == []


def test_a_reader_may_remove_the_partition_too(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, partition_by="k"))
    run.write({"k": 1}, {"k": 2})
    committables = run.prepare(1)
    run.sink.commit(committables)
    run.kill()
    take_all(tmp_path)
    (tmp_path / "k=1").rmdir()
    restored = FileSink.json_lines(tmp_path)
    restored.commit(committables)
    restored.close()


def test_files_taken_between_two_tries_of_one_commit_are_not_missed(tmp_path: Path) -> None:
    """The journal is written before the renames: a reader may take the first file at once."""
    run = Run(FileSink.json_lines(tmp_path, partition_by=lambda v: v))
    run.write(1, 2, 3)
    committables = run.prepare(1)
    run.sink.commit(committables[:2])
    taken = take_all(tmp_path)
    run.kill()
    restored = FileSink.json_lines(tmp_path)
    restored.commit(committables)
    restored.close()
    assert len(taken) == 2
    assert visible(tmp_path) == ["partition=3/part-r1-0-1-3.jsonl"]


def test_a_hidden_file_that_vanished_before_its_commit_is_lost(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path, partition_by=lambda v: v))
    run.write(1, 2)
    committables = run.prepare(1)
    (tmp_path / committables[1]["temp"]).unlink()
    with pytest.raises(FatalError, match="is lost"):
        run.sink.commit(committables)
    assert visible(tmp_path) == [], "nothing was changed by a commit that cannot be right"
    assert not (tmp_path / JOURNAL_NAME).exists()
    run.finish()


def test_files_of_a_savepoint_that_a_restart_rolled_back_are_lost(tmp_path: Path) -> None:
    """The run commits past the savepoint's number, but never what the savepoint had."""
    sink = FileSink.json_lines(tmp_path)
    run = Run(sink)
    run.write(1)
    run.checkpoint(1)
    run.write(2)
    savepoint = run.prepare(2)
    run.writer.close()
    again = Run(sink, restored_checkpoint=1)
    again.write(2)
    again.checkpoint(3)
    again.write(3)
    again.checkpoint(4)
    again.finish()
    take_all(tmp_path)
    restored = FileSink.json_lines(tmp_path)
    with pytest.raises(FatalError, match="is lost"):
        restored.commit(savepoint)
    restored.close()


def test_empty_checkpoints_between_two_commits_cost_nothing(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    for checkpoint_id in (2, 4, 7, 11):
        run.write(checkpoint_id)
        run.checkpoint(checkpoint_id)
    run.finish()
    content = json.loads((tmp_path / JOURNAL_NAME).read_text())
    assert content == {"version": 1, "runs": {"r1": [[2, 11]]}}


def test_later_output_that_was_moved_away_is_refused_too(tmp_path: Path) -> None:
    """Its reader would get the same records again."""
    run = Run(FileSink.json_lines(tmp_path))
    for checkpoint_id in (1, 2):
        run.write(checkpoint_id)
        run.checkpoint(checkpoint_id)
    run.kill()
    take_all(tmp_path)
    sink = FileSink.json_lines(tmp_path)
    with pytest.raises(RestoreError, match=r"\(run r1, checkpoint 2\),\nwhich was moved away"):
        sink.recover(RestoreContext(1, ["r1", "r2"]))
    sink.recover(RestoreContext(1, ["r1", "r2"], "keep"))
    sink.recover(RestoreContext(2, ["r1", "r2"]))
    sink.close()


def test_later_output_that_was_discarded_is_not_refused_again(tmp_path: Path) -> None:
    run = Run(FileSink.json_lines(tmp_path))
    for checkpoint_id in (1, 2):
        run.write(checkpoint_id)
        run.checkpoint(checkpoint_id)
    run.kill()
    take_all(tmp_path)
    sink = FileSink.json_lines(tmp_path)
    sink.recover(RestoreContext(1, ["r1", "r2"], "discard"))
    sink.recover(RestoreContext(1, ["r1", "r2"]))
    sink.close()


def test_a_new_start_after_all_output_was_taken_is_not_refused(tmp_path: Path) -> None:
    """A job that is run once a day, and whose output is moved away every time."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write(1)
    run.checkpoint(1)
    run.finish()
    take_all(tmp_path)
    Run(FileSink.json_lines(tmp_path), "r2", ["r1"]).finish()


def test_a_sink_used_again_reads_what_others_wrote_meanwhile(tmp_path: Path) -> None:
    first, second = FileSink.json_lines(tmp_path), FileSink.json_lines(tmp_path)
    for run_id, sink in (("r1", first), ("r2", second), ("r3", first)):
        run = Run(sink, run_id)
        run.write(1)
        run.checkpoint(1)
        run.finish()
    assert set(json.loads((tmp_path / JOURNAL_NAME).read_text())["runs"]) == {"r1", "r2", "r3"}


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"version":1}', b'{"version":1,"runs":[]}'])
def test_a_damaged_journal_stops_the_job(tmp_path: Path, content: bytes) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(content)
    with pytest.raises(FatalError, match="cannot be read"):
        CommitJournal(REAL_DISK, tmp_path).holds("r1", 1)


def test_a_journal_of_a_newer_version_stops_the_job(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_text('{"version":2,"runs":{}}')
    with pytest.raises(FatalError, match="expected version 1, got 2"):
        CommitJournal(REAL_DISK, tmp_path).committed()


def test_a_crash_while_the_journal_is_written_leaves_the_old_one(tmp_path: Path) -> None:
    journal = CommitJournal(REAL_DISK, tmp_path)
    journal.advance("r1", 1, 1)
    (tmp_path / f"{JOURNAL_NAME}.inprogress").write_text("torn")
    assert CommitJournal(REAL_DISK, tmp_path).holds("r1", 1)
    journal.advance("r1", 2, 2)
    assert CommitJournal(REAL_DISK, tmp_path).holds("r1", 2)
    assert hidden(tmp_path) == []
