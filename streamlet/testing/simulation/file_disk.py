"""The simulated disk as file sources and sinks see it: every write is a place to die."""

from __future__ import annotations

import errno
import io
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, cast

from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.disk import OpenedFile, SimulatedDisk
from streamlet.testing.simulation.mounted_disk import MountedDisk, kind_of


class SimulatedFileDisk(MountedDisk):
    """Implements `connectors.files.disk.FileDisk` for one process."""

    def __init__(self, disk: SimulatedDisk, points: CrashPoints) -> None:
        super().__init__(disk, points)
        self._locks: set[Path] = set()

    def find(self, path: str) -> list[str]:
        """As the real one, for globs in the last part of the path."""
        self._points.check()
        one = Path(path)
        if self._disk.is_directory(one):
            found = self._disk.list(one)
        else:
            found = [p for p in self._disk.list(one.parent) if fnmatchcase(p.name, one.name)]
        files = [p for p in found if not self._disk.is_directory(p) and p.name[0] != "."]
        return [str(p) for p in files]

    def open(self, path: str) -> BinaryIO:
        self._points.check()
        return cast(BinaryIO, self._disk.open(Path(path)))

    def size_bytes(self, path: str) -> int:
        self._points.check()
        return len(self._disk.read(Path(path)))

    def names_file(self, path: str, file: BinaryIO) -> bool:
        opened = cast(OpenedFile, file)
        return self._disk.open(Path(path)).node is opened.node

    def create_new(self, path: Path) -> BinaryIO:
        kind = kind_of(path)
        self._points.reach(f"before-{kind}-create")
        if self._disk.exists(path):
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        file = _BufferedFile(self._disk.create(path), self._points)
        self._points.reach(f"after-{kind}-create")
        return file

    def sync_file(self, path: Path) -> None:
        kind = kind_of(path)
        self._points.reach(f"before-{kind}-sync")
        self._disk.sync_file(path)
        self._points.reach(f"after-{kind}-sync")

    def make_directories(self, path: Path) -> list[Path]:
        kind = kind_of(path)
        if self._disk.is_directory(path):
            return []
        self._points.reach(f"before-{kind}-make")
        changed = self._disk.make_directories(path)
        self._points.reach(f"after-{kind}-make")
        return changed

    def exists(self, path: Path) -> bool:
        self._points.check()
        return self._disk.exists(path)

    def is_directory(self, path: Path) -> bool:
        self._points.check()
        return self._disk.is_directory(path)

    def lock(self, path: Path) -> _Lock:
        """Ends with the process, as this disk does."""
        self._points.check()
        if path in self._locks:
            raise BlockingIOError(errno.EWOULDBLOCK, "process 1")
        if not self._disk.exists(path):
            self._disk.create(path)
        self._locks.add(path)
        return _Lock(self, self._locks, path)


class _Lock:
    def __init__(self, disk: SimulatedFileDisk, locks: set[Path], path: Path) -> None:
        self._disk = disk
        self._locks = locks
        self._path = path

    def is_in_place(self) -> bool:
        return self._path in self._locks and self._disk.exists(self._path)

    def release(self) -> None:
        self._locks.discard(self._path)


class _BufferedFile(io.BytesIO):
    """What is written comes to the disk with the close, unless the process dies before."""

    def __init__(self, file: BinaryIO, points: CrashPoints) -> None:
        super().__init__()
        self._file = file
        self._points = points

    def write(self, content: Any, /) -> int:
        self._points.check()
        return super().write(content)

    def close(self) -> None:
        if not self.closed and not self._points.is_dead:
            content = self.getvalue()
            super().close()
            self._file.write(content)
        super().close()
