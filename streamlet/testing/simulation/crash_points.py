"""The places at which a simulated process may die: named, listed and counted."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

CRASH_POINTS: Final = frozenset(
    [
        # A file may be torn before it is synced, and be forgotten before its directory is.
        *(
            f"{when}-{kind}-{operation}"
            for kind in (
                *("manifest", "operator-state", "keyed-state", "run-record"),
                *("savepoint-manifest", "savepoint-operator-state", "savepoint-keyed-state"),
            )
            for operation in ("create", "sync")
            for when in ("before", "after")
        ),
        "before-manifest-rename",
        "after-manifest-rename",
        "before-savepoint-manifest-rename",
        "after-savepoint-manifest-rename",
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
                ("savepoint", "make"),
                ("savepoint", "sync"),
                ("savepoint", "remove"),
                ("savepoints", "sync"),
            )
            for when in ("before", "after")
        ),
        "before-manifest-remove",
        "after-manifest-remove",
        "before-savepoint-manifest-remove",
        "after-savepoint-manifest-remove",
        "before-keyed-state-remove",
        "after-keyed-state-remove",
        # Files of records, and the journal of their commits.
        *(
            f"{when}-output-{operation}"
            for operation in (
                *("file-create", "file-sync", "file-rename", "file-remove"),
                *("directory-make", "directory-sync"),
                *("journal-create", "journal-sync", "journal-rename"),
            )
            for when in ("before", "after")
        ),
        "before-output-journal-read",
        # Reads happen while a run resumes, while files are checked, and while old ones are swept.
        *(
            f"before-{kind}-read"
            for kind in (
                *("manifest", "operator-state", "keyed-state", "run-record"),
                *("savepoint-manifest", "savepoint-operator-state", "savepoint-keyed-state"),
            )
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

    def __repr__(self) -> str:
        return f'Crash("{self.point}", {self.occurrence})'


class CrashPoints:
    """What one process has passed; afterwards it is dead and can change nothing any more."""

    def __init__(self, crash: Crash | None = None, errors: Collection[Crash] = ()) -> None:
        self.hits: Counter[str] = Counter()
        self.hits_before: Counter[str] | None = Counter()
        """What the crash does not count; None: it must not come yet."""
        self.is_dead = False
        self.has_failed = False
        """Whether something failed that may well end the job: one of the errors, a full disk."""
        self._crash = crash
        self._errors = errors
        self._actions: dict[Crash, list[Callable[[], object]]] = {}
        self._special = {crash.point for crash in errors} | ({crash.point} if crash else set())

    def at(self, point: str, occurrence: int, action: Callable[[], object]) -> None:
        """Calls the action when the point is passed for that time."""
        self._special.add(point)
        self._actions.setdefault(Crash(point, occurrence), []).append(action)

    def reach(self, point: str) -> None:
        """Counts the point; raises ProcessDeath or OSError if there is one to be here."""
        self.check()
        self.hits[point] += 1
        if point in self._special:
            self._happen(Crash(point, self.hits[point]))

    def check(self) -> None:
        """Raises OSError in a dead process: whatever still unwinds there must have no effect."""
        if self.is_dead:
            raise OSError(errno.EIO, "the simulated process is dead")

    def _happen(self, here: Crash) -> None:
        for action in self._actions.get(here, ()):
            action()
        if self._is_crash(here):
            self.is_dead = True
            raise ProcessDeath(str(here))
        if here in self._errors:
            self.has_failed = True
            raise OSError(errno.EIO, f"simulated error at {here}")

    def _is_crash(self, here: Crash) -> bool:
        crash, before = self._crash, self.hits_before
        if crash is None or before is None or crash.point != here.point:
            return False
        return crash.occurrence == here.occurrence - before[here.point]
