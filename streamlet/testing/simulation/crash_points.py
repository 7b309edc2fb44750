"""The places at which a simulated process may die: named, listed and counted."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

CRASH_POINTS: Final = frozenset(
    [
        # A file may be torn before it is synced, and be forgotten before its directory is.
        *(
            f"{when}-{kind}-{operation}"
            for kind in ("manifest", "operator-state", "keyed-state", "run-record")
            for operation in ("create", "sync")
            for when in ("before", "after")
        ),
        "before-manifest-rename",
        "after-manifest-rename",
        "before-run-record-rename",
        "after-run-record-rename",
        *(
            f"{when}-{kind}-directory-{operation}"
            for kind, operation in (
                ("checkpoint", "make"),
                ("checkpoint", "sync"),
                ("state", "make"),
                ("state", "sync"),
                ("run", "sync"),
                ("run", "remove"),
                ("checkpoint", "remove"),
                ("state", "remove"),
                ("scratch", "remove"),
            )
            for when in ("before", "after")
        ),
        "before-manifest-remove",
        "after-manifest-remove",
        "before-keyed-state-remove",
        "after-keyed-state-remove",
        # Reads happen while a run resumes, while files are checked, and while old ones are swept.
        *(
            f"before-{kind}-read"
            for kind in ("manifest", "operator-state", "keyed-state", "run-record")
        ),
        # Work in threads: it has not begun; it is done and nobody knows yet.
        "before-thread",
        "between-thread-and-result",
        # A message is on its way between coordinator and worker.
        *(
            f"before-{name}-message"
            for name in (
                "assign-splits",
                "attempt-ended",
                "cancel-attempt",
                "checkpoint-aborted",
                "checkpoint-complete",
                "close-attempt",
                "decline-checkpoint",
                "deploy",
                "input-ended",
                "no-more-splits",
                "split-request",
                "splits-unread",
                "task-ack",
                "task-opened",
                "trigger-checkpoint",
            )
        ),
        # The outside world: what was prepared, made durable, committed.
        "between-barrier-and-snapshot",
        "before-sink-sync",
        "after-sink-sync",
        "before-sink-commit",
        "after-sink-commit",
        "before-sink-recover",
        "after-sink-recover",
    ]
)
"""All points that the engine passes on its way from the start of a job to its end."""


_FALLIBLE: Final = ("create", "sync", "rename", "make", "read", "sink-commit", "sink-recover")


class ProcessDeath(SystemExit):
    """The simulated process dies here.

    As a SystemExit it goes through callbacks and tasks of an event loop and ends the loop at once.
    """


def may_fail(point: str) -> bool:
    """Whether an error of the disk or of the outside world may come at this point."""
    return point.endswith(_FALLIBLE)


@dataclass(frozen=True, slots=True)
class Crash:
    """When a process passes `point` for the `occurrence`-th time, counted from 1."""

    point: str
    occurrence: int

    def __str__(self) -> str:
        return f"{self.point}#{self.occurrence}"


class CrashPoints:
    """What one process has passed; afterwards it is dead and can change nothing any more."""

    def __init__(self, crash: Crash | None = None, errors: Collection[Crash] = ()) -> None:
        self.hits: Counter[str] = Counter()
        self.is_dead = False
        self.has_failed = False
        """Whether one of the errors was raised."""
        self._crash = crash
        self._errors = errors

    def reach(self, point: str) -> None:
        """Counts the point; raises ProcessDeath or OSError if there is one to be here."""
        self.check()
        self.hits[point] += 1
        here = Crash(point, self.hits[point])
        if here == self._crash:
            self.is_dead = True
            raise ProcessDeath(str(here))
        if here in self._errors:
            self.has_failed = True
            raise OSError(errno.EIO, f"simulated error at {here}")

    def check(self) -> None:
        """Raises OSError in a dead process: whatever still unwinds there must have no effect."""
        if self.is_dead:
            raise OSError(errno.EIO, "the simulated process is dead")
