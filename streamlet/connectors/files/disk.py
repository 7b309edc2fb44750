"""What the file source and sink ask of a disk, so that a simulated one can take its place."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from streamlet.checkpoint.disk import Disk, RealDisk

_WRITE_BUFFER_BYTES: Final = 1 << 18


class DiskLock(Protocol):
    """A lock that is held; it ends with the process at the latest."""

    def is_in_place(self) -> bool:
        """False: the file was removed or replaced, so that others can take the lock too."""

    def release(self) -> None:
        """Gives it back; a second time it does nothing."""


class FileDisk(Disk, Protocol):
    """A checkpoint's disk, and what else files of records need.

    Sinks and sources take one as `FileSink(..., disk=disk)` and `FileSource(..., disk=disk)`.
    Like the rest of a `Disk`, nothing written here is durable before it was synced. All paths are
    as the user gave them, or lie below those. Errors are OSErrors with an errno.
    """

    def find(self, path: str) -> list[str]:
        """The files that a path, a directory or a glob stands for, sorted; hidden ones left out."""

    def open(self, path: str) -> BinaryIO:
        """The file from its beginning, unbuffered; can be sought in, and read while it grows."""

    def size_bytes(self, path: str) -> int: ...

    def names_file(self, path: str, file: BinaryIO) -> bool:
        """Whether `path` still names what `open` gave as `file`; False: it was replaced."""

    def create_new(self, path: Path) -> BinaryIO:
        """As `create`, with a large buffer; FileExistsError if there is such a file."""

    def sync_file(self, path: Path) -> None:
        """Makes the content of a closed file durable; its name is another matter."""

    def make_directories(self, path: Path) -> list[Path]:
        """As `make_directory`, but durable only once the given directories were synced."""

    def exists(self, path: Path) -> bool: ...

    def is_directory(self, path: Path) -> bool: ...

    def lock(self, path: Path) -> DiskLock:
        """Holds the file of that name, which it makes; BlockingIOError says which process does."""


class RealFileDisk(RealDisk):
    """The machine's file system."""

    def find(self, path: str) -> list[str]:
        if os.path.isfile(path):
            return [path]
        if os.path.isdir(path):
            found = [os.path.join(path, name) for name in os.listdir(path)]
        else:
            found = glob.glob(path, recursive=True)
        return sorted(one for one in found if _is_visible_file(one))

    def open(self, path: str) -> BinaryIO:
        # The reader closes it. A FileIO lacks nothing that a BinaryIO has.
        return cast(BinaryIO, open(path, "rb", buffering=0))

    def size_bytes(self, path: str) -> int:
        return os.path.getsize(path)

    def names_file(self, path: str, file: BinaryIO) -> bool:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))

    def create_new(self, path: Path) -> BinaryIO:
        return open(path, "xb", buffering=_WRITE_BUFFER_BYTES)

    def sync_file(self, path: Path) -> None:
        self.sync_directory(path)  # the same call: a descriptor is opened and synced

    def make_directories(self, path: Path) -> list[Path]:
        changed: list[Path] = []
        missing = path
        while not missing.exists():
            missing = missing.parent
            changed.append(missing)
        path.mkdir(parents=True, exist_ok=True)
        return changed

    def exists(self, path: Path) -> bool:
        return path.exists()

    def is_directory(self, path: Path) -> bool:
        return path.is_dir()

    def lock(self, path: Path) -> DiskLock:
        return _FileLock(path)


def _is_visible_file(path: str) -> bool:
    return not os.path.basename(path).startswith(".") and os.path.isfile(path)


class _FileLock:
    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise BlockingIOError(errno.EWOULDBLOCK, f"process {holder}") from None
        except BaseException:
            os.close(descriptor)
            raise
        self._path = path
        self._descriptor: int | None = descriptor

    def is_in_place(self) -> bool:
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


REAL_DISK: Final[FileDisk] = RealFileDisk()
"""It has no state: all sources and sinks may share it."""
