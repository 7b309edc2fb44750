"""Savepoints that clients were told of, and the processes that go back to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlet.checkpoint.storage import RunRecord
from streamlet.sink import Span


@dataclass(frozen=True, slots=True)
class Savepoint:
    """One that a client was told of."""

    path: Path
    history: Sequence[Span]
    returns: int
    """How often somebody had gone back to a savepoint before it was told of."""


@dataclass(frozen=True, slots=True)
class Return:
    """A process was told to go back to this savepoint."""

    savepoint: Savepoint
    left: frozenset[str]
    """The runs before that, which may have begun with the same savepoint."""

    def is_recorded(self, runs: Sequence[RunRecord]) -> bool:
        """Whether a run is on record that has begun there."""
        began = str(self.savepoint.path)
        return any(run.restored_from == began and run.id not in self.left for run in runs)


class Returns:
    """What a service manager remembers of them.

    A process that goes back may die before it has discarded later output: whoever resumes says
    again that it may, until one has arrived. If it died without a trace, all is as it was before.
    """

    def __init__(self) -> None:
        self._savepoints: list[Savepoint] = []
        self._begun: list[Savepoint] = []
        self._before: Return | None = None
        self._refused: list[Savepoint] = []
        """Since somebody has last gone back all the way."""
        self.pending: Return | None = None
        """Begun, and later output may not have been discarded yet."""
        self.way_out: Savepoint | None = None
        """With what to begin when nothing can be resumed."""

    @property
    def have_happened(self) -> bool:
        """Whether somebody went back, so that runs were left aside."""
        return bool(self._begun)

    def on_savepoint(self, path: Path, history: Sequence[Span]) -> None:
        """A client was told of it."""
        self._savepoints.append(Savepoint(path, history, len(self._begun)))

    def savepoint(self, back: int) -> Savepoint | None:
        """The latest one, or one that is older by so many; None: there is none."""
        count = len(self._savepoints)
        return self._savepoints[-1 - back % count] if count else None

    def begin(self, savepoint: Savepoint, runs: Sequence[RunRecord]) -> None:
        """A process is told to go back there; these are the runs so far."""
        self._before = self.pending
        self.way_out = None
        if self.pending is None or self.pending.savepoint != savepoint:
            # Else one that died has gone back there already.
            self.pending = Return(savepoint, frozenset(run.id for run in runs))

    def under_way(self, runs: Sequence[RunRecord]) -> Return | None:
        """After a process: whether somebody goes back, and could not have arrived before it."""
        if self.pending is not None and not self.pending.is_recorded(runs):
            self.pending = self._before
        if self.pending is not None:
            self._begun.append(self.pending.savepoint)
        return self.pending

    def arrive(self) -> None:
        """Later output has been discarded."""
        self.pending = self._before = None
        self._refused.clear()

    def turn_away(self, runs: Sequence[RunRecord]) -> bool:
        """A restore was refused: whether output that it counts on may have been discarded.

        Somebody went back to another savepoint since. If one that died has gone to this one all
        the same, `--resume` finds no other: then only another savepoint helps. The last one from
        which output was discarded does; whether one that died came so far nobody knows.
        """
        pending = self.pending
        if pending is None:
            return False
        gone = self._begun[pending.savepoint.returns :]
        if all(savepoint == pending.savepoint for savepoint in gone):
            return False
        self._refused.append(pending.savepoint)
        if pending.is_recorded(runs):
            others = [savepoint for savepoint in self._begun if savepoint not in self._refused]
            self.way_out = others[-1] if others else None
        return True
