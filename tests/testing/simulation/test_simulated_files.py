"""Files of records on the simulated disk: what a loss of power takes, and what readers see."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamlet.connectors.files.disk import FileDisk
from streamlet.testing.simulation import Crash, Files, SimulatedDisk
from streamlet.testing.simulation.crash_points import CrashPoints, ProcessDeath
from streamlet.testing.simulation.file_disk import SimulatedFileDisk
from streamlet.testing.simulation.files import INPUT_DIRECTORY, OUTPUT_DIRECTORY, VisibleFiles

PART = OUTPUT_DIRECTORY / "key=a" / "part-1"


def mounted(disk: SimulatedDisk, crash: Crash | None = None) -> FileDisk:
    return SimulatedFileDisk(disk, CrashPoints(crash))


def numbers(path: Path, content: bytes) -> list[Any]:
    return [int(line) for line in content.splitlines()]


def put(disk: SimulatedDisk, path: Path, content: bytes) -> None:
    disk.make_directory(path.parent)
    with disk.create(path) as file:
        file.write(content)


def test_what_is_written_comes_to_the_disk_with_the_close() -> None:
    disk = SimulatedDisk()
    files = mounted(disk)
    files.make_directories(PART.parent)
    file = files.create_new(PART)
    file.write(b"12")
    assert disk.read(PART) == b""
    file.close()
    assert disk.read(PART) == b"12"
    assert files.size_bytes(str(PART)) == 2


def test_what_a_dying_process_had_not_closed_is_not_there() -> None:
    disk = SimulatedDisk()
    files = mounted(disk, Crash("before-output-file-sync", 1))
    files.make_directories(PART.parent)
    file = files.create_new(PART)
    file.write(b"12")
    with pytest.raises(ProcessDeath):
        files.sync_file(PART)
    file.close()
    assert disk.read(PART) == b""


@pytest.mark.parametrize("is_synced", [False, True])
def test_directories_are_durable_once_those_above_them_were_synced(is_synced: bool) -> None:
    left = set()
    for seed in range(20):
        disk = SimulatedDisk()
        files = mounted(disk)
        changed = files.make_directories(PART.parent)
        assert changed == [Path("/"), Path("/simulated"), OUTPUT_DIRECTORY]
        for directory in changed if is_synced else []:
            files.sync_directory(directory)
        disk.crash(Random(seed))
        left.add(disk.is_directory(PART.parent))
    assert left == ({True} if is_synced else {False, True})


def test_a_file_is_made_once_and_a_lock_is_held_once() -> None:
    files = mounted(SimulatedDisk())
    files.make_directories(OUTPUT_DIRECTORY)
    files.create_new(OUTPUT_DIRECTORY / "part")
    with pytest.raises(FileExistsError):
        files.create_new(OUTPUT_DIRECTORY / "part")
    held = files.lock(OUTPUT_DIRECTORY / "lock")
    with pytest.raises(BlockingIOError) as caught:
        files.lock(OUTPUT_DIRECTORY / "lock")
    assert caught.value.errno == errno.EWOULDBLOCK
    held.release()
    files.lock(OUTPUT_DIRECTORY / "lock")


def test_input_is_found_and_can_be_read_from_anywhere_and_while_it_grows() -> None:
    disk = SimulatedDisk()
    Files({"b": b"0123456789", "a": b"x", ".hidden": b""}, numbers).lay_out(disk)
    disk.crash(Random(0))
    files = mounted(disk)
    assert files.find(str(INPUT_DIRECTORY)) == [str(INPUT_DIRECTORY / name) for name in "ab"]
    assert files.find(str(INPUT_DIRECTORY / "b*")) == [str(INPUT_DIRECTORY / "b")]
    file = files.open(str(INPUT_DIRECTORY / "b"))
    file.seek(-4, 2)
    assert (file.read(2), file.tell(), file.read(), file.read()) == (b"67", 8, b"89", b"")
    put(disk, INPUT_DIRECTORY / "b", b"another")
    assert not files.names_file(str(INPUT_DIRECTORY / "b"), file)


def test_readers_see_files_that_stay_as_they_are() -> None:
    disk = SimulatedDisk()
    visible = VisibleFiles(Files({}, numbers), disk)
    put(disk, PART, b"1\n2\n")
    put(disk, PART.with_name(".part-2.inprogress"), b"torn")
    visible.look()
    assert visible.records() == [1, 2]
    put(disk, PART, b"1\n2\n3\n")
    with pytest.raises(AssertionError, match="change"):
        visible.look()
    disk.remove(PART)
    with pytest.raises(AssertionError, match="gone"):
        visible.check_kept()
    visible.forget([], frozenset())  # seen only since: it was written afterwards
    with pytest.raises(AssertionError, match="gone"):
        visible.check_kept()
    visible.forget([], visible.seen())
    visible.check_kept()


def test_torn_file_that_a_reader_sees_is_found() -> None:
    disk = SimulatedDisk()
    put(disk, PART, b"1\nx")
    with pytest.raises(AssertionError, match="torn"):
        VisibleFiles(Files({}, numbers), disk).look()
