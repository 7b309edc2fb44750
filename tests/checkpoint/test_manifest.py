"""The manifest: whole or nothing, and refused with a reason when it is damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import (
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    OperatorEntry,
    ScopedFile,
    read_manifest,
    write_manifest,
)
from streamlet.errors import RestoreError, TransientError

SMALL = FileEntry("operator-state.parquet", 10, "ab", 1, 3)
LARGE = FileEntry("../state/3-v1-0-1.parquet", 1000, "cd", 50, 3)


def manifest(**changes: Any) -> Manifest:
    files = [[ScopedFile(LARGE, 0, 63)], [ScopedFile(LARGE, 64, 127)]]
    counts = OperatorEntry("counts", "count", "process", 2, 128, True, False, subtasks=files)
    whole = Manifest(3, "checkpoint", "1.0", "3.11", "job", ["r1"], "fp", 5, [counts], SMALL)
    return msgspec.structs.replace(whole, **changes)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_manifest(RealDisk(), tmp_path, manifest())
    assert read_manifest(RealDisk(), tmp_path) == manifest()
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST_NAME]


def test_size_counts_a_shared_file_once() -> None:
    assert manifest().size_bytes() == 1010


def test_paths_are_relative_so_that_a_directory_may_be_moved(tmp_path: Path) -> None:
    """SP-4."""
    write_manifest(RealDisk(), tmp_path, manifest())
    assert str(tmp_path) not in (tmp_path / MANIFEST_NAME).read_text()


def test_flipped_bytes_are_noticed_or_harmless(tmp_path: Path) -> None:
    """No damage may ever give another manifest than the one that was written."""
    write_manifest(RealDisk(), tmp_path, manifest())
    path = tmp_path / MANIFEST_NAME
    whole = path.read_bytes()
    noticed = 0
    for position in range(0, len(whole), 13):
        damaged = bytearray(whole)
        damaged[position] ^= 0x01
        path.write_bytes(damaged)
        try:
            assert read_manifest(RealDisk(), tmp_path) == manifest()
        except RestoreError:
            noticed += 1
    assert noticed > len(whole) // 13 * 0.9


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    write_manifest(RealDisk(), tmp_path, manifest())
    path = tmp_path / MANIFEST_NAME
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(RestoreError):
            read_manifest(RealDisk(), tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version 2, this streamlet reads 1"),
        ({"magic": "flonk"}, "magic 'flonk'"),
        ({"sha256": "0" * 64}, "checksum"),
        ({"version": "one"}, "not a manifest"),
    ],
)
def test_envelope_that_is_not_ours(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_manifest(RealDisk(), tmp_path, manifest())
    path = tmp_path / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RestoreError, match=said):
        read_manifest(RealDisk(), tmp_path)


def test_missing_manifest_names_the_directory(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match=r"no checkpoint or savepoint in .*chk-9"):
        read_manifest(RealDisk(), tmp_path / "chk-9")


def test_manifest_that_cannot_be_written_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="cannot write"):
        write_manifest(RealDisk(), tmp_path / "gone", manifest())


@dataclass
class RecordingDisk(RealDisk):
    """The real disk, and the order of what it was asked."""

    calls: list[str] = field(default_factory=list)

    def sync(self, file: BinaryIO) -> None:
        self.calls.append("sync")
        super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        self.calls.append(f"rename to {target.name}")
        super().rename(source, target)

    def sync_directory(self, path: Path) -> None:
        self.calls.append(f"sync directory {path.name}")
        super().sync_directory(path)


def test_content_is_durable_before_its_name_and_both_before_it_counts(tmp_path: Path) -> None:
    directory = tmp_path / "run" / "chk-3"
    directory.mkdir(parents=True)
    disk = RecordingDisk()
    write_manifest(disk, directory, manifest())
    assert disk.calls == [
        "sync",
        f"rename to {MANIFEST_NAME}",
        "sync directory chk-3",
        "sync directory run",
    ]
