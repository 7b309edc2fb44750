"""A simulated disk as one process sees it: every operation is a place to die."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.disk import SimulatedDisk


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


def kind_of(path: Path) -> str:
    """What a path of a checkpoint directory is, by its name."""
    name = path.name.removeprefix(".").removesuffix(".inprogress")
    files = {
        "manifest.json": "manifest",
        "run.json": "run-record",
        "operator-state.parquet": "operator-state",
        "state": "state-directory",
    }
    if name in files:
        return files[name]
    if name.endswith(".parquet"):
        return "keyed-state"
    if name.startswith("chk-"):
        return "checkpoint-directory"
    return "scratch-directory" if "scratch" in path.parts else "run-directory"
