"""FileSink: what is durable before a checkpoint is acknowledged, and before a commit returns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from streamlet.connectors.files import FileSink
from streamlet.connectors.files import sink as sink_module
from streamlet.connectors.files import writer as writer_module
from streamlet.connectors.files.disk import sync_paths
from tests.connectors.files.writing import Run


class SyncLog:
    """Syncs, and remembers what."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def __call__(self, paths: Iterable[Path]) -> None:
        listed = list(paths)
        sync_paths(listed)
        self.paths += listed


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> SyncLog:
    log = SyncLog()
    monkeypatch.setattr(writer_module, "sync_paths", log)
    monkeypatch.setattr(sink_module, "sync_paths", log)
    return log


def test_files_and_then_their_directories_are_durable_before_the_ack(
    tmp_path: Path, synced: SyncLog
) -> None:
    out = tmp_path / "out"
    run = Run(FileSink.json_lines(out, partition_by=["a", "b"]))
    run.write({"a": 1, "b": 2}, {"a": 1, "b": 3})
    committables = run.prepare(1)
    files = [out / one["temp"] for one in committables]
    assert synced.paths[:2] == files
    assert set(synced.paths[2:]) == {out, out / "a=1", out / "a=1" / "b=2", out / "a=1" / "b=3"}
    run.finish()


def test_nothing_is_synced_on_the_writing_thread(tmp_path: Path, synced: SyncLog) -> None:
    run = Run(FileSink.json_lines(tmp_path, roll_size=1))
    run.write(1)
    run.writer.prepare_commit()
    assert synced.paths == []
    run.finish()


def test_one_sync_covers_a_checkpoint_that_was_never_synced(
    tmp_path: Path, synced: SyncLog
) -> None:
    """An aborted checkpoint's files are committed with the next: they must be durable then."""
    run = Run(FileSink.json_lines(tmp_path))
    run.write(1)
    aborted = list(run.writer.prepare_commit())
    run.write(2)
    completed = run.prepare(2)
    assert {tmp_path / one["temp"] for one in aborted + completed} <= set(synced.paths)
    run.finish()


def test_renames_are_durable_when_a_commit_returns(tmp_path: Path, synced: SyncLog) -> None:
    run = Run(FileSink.json_lines(tmp_path, partition_by="a"))
    run.write({"a": 1}, {"a": 2})
    committables = run.prepare(1)
    synced.paths.clear()
    run.sink.commit(committables)
    assert synced.paths == [tmp_path / "a=1", tmp_path / "a=2"]
    run.finish()
