"""What simulations went through, and the failure of one with all that is needed to repeat it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from streamlet.testing.simulation.crash_points import CRASH_POINTS
from streamlet.testing.simulation.fates import Fate
from streamlet.testing.simulation.world import Ended


class SimulationFailure(AssertionError):
    """A run with crashes did not end as the run without; says how to repeat it."""

    def __init__(self, seed: int, schedule: Sequence[Fate], what: str) -> None:
        processes = "\n".join(f"  process {n}: {fate}" for n, fate in enumerate(schedule, 1))
        super().__init__(
            f"seed {seed}: {what}\n{processes}\n"
            "repeat it, or keep it in a test:\n"
            f"  simulate_schedule(build, {seed}, {literal(schedule)})"
        )
        self.seed = seed
        self.schedule = list(schedule)
        self.what = what


@dataclass(slots=True)
class SimulationReport:
    """What was run and what it went through."""

    seeds: list[int] = field(default_factory=list)
    processes: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    """By crash point: how often a process died there."""
    errors: Counter[str] = field(default_factory=Counter)
    """By crash point: how often an operation failed there and the process went on."""
    passed: Counter[str] = field(default_factory=Counter)
    """By crash point: how often a process came by."""
    savepoints: int = 0
    """Savepoints that a client was told of, those of stops included."""
    refused: int = 0
    """Seeds that ended with a restore that refused damaged files."""
    turned_away: int = 0
    """Processes that would not go back to a savepoint whose output was discarded."""
    flips: int = 0
    """Bits that were flipped in what a process was to restore."""
    full_disks: int = 0
    """Processes that found the disk full."""
    records: int = 0
    """Records of output that were compared."""
    schedules: dict[int, str] = field(default_factory=dict)
    """By seed: a hash of what happened and when."""

    def count(self, fate: Fate, ended: Ended) -> None:
        """One process more."""
        self.processes += 1
        self.passed += ended.hits
        self.savepoints += ended.savepoints
        self.refused += ended.is_refused
        self.turned_away += ended.is_turned_away
        self.flips += ended.has_flipped
        self.full_disks += ended.was_full
        if fate.crash is not None and ended.has_crashed:
            self.crashes[fate.crash.point] += 1
        self.errors += Counter(
            error.point for error in fate.errors if ended.hits[error.point] >= error.occurrence
        )

    def add(self, other: SimulationReport) -> None:
        """Sums up."""
        self.seeds += other.seeds
        self.processes += other.processes
        self.crashes += other.crashes
        self.errors += other.errors
        self.passed += other.passed
        self.savepoints += other.savepoints
        self.refused += other.refused
        self.turned_away += other.turned_away
        self.flips += other.flips
        self.full_disks += other.full_disks
        self.records += other.records
        self.schedules |= other.schedules

    def unlisted(self) -> set[str]:
        """Points that were passed and are not in the list."""
        return set(self.passed) - CRASH_POINTS

    def __str__(self) -> str:
        return (
            f"{len(self.seeds)} seeds, {self.processes} processes, "
            f"{self.crashes.total()} crashes at {len(self.crashes)} of {len(CRASH_POINTS)} points "
            f"({len(self.passed)} passed), {self.errors.total()} errors, "
            f"{self.savepoints} savepoints, {self.full_disks} full disks, {self.flips} flips, "
            f"{self.refused} refused, {self.turned_away} turned away, "
            f"{self.records} records compared"
        )


def literal(schedule: Sequence[Fate]) -> str:
    """The schedule as Python."""
    fates = "".join(f"    {fate!r},\n" for fate in schedule)
    return f"[\n{fates}  ]" if fates else "[]"
