"""Remembers in the output directory what was committed, so that readers may move files away.

A checkpoint's committables are committed again after every restore. When neither name of a file is
there any more, it was committed and then taken by a reader, or it is lost. The journal tells which:
before the first rename of a commit it says, durably, which checkpoints of which run are committed.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.output import writing
from streamlet.connectors.files.ranges import ByRun, Ranges, has, joined, minus, united
from streamlet.errors import FatalError

JOURNAL_NAME: Final = ".streamlet.committed"
_VERSION: Final = 1


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the file holds, as JSON."""

    version: int
    runs: dict[str, Ranges]
    """By run id, the checkpoints whose commit has begun."""
    discarded: dict[str, Ranges] = {}
    """Those that were committed, and discarded by who went back further."""
    beside: dict[str, dict[str, Ranges]] = {}
    """By run id, what earlier runs had committed when it began without knowing of it."""


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
        self._content: _Content | None = None
        self._last: tuple[str, int] | None = None
        """The run and checkpoint this attempt committed last."""

    def holds(self, run_id: str, checkpoint_id: int) -> bool:
        """Whether the commit of this checkpoint of this run has begun."""
        return has(self._read().runs.get(run_id, ()), checkpoint_id)

    def committed(self) -> ByRun:
        """The checkpoints whose commit has begun, but for those that were discarded."""
        return self._read().runs

    def discarded(self) -> ByRun:
        """The checkpoints whose output was there once, and was discarded."""
        return self._read().discarded

    def beside(self, run_ids: Collection[str]) -> ByRun:
        """What one of these runs found when it began, and has lived with since."""
        found: ByRun = {}
        for run, known in self._read().beside.items():
            if run in run_ids:
                found = united(found, known)
        return found

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
        content = self._read()
        known = content.runs.get(run_id, [])
        if not any(start <= first and last <= end for start, end in known):
            runs = content.runs | {run_id: joined([*known, (first, last)])}
            self._write(msgspec.structs.replace(content, runs=runs))

    def discard(self, output: ByRun) -> None:
        """Durably notes that this output does not count any more; before it is removed."""
        content = self._read()
        self._write(
            msgspec.structs.replace(
                content,
                runs=minus(content.runs, output),
                discarded=united(content.discarded, output),
            )
        )

    def live_with(self, run_id: str, output: ByRun, lost: ByRun, needed: Collection[str]) -> None:
        """Durably notes that this run goes on beside such output, and without what is lost.

        What other runs began beside is forgotten, unless they are among the needed ones.
        """
        content = self._read()
        known = united(content.beside.get(run_id, {}), output)
        kept = {run: found for run, found in content.beside.items() if run in needed}
        self._write(
            msgspec.structs.replace(
                content,
                discarded=minus(content.discarded, lost),
                beside=kept | ({run_id: known} if known else {}),
            )
        )

    def _read(self) -> _Content:
        if self._content is None:
            # Read once: the directory is locked, so nobody else writes it.
            with writing(self._path):
                exists = self._disk.exists(self._path)
                content = self._disk.read(self._path) if exists else b""
                if exists:
                    # A process killed between rename and sync leaves a journal that a loss of
                    # power would take back, after this one has relied on it.
                    self._disk.sync_directory(self._path.parent)
            self._content = self._parse(content) if exists else _Content(_VERSION, {})
        return self._content

    def _parse(self, content: bytes) -> _Content:
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
        return parsed

    def _write(self, content: _Content) -> None:
        """Whole and durable, or not at all: a crash leaves the old one or the new one."""
        scratch = self._path.with_name(f"{JOURNAL_NAME}.inprogress")
        with writing(self._path):
            with self._disk.create(scratch) as file:
                file.write(msgspec.json.encode(content))
                self._disk.sync(file)
            self._disk.rename(scratch, self._path)
            self._disk.sync_directory(self._path.parent)
        self._content = content
