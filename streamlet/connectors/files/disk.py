"""The few things the file sink asks of the disk, and what their failures mean for the job."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streamlet.errors import FatalError, TransientError

LOCK_NAME: Final = ".streamlet.lock"
_NOT_ALLOWED: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError into what the job must do: restart later, or stop."""
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_ALLOWED:
            raise FatalError(f"{path}: cannot be written: {error.strerror}") from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientError(
                f"{path}: the disk is full ({error.strerror}); make room: the job goes on from "
                "its last checkpoint, and nothing that was committed is lost"
            ) from error
        raise TransientError(f"{path}: writing failed: {error}") from error


def make_directories(path: Path) -> list[Path]:
    """Makes what is missing of the path; gives the directories that must be synced for that."""
    changed: list[Path] = []
    with writing(path):
        missing = path
        while not missing.exists():
            missing = missing.parent
            changed.append(missing)
        path.mkdir(parents=True, exist_ok=True)
    return changed


def sync_paths(paths: Iterable[Path]) -> None:
    """Returns when the files' content, or the directories' entries, would survive power loss."""
    for path in paths:
        with writing(path):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def publish(hidden: Path, visible: Path) -> None:
    """Renames a closed file to its visible name; done before is well done.

    FatalError when both names are missing (its records are lost) or both exist.
    """
    with writing(visible):
        if hidden.exists() and visible.exists():
            raise FatalError(
                f"{visible} exists, and {hidden.name} would replace it: two jobs wrote under one "
                "run id; move one of the two away and restore again"
            )
        try:
            hidden.rename(visible)
        except FileNotFoundError:
            if not visible.exists():
                raise _lost(hidden, visible) from None


def _lost(hidden: Path, visible: Path) -> FatalError:
    return FatalError(
        f"{visible} is lost: the checkpoint says that it was written, but neither it nor "
        f"{hidden.name} exists. Expected that nobody moves or removes files of the output "
        "directory while their job may still be restored; put the file back, or restore from a "
        "later checkpoint or from none"
    )


def remove(paths: Iterable[Path]) -> None:
    """Removes the files, those already gone included."""
    for path in paths:
        with writing(path):
            path.unlink(missing_ok=True)


class DirectoryLock:
    """Keeps a second job out of an output directory; ends with the process at the latest."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Takes the lock, once; raises FatalError when another job holds it."""
        if self._descriptor is not None:
            return
        make_directories(self._directory)
        path = self._directory / LOCK_NAME
        with writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with writing(path):
                self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            raise FatalError(
                f"another job writes to {self._directory} (process {holder}); wait until it has "
                "ended, stop it, or give each sink a directory of its own"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock back, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.release()
