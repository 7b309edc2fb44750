"""Remembers in the output directory what was committed, so that readers may move files away.

A checkpoint's committables are committed again after every restore. When neither name of a file is
there any more, it was committed and then taken by a reader, or it is lost. The journal tells which:
before the first rename of a commit it says, durably, which checkpoints of which run are committed.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.output import writing
from streamlet.errors import FatalError

JOURNAL_NAME: Final = ".streamlet.committed"
_VERSION: Final = 1

Ranges: TypeAlias = list[tuple[int, int]]
"""Checkpoint ids from first to last, both included; ascending, one range per attempt."""


class _Content(msgspec.Struct):
    """What the file holds, as JSON."""

    version: int
    runs: dict[str, Ranges]
    """By run id, the checkpoints whose commit has begun."""


class CommitJournal:
    """The checkpoints that each run began to commit into one directory.

    It is written before the renames. Were it written after them, a file could be taken and the
    process die in between, and its records would be called lost at the restore. Before them every
    file was seen to be there, so a file that is missing later can only have been renamed and taken.

    - The process dies before the journal is durable: no file is visible yet, and the repeated
      commit finds all of them hidden.
    - It dies after that: files still hidden are renamed by the repeated commit, missing ones were
      taken.
    - Power is lost before the renames are durable: a file may be hidden again although a reader
      has copied it. The repeated commit shows it again, under the same name.

    A run may go back and commit around a checkpoint that it gave up (a savepoint, whose files a
    restart rolls back), so the latest committed id alone would not do: files of a savepoint that
    is restored after that must be called lost.
    """

    def __init__(self, disk: FileDisk, directory: Path) -> None:
        self._disk = disk
        self._path = directory / JOURNAL_NAME
        self._runs: dict[str, Ranges] | None = None
        self._last: tuple[str, int] | None = None
        """The run and checkpoint this attempt committed last."""

    def holds(self, run_id: str, checkpoint_id: int) -> bool:
        """Whether the commit of this checkpoint of this run has begun."""
        return any(first <= checkpoint_id <= last for first, last in self._read().get(run_id, ()))

    def latest(self, run_ids: Collection[str]) -> int:
        """The latest checkpoint that one of the runs began to commit; 0: none."""
        runs = self._read()
        return max((runs[run][-1][1] for run in run_ids if run in runs), default=0)

    def begin_attempt(self) -> None:
        """What was prepared so far and not committed has been rolled back."""
        self._last = None

    def advance(self, run_id: str, first: int, last: int) -> None:
        """Durably notes that a commit of files of these checkpoints begins.

        Within an attempt a commit has all that was prepared since the one before it: the
        checkpoints between the two are empty, and belong to it.
        """
        if self._last is not None and self._last[0] == run_id:
            first = min(first, self._last[1] + 1)
        self._last = (run_id, last)
        runs = self._read()
        known = runs.get(run_id, [])
        if not any(start <= first and last <= end for start, end in known):
            self._write(runs | {run_id: _joined([*known, (first, last)])})

    def take_back(self, run_ids: Collection[str], checkpoint_id: int) -> None:
        """Durably forgets what these runs committed after the checkpoint."""
        runs = self._read()
        kept = {
            run: _up_to(ranges, checkpoint_id) if run in run_ids else ranges
            for run, ranges in runs.items()
        }
        if kept != runs:
            self._write({run: ranges for run, ranges in kept.items() if ranges})

    def _read(self) -> dict[str, Ranges]:
        if self._runs is None:
            # Read once: the directory is locked, so nobody else writes it.
            with writing(self._path):
                exists = self._disk.exists(self._path)
                content = self._disk.read(self._path) if exists else b""
                if exists:
                    # A process killed between rename and sync leaves a journal that a loss of
                    # power would take back, after this one has relied on it.
                    self._disk.sync_directory(self._path.parent)
            self._runs = self._parse(content) if exists else {}
        return self._runs

    def _parse(self, content: bytes) -> dict[str, Ranges]:
        try:
            parsed = msgspec.json.decode(content, type=_Content)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FatalError(
                f"{self._path}: cannot be read: {error}. It says what of this output was "
                "committed; if no reader moves files out of the directory it may be removed"
            ) from error
        if parsed.version != _VERSION:
            raise FatalError(
                f"{self._path}: expected version {_VERSION}, got {parsed.version}; a newer "
                "streamlet wrote it: run the job with that one"
            )
        return parsed.runs

    def _write(self, runs: dict[str, Ranges]) -> None:
        """Whole and durable, or not at all: a crash leaves the old one or the new one."""
        scratch = self._path.with_name(f"{JOURNAL_NAME}.inprogress")
        with writing(self._path):
            with self._disk.create(scratch) as file:
                file.write(msgspec.json.encode(_Content(_VERSION, runs)))
                self._disk.sync(file)
            self._disk.rename(scratch, self._path)
            self._disk.sync_directory(self._path.parent)
        self._runs = runs


def _joined(ranges: Ranges) -> Ranges:
    """The same ids in as few ranges as can be."""
    joined: Ranges = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _up_to(ranges: Ranges, checkpoint_id: int) -> Ranges:
    return [(first, min(last, checkpoint_id)) for first, last in ranges if first <= checkpoint_id]
