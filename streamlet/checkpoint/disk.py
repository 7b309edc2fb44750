"""The few things a checkpoint asks of a disk, so that a simulated one can take its place."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from streamlet.errors import TransientError


class Disk(Protocol):
    """Files and directories. Nothing is durable before it was synced."""

    def create(self, path: Path) -> BinaryIO:
        """A new file to write; its directory exists."""

    def sync(self, file: BinaryIO) -> None:
        """Makes the file's content durable."""

    def read(self, path: Path) -> bytes:
        """The whole file; OSError for what is no file, such as a pipe that nobody writes to."""

    def rename(self, source: Path, target: Path) -> None:
        """Atomic; durable once the directory was synced."""

    def make_directory(self, path: Path) -> None:
        """With its parents; durable when this returns."""

    def sync_directory(self, path: Path) -> None: ...

    def list(self, path: Path) -> list[Path]:
        """The entries of a directory, sorted; none if it does not exist."""

    def remove(self, path: Path) -> None:
        """A file, or a directory with all that is in it; nothing if it is gone already."""


class RealDisk:
    """The machine's file system."""

    def create(self, path: Path) -> BinaryIO:
        return path.open("wb")

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())

    def read(self, path: Path) -> bytes:
        # Opening a pipe waits for its writer: O_NONBLOCK does not, and is nothing to a file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file", str(path))
            return file.read()

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def make_directory(self, path: Path) -> None:
        missing = [p for p in (path, *path.parents) if not p.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for made in missing:
            self.sync_directory(made.parent)

    def sync_directory(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def list(self, path: Path) -> list[Path]:
        return sorted(path.iterdir()) if path.is_dir() else []

    def remove(self, path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says in one sentence what is wrong with the disk while `path` is written."""
    try:
        yield
    except OSError as error:
        hint = "free some space" if error.errno == errno.ENOSPC else "check the directory"
        raise TransientError(f"cannot write {path}: {error.strerror or error}; {hint}") from error
