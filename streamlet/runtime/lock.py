"""Sees to it that only one running job uses a directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from streamlet.errors import ConfigError


class DirectoryLock:
    """An flock on a file in the directory; the system frees it when the process dies."""

    def __init__(self, directory: Path, what: str) -> None:
        """Takes the lock; ConfigError if another process or job has it."""
        directory.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise ConfigError(
                f"{what} is already running: it holds {directory / 'lock'}. Stop it first "
                "(`streamlet list` shows it), or give this job another name: env.execute('name')"
            ) from error

    def release(self) -> None:
        """Gives the lock back."""
        os.close(self._descriptor)
