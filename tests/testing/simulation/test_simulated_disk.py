"""The simulated disk: what was synced outlives a crash, what was not may be lost or torn."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from streamlet.checkpoint.disk import Disk
from streamlet.testing.simulation import SimulatedDisk

HOME = Path("/home-of-the-test")
FILE = HOME / "file"
SEEDS = range(40)


def disk() -> SimulatedDisk:
    made = SimulatedDisk()
    made.make_directory(HOME)
    return made


def write(to: Disk, path: Path, content: bytes, *, is_synced: bool = True) -> None:
    with to.create(path) as file:
        file.write(content)
        if is_synced:
            to.sync(file)


def after_crash(made: SimulatedDisk, seed: int) -> bytes | None:
    """The content of the file; None: it is gone."""
    made.crash(Random(seed))
    return made.read(FILE) if FILE in made.list(HOME) else None


def test_synced_file_in_a_synced_directory_survives_every_crash() -> None:
    for seed in SEEDS:
        made = disk()
        write(made, FILE, b"content")
        made.sync_directory(HOME)
        assert after_crash(made, seed) == b"content"


def test_unsynced_content_is_lost_or_torn_or_there() -> None:
    seen = set()
    for seed in SEEDS:
        made = disk()
        write(made, FILE, b"abc", is_synced=False)
        made.sync_directory(HOME)
        seen.add(after_crash(made, seed))
    assert seen == {b"", b"a", b"ab", b"abc"}


def test_synced_part_of_a_file_is_never_torn() -> None:
    for seed in SEEDS:
        made = disk()
        with made.create(FILE) as file:
            file.write(b"abc")
            made.sync(file)
            file.write(b"def")
        made.sync_directory(HOME)
        content = after_crash(made, seed)
        assert content is not None
        assert content[:3] == b"abc"
        assert b"abcdef".startswith(content)


def test_rename_that_no_sync_followed_is_there_or_not_and_never_half() -> None:
    seen = set()
    for seed in SEEDS:
        made = disk()
        write(made, FILE, b"old")
        write(made, HOME / "new", b"new")
        made.sync_directory(HOME)
        made.rename(HOME / "new", FILE)
        content = after_crash(made, seed)
        seen.add((content, [path.name for path in made.list(HOME)] == ["file"]))
    assert seen == {(b"old", False), (b"new", True)}


def test_changes_of_a_directory_survive_in_their_order() -> None:
    seen = set()
    for seed in SEEDS:
        made = disk()
        for name in "abc":
            write(made, HOME / name, b"")
        made.crash(Random(seed))
        seen.add("".join(path.name for path in made.list(HOME)))
    assert seen == {"", "a", "ab", "abc"}


def test_removed_directory_may_be_back_with_a_part_of_what_was_in_it() -> None:
    seen = set()
    for seed in SEEDS:
        made = disk()
        made.make_directory(HOME / "sub")
        for name in ("sub/a", "sub/b"):
            write(made, HOME / name, b"")
        made.sync_directory(HOME / "sub")
        made.remove(HOME / "sub")
        assert made.list(HOME) == []
        made.crash(Random(seed))
        seen.add((len(made.list(HOME)), len(made.list(HOME / "sub"))))
    assert seen == {(0, 0), (1, 0), (1, 1), (1, 2)}


def test_open_file_of_a_dead_process_is_not_the_file_that_is_found_later() -> None:
    made = disk()
    write(made, FILE, b"first")
    made.sync_directory(HOME)
    file = made.create(FILE)
    made.sync_directory(HOME)
    made.crash(Random(0))
    made.remove(FILE)
    write(made, FILE, b"second")
    file.write(b"ghost")
    assert made.read(FILE) == b"second"


def test_full_disk_refuses_what_does_not_fit() -> None:
    made = disk()
    made.capacity_bytes = 5
    write(made, FILE, b"12345")
    with pytest.raises(OSError, match="space") as caught:
        write(made, FILE, b"6")
    assert caught.value.errno == errno.ENOSPC


def test_flipped_bit_changes_one_bit() -> None:
    made = disk()
    write(made, FILE, b"\x00\x00")
    made.flip_bit(FILE, 9)
    assert made.read(FILE) == b"\x00\x02"


def test_what_is_missing_is_a_missing_file() -> None:
    made = disk()
    for path in (FILE, HOME / "no" / "file"):
        with pytest.raises(FileNotFoundError):
            made.read(path)
        with pytest.raises(FileNotFoundError):
            made.rename(path, path.with_name("other"))
        made.remove(path)
    assert made.list(HOME / "no") == []
