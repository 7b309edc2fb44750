"""Finds the files of a source and cuts them into splits."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.splits import FileSplit
from streamlet.connectors.files.streams import reading
from streamlet.errors import ConfigError, FatalError
from streamlet.source import SplitEnumerator

Cut = Callable[[FileDisk, str, int], list[FileSplit]]
"""Cuts the file of that path into at most so many splits."""

_DISCOVERY_INTERVAL_MS: Final = 1_000


class FileEnumerator(SplitEnumerator):
    """Reports the splits of every file once, by file name; remembers the files it reported.

    When there are fewer files than readers, each file is cut into one range per reader: ranges of
    one file lie side by side in time, so that no reader runs far ahead of another.
    A file is cut once, when it is first seen, whatever the parallelism of later attempts.
    """

    def __init__(
        self, disk: FileDisk, path: str, parallelism: int, cut: Cut, *, follow: bool
    ) -> None:
        self._disk = disk
        self._path = path
        self._parallelism = parallelism
        self._cut = cut
        self._follow = follow
        self._known: set[str] = set()
        # A followed file never ends: a reader that waited for its end would never get the next.
        self.on_demand = not follow
        self.discovery_interval_ms = _DISCOVERY_INTERVAL_MS if follow else None

    def discover(self) -> Sequence[str]:
        with reading(self._path):
            found = self._disk.find(self._path)
        new = [path for path in found if path not in self._known]
        if not new and not self._known and not self._follow:
            raise FatalError(self._nothing_found())
        self._known.update(new)
        if self._follow:
            return [FileSplit(path).name for path in new]
        parts = self._parallelism if len(new) < self._parallelism else 1
        return [split.name for path in new for split in self._cut(self._disk, path, parts)]

    def _nothing_found(self) -> str:
        path = Path(self._path)
        if self._disk.exists(path) and not self._disk.is_directory(path):
            return (
                f"{self._path!r} is a pipe or a device; expected a file: after a crash a file can "
                "be read once more, a pipe cannot. Write it to a file first"
            )
        return (
            f"no files to read: {self._path!r} (seen from {os.getcwd()!r}) matches none; "
            "expected one file, a directory or a glob (follow=True waits for files)"
        )

    def snapshot(self) -> Any:
        return sorted(self._known)

    def restore(self, state: Any) -> None:
        self._known = set(state)


def check_path(disk: FileDisk, path: str, *, follow: bool) -> None:
    """Refuses a path that names nothing, while the job is being built."""
    if follow or disk.exists(Path(path)) or glob.has_magic(path):
        return
    raise ConfigError(
        f"there is no file or directory {path!r} (seen from {os.getcwd()!r}); "
        "give an existing one, a glob like 'logs/*.jsonl', or follow=True to wait for it"
    )
