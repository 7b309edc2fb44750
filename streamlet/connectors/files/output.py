"""The output directory of a file sink: locked, made, renamed in and tidied, with clear errors."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streamlet.connectors.files.disk import DiskLock, FileDisk
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


def sync_directories(disk: FileDisk, paths: Iterable[Path]) -> None:
    """Returns when their entries would survive power loss."""
    for path in paths:
        with writing(path):
            disk.sync_directory(path)


def remove(disk: FileDisk, paths: Iterable[Path]) -> None:
    """Removes the files, those already gone included; what is a directory stays."""
    for path in paths:
        with writing(path):
            if not disk.is_directory(path):
                disk.remove(path)


class DirectoryLock:
    """Keeps a second job out of an output directory; ends with the process at the latest."""

    def __init__(self, disk: FileDisk, directory: Path) -> None:
        self._disk = disk
        self._directory = directory
        self._held: DiskLock | None = None

    def acquire(self) -> bool:
        """Takes the lock; False: this job has held it all the time since it did so.

        The directory may have been removed meanwhile, and the lock with it: then it is taken
        anew. Raises FatalError when another job holds it.
        """
        path = self._directory / LOCK_NAME
        with writing(path):
            if self._held is not None and self._held.is_in_place():
                return False
        self.release()
        if self._disk.exists(self._directory) and not self._disk.is_directory(self._directory):
            raise FatalError(
                f"{self._directory} is to be a directory of output files, and there is a file of "
                "that name; give the sink another directory, or move the file away"
            )
        with writing(path):
            # Its parent always: a killed process may have made it and not come to the sync.
            changed = {self._directory.parent, *self._disk.make_directories(self._directory)}
            sync_directories(self._disk, sorted(changed))
            try:
                self._held = self._disk.lock(path)
            except BlockingIOError as error:
                raise FatalError(
                    f"another job writes to {self._directory} ({error.strerror}); wait until it "
                    "has ended, stop it, or give each sink a directory of its own"
                ) from None
        return True

    def release(self) -> None:
        """Gives the lock back, if it is held."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def __del__(self) -> None:
        self.release()
