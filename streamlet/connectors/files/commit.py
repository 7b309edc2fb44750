"""Makes a checkpoint's files visible: all of them, however often it is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from streamlet.connectors.files.checksums import crc32_of
from streamlet.connectors.files.disk import FileDisk
from streamlet.connectors.files.journal import CommitJournal
from streamlet.connectors.files.output import sync_directories, writing
from streamlet.connectors.files.part_names import run_and_checkpoint_of
from streamlet.errors import FatalError, RestoreError


@dataclass(frozen=True, slots=True)
class _Pending:
    hidden: Path
    visible: Path
    size_bytes: int | None
    """None, and so is the sum: an older version wrote neither."""
    crc32: int | None


class Commit:
    """The renames of one commit.

    First everything is checked, then the journal says that the commit has begun, then files are
    renamed and their directories synced: nothing is changed by a commit that cannot be right.
    """

    def __init__(
        self,
        disk: FileDisk,
        directory: Path,
        journal: CommitJournal,
        committables: Sequence[Any],
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._journal = journal
        self._files = [
            _Pending(
                self._part(one["temp"]),
                self._part(one["final"]),
                one.get("size"),
                one.get("crc32"),
            )
            for one in committables
        ]

    def _part(self, name: str) -> Path:
        """Where a committable's file is; a savepoint may come from anyone."""
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise FatalError(
                f"the checkpoint names {name!r}, which is no file of {self._directory}"
            )
        return self._directory / name

    def check_restore(self) -> None:
        """RestoreError if a file is damaged, or neither there nor ever committed.

        Reads every hidden file to its end, so this is for restores alone; changes nothing.
        """
        for one in self._files:
            try:
                is_hidden = self._is_hidden(one)
            except FatalError as error:
                raise RestoreError(str(error)) from error
            with writing(one.hidden):
                found = crc32_of(self._disk, one.hidden) if is_hidden else None
            if found is not None and one.crc32 not in (None, found):
                raise RestoreError(_damaged(one, f"checksum {one.crc32}", f"{found}"))

    def run(self) -> None:
        """Returns when every file that nobody has taken is durably visible.

        FatalError when both names of a file are missing that was never committed, or both exist,
        or when a hidden file is not as long as it was.
        """
        hidden = [one for one in self._files if self._is_hidden(one)]
        self._note()
        for one in hidden:
            with writing(one.visible):
                self._disk.rename(one.hidden, one.visible)
        # Those renamed by an attempt that died may not be durable yet either.
        directories = sorted({one.visible.parent for one in self._files})
        with writing(self._directory):
            directories = [path for path in directories if self._disk.is_directory(path)]
        sync_directories(self._disk, directories)

    def _is_hidden(self, one: _Pending) -> bool:
        with writing(one.visible):
            is_hidden = self._disk.exists(one.hidden)
            is_visible = self._disk.exists(one.visible)
        if is_hidden and is_visible:
            raise FatalError(
                f"{one.visible} exists, and {one.hidden.name} would replace it: two jobs wrote "
                "under one run id; move one of the two away and restore again"
            )
        if not is_hidden and not is_visible and not self._was_committed(one):
            raise FatalError(_lost(one))
        if is_hidden:
            self._check_size(one)
        return is_hidden

    def _check_size(self, one: _Pending) -> None:
        with writing(one.hidden):
            found = self._disk.size_bytes(str(one.hidden))
        if one.size_bytes not in (None, found):
            raise FatalError(_damaged(one, f"{one.size_bytes} bytes", f"{found}"))

    def _was_committed(self, one: _Pending) -> bool:
        known = run_and_checkpoint_of(one.visible.name)
        return known is not None and self._journal.holds(*known)

    def _note(self) -> None:
        """The journal says of each run among the files that its commit begins."""
        checkpoints: dict[str, set[int]] = {}
        for one in self._files:
            if (known := run_and_checkpoint_of(one.visible.name)) is not None:
                checkpoints.setdefault(known[0], set()).add(known[1])
        for run_id, numbers in checkpoints.items():
            self._journal.advance(run_id, min(numbers), max(numbers))


def _lost(one: _Pending) -> str:
    return (
        f"{one.visible} is lost: the checkpoint says that it was written, but neither it nor "
        f"{one.hidden.name} exists, and it was never committed. Files may be taken once they "
        "are visible, but not the hidden ones beside them, and a savepoint needs them as long as "
        "it is where it was written; put the file back, or go on with --resume, from another "
        "checkpoint or from none"
    )


def _damaged(one: _Pending, expected: str, found: str) -> str:
    return (
        f"{one.hidden} is damaged, and was not made visible: expected {expected}, got {found}. Put "
        "the file back as it was, or restore from an earlier checkpoint or savepoint, with "
        "--discard-later-output if there is output after it"
    )
