"""A simulated disk as one process sees it: every operation is a place to die."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.disk import SimulatedDisk

OUTPUT: Final = "output"
"""Where file sinks write."""
SAVEPOINTS: Final = "savepoints"
_JOB_DEPTH: Final = 2
"""Savepoints lie in a directory per job below that of all savepoints."""


class MountedDisk:
    """Implements `checkpoint.disk.Disk`; of a dead process nothing reaches the disk any more."""

    def __init__(self, disk: SimulatedDisk, points: CrashPoints) -> None:
        self._disk = disk
        self._points = points
        self._open: dict[int, str] = {}

    def create(self, path: Path) -> BinaryIO:
        kind = kind_of(path)
        self._points.reach(f"before-{kind}-create")
        file = self._disk.create(path)
        self._open[id(file)] = kind
        self._points.reach(f"after-{kind}-create")
        return file

    def sync(self, file: BinaryIO) -> None:
        kind = self._open[id(file)]
        self._points.reach(f"before-{kind}-sync")
        self._disk.sync(file)
        self._points.reach(f"after-{kind}-sync")

    def read(self, path: Path) -> bytes:
        self._points.reach(f"before-{kind_of(path)}-read")
        return self._disk.read(path)

    def rename(self, source: Path, target: Path) -> None:
        kind = kind_of(target)
        self._points.reach(f"before-{kind}-rename")
        self._disk.rename(source, target)
        self._points.reach(f"after-{kind}-rename")

    def make_directory(self, path: Path) -> None:
        kind = kind_of(path)
        self._points.reach(f"before-{kind}-make")
        self._disk.make_directory(path)
        self._points.reach(f"after-{kind}-make")

    def sync_directory(self, path: Path) -> None:
        kind = kind_of(path)
        self._points.reach(f"before-{kind}-sync")
        self._disk.sync_directory(path)
        self._points.reach(f"after-{kind}-sync")

    def list(self, path: Path) -> list[Path]:
        self._points.check()
        return self._disk.list(path)

    def remove(self, path: Path) -> None:
        kind = kind_of(path)
        self._points.reach(f"before-{kind}-remove")
        self._disk.remove(path)
        self._points.reach(f"after-{kind}-remove")


_FILES: Final = {
    "manifest.json": "manifest",
    "run.json": "run-record",
    "operator-state.parquet": "operator-state",
    "state": "state-directory",
}


def kind_of(path: Path) -> str:
    """What a path is: of a checkpoint directory by its name, elsewhere by its place too."""
    if OUTPUT in path.parts:
        return _kind_of_output(path)
    kind = _kind_by_name(path.name.removeprefix(".").removesuffix(".inprogress"))
    if SAVEPOINTS in path.parts:
        depth = len(path.parts) - path.parts.index(SAVEPOINTS)
        if kind is not None:
            return f"savepoint-{kind}"
        return "savepoint-directory" if depth > _JOB_DEPTH else "savepoints-directory"
    if kind is not None:
        return kind
    return "scratch-directory" if "scratch" in path.parts else "run-directory"


def _kind_of_output(path: Path) -> str:
    if path.name == OUTPUT or "=" in path.name:
        return "output-directory"
    return "output-journal" if "committed" in path.name else "output-file"


def _kind_by_name(name: str) -> str | None:
    if name in _FILES:
        return _FILES[name]
    if name.endswith(".parquet"):
        return "keyed-state"
    return "checkpoint-directory" if name.startswith("chk-") else None
