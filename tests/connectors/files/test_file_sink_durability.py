"""FileSink: what is durable before a checkpoint is acknowledged, and before a commit returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlet.connectors.files import FileSink
from streamlet.connectors.files.disk import RealFileDisk
from streamlet.connectors.files.encoders import JsonLinesEncoder
from streamlet.connectors.files.journal import JOURNAL_NAME
from streamlet.connectors.files.partitions import PartitionBy
from streamlet.connectors.files.parts import TextParts
from streamlet.connectors.files.writer import Rolling
from tests.connectors.files.writing import Run


class LoggingDisk(RealFileDisk):
    """Syncs, and remembers what; renames too."""

    def __init__(self) -> None:
        self.synced: list[Path] = []
        self.done: list[str] = []

    def sync_file(self, path: Path) -> None:
        super().sync_file(path)
        self.done[-1] = f"sync {path.name}"

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        self.synced.append(path)
        self.done.append(f"sync {path.name}")

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.done.append(f"rename {target.name}")


@pytest.fixture
def disk() -> LoggingDisk:
    return LoggingDisk()


def json_lines(
    directory: Path,
    disk: LoggingDisk,
    partition_by: PartitionBy | None = None,
    roll_size: int | str = "1mb",
) -> FileSink:
    return FileSink(
        directory,
        lambda: TextParts(JsonLinesEncoder(None)),
        partition_by=partition_by,
        rolling=Rolling.of(roll_size),
        disk=disk,
    )


def test_files_and_then_their_directories_are_durable_before_the_ack(
    tmp_path: Path, disk: LoggingDisk
) -> None:
    out = tmp_path / "out"
    run = Run(json_lines(out, disk, partition_by=["a", "b"]))
    disk.synced.clear()
    run.write({"a": 1, "b": 2}, {"a": 1, "b": 3})
    committables = run.prepare(1)
    files = [out / one["temp"] for one in committables]
    assert disk.synced[:2] == files
    assert set(disk.synced[2:]) == {out, out / "a=1", out / "a=1" / "b=2", out / "a=1" / "b=3"}
    run.finish()


def test_directories_that_were_there_already_are_synced_too(
    tmp_path: Path, disk: LoggingDisk
) -> None:
    """A killed attempt may have made them, and a loss of power would take them back."""
    (tmp_path / "out" / "a=1" / "b=2").mkdir(parents=True)
    run = Run(json_lines(tmp_path / "out", disk, partition_by=["a", "b"]))
    assert disk.synced == [tmp_path]
    run.write({"a": 1, "b": 2})
    run.prepare(1)
    assert {tmp_path / "out", tmp_path / "out" / "a=1"} <= set(disk.synced)
    disk.synced.clear()
    run.write({"a": 1, "b": 2})
    run.prepare(2)
    assert len(disk.synced) == 2, "the file and its directory"
    run.finish()


def test_nothing_is_synced_on_the_writing_thread(tmp_path: Path, disk: LoggingDisk) -> None:
    run = Run(json_lines(tmp_path, disk, roll_size=1))
    disk.synced.clear()
    run.write(1)
    run.writer.prepare_commit()
    assert disk.synced == []
    run.finish()


def test_one_sync_covers_a_checkpoint_that_was_never_synced(
    tmp_path: Path, disk: LoggingDisk
) -> None:
    """An aborted checkpoint's files are committed with the next: they must be durable then."""
    run = Run(json_lines(tmp_path, disk))
    run.write(1)
    aborted = list(run.writer.prepare_commit())
    run.write(2)
    completed = run.prepare(2)
    assert {tmp_path / one["temp"] for one in aborted + completed} <= set(disk.synced)
    run.finish()


def test_renames_are_durable_when_a_commit_returns(tmp_path: Path, disk: LoggingDisk) -> None:
    run = Run(json_lines(tmp_path, disk, partition_by="a"))
    run.write({"a": 1}, {"a": 2})
    committables = run.prepare(1)
    disk.synced.clear()
    run.sink.commit(committables)
    assert disk.synced[-2:] == [tmp_path / "a=1", tmp_path / "a=2"]
    run.finish()


def test_the_journal_is_durable_before_the_first_rename(tmp_path: Path, disk: LoggingDisk) -> None:
    """Else a file could be taken and then, after a loss of power, be called lost."""
    run = Run(json_lines(tmp_path, disk))
    run.write(1)
    committables = run.prepare(1)
    disk.done.clear()
    run.sink.commit(committables)
    run.finish()
    assert disk.done == [
        f"rename {JOURNAL_NAME}",
        f"sync {tmp_path.name}",
        "rename part-r1-0-1-1.jsonl",
        f"sync {tmp_path.name}",
    ]
