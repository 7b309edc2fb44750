"""Names of sink files: `part-<run>-<subtask>-<checkpoint>-<n>.<ext>`, hidden while written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from streamlet.errors import InternalError

_RUN: Final = r"[A-Za-z0-9.]+"
_VISIBLE: Final = re.compile(rf"part-({_RUN})-(\d+)-(\d+)-(\d+)\.([a-z]+)")
_HIDDEN: Final = re.compile(rf"\.part-({_RUN})-(\d+)-(\d+)-(\d+)\.([a-z]+)\.inprogress")


@dataclass(frozen=True, slots=True)
class PartName:
    """What the name of a sink file says; no two attempts of any run share one."""

    run_id: str
    subtask: int
    opened_for: int
    """The checkpoint being written for when the file was opened. It keeps the hidden names of an
    attempt apart from those of the checkpoint it was restored from, which may be committed again
    at the next restore, and says which files a savepoint needs: those opened for it or earlier."""
    number: int
    extension: str

    def __post_init__(self) -> None:
        if not re.fullmatch(_RUN, self.run_id):
            raise InternalError(
                f"run id {self.run_id!r} cannot be part of a file name; expected letters, digits "
                "and dots"
            )

    def hidden(self) -> str:
        """The name until the checkpoint that covers its records is complete."""
        return f".{self.visible(self.opened_for)}.inprogress"

    def visible(self, checkpoint_id: int) -> str:
        """The name from then on."""
        return f"part-{self.run_id}-{self.subtask}-{checkpoint_id}-{self.number}.{self.extension}"


def run_and_checkpoint_of(file_name: str) -> tuple[str, int] | None:
    """The run and checkpoint that a visible name speaks of; None: not a sink's file.

    >>> run_and_checkpoint_of("part-7f.1-0-12-3.jsonl"), run_and_checkpoint_of("part-1.csv")
    (('7f.1', 12), None)
    """
    match = _VISIBLE.fullmatch(file_name)
    return None if match is None else (match[1], int(match[3]))


def run_and_checkpoint_of_hidden(file_name: str) -> tuple[str, int] | None:
    """The run that wrote a hidden file, and for which checkpoint it was opened."""
    match = _HIDDEN.fullmatch(file_name)
    return None if match is None else (match[1], int(match[3]))
