"""Runs a pipeline under many seeds with crashes, and compares with a run without any."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from streamlet.testing.simulation.crash_points import CRASH_POINTS, Crash, may_fail
from streamlet.testing.simulation.world import Build, Ended, Fate, Prepare, World, from_build

MAX_CRASHES: Final = 4
ERRORS: Final = (0, 0, 0, 1, 2)
"""How many operations fail in one process."""
CLOCKS_WRONG_BY_MS: Final = (0, 0, 0, -3_600_000, 60_000)
KILLED: Final = 0.4
"""How many crashes end the process alone and leave the disk as it is."""
SHOWN: Final = 3


class SimulationFailure(AssertionError):
    """A run with crashes did not end as the run without; says how to repeat it."""

    def __init__(self, seed: int, schedule: list[Fate], what: str) -> None:
        processes = "\n".join(f"  process {n}: {fate}" for n, fate in enumerate(schedule, 1))
        super().__init__(
            f"seed {seed}: {what}\n{processes}\nrepeat it: simulate(build, seeds=[{seed}])"
        )
        self.seed = seed
        self.schedule = schedule


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
    records: int = 0
    """Records of output that were compared."""
    schedules: dict[int, str] = field(default_factory=dict)
    """By seed: a hash of what happened and when."""

    def add(self, other: SimulationReport) -> None:
        """Sums up."""
        self.seeds += other.seeds
        self.processes += other.processes
        self.crashes += other.crashes
        self.errors += other.errors
        self.passed += other.passed
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
            f"{self.records} records compared"
        )


def simulate(
    build: Build,
    seeds: Iterable[int],
    *,
    config: Mapping[str, Any] | None = None,
    expected: Iterable[Any] | None = None,
    parallelisms: Sequence[int] = (1, 2, 3),
    is_clock_right: bool = False,
) -> SimulationReport:
    """Runs the pipeline once without a crash, then once per seed with crashes, and compares.

    `build(env, sink)` builds it over sources that can be replayed, `ReplayedSource` for one. The
    output must not depend on the order in which subtasks work. `expected` is the right output, as
    computed without streamlet; without it only the runs are compared with each other. Each
    process runs with one of the `parallelisms`; some have a wrong time of day, unless the output
    depends on that and `is_clock_right`.
    Raises SimulationFailure for the first seed whose output differs, as a multiset, or that fails
    or hangs.
    """
    simulation = _Simulation(from_build(build), dict(config or {}), parallelisms)
    if is_clock_right:
        simulation.clocks_wrong_by_ms = (0,)
    with _quiet():
        simulation.run_golden(expected)
        for seed in seeds:
            simulation.run_seed(seed)
    return simulation.report


@contextmanager
def _quiet() -> Iterator[None]:
    """Processes that die by the hundred have nothing to log that a reader could use."""
    logger = logging.getLogger("streamlet")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Simulation:
    def __init__(
        self, prepare: Prepare, config: dict[str, Any], parallelisms: Sequence[int]
    ) -> None:
        self.report = SimulationReport()
        self._prepare = prepare
        self._config = config
        self._parallelisms = parallelisms
        self.clocks_wrong_by_ms: Sequence[int] = CLOCKS_WRONG_BY_MS
        self._golden: Counter[str] | None = None
        self._passages: Counter[str] = Counter()
        """By crash point, how often it is passed: the same for every seed, so that a seed alone
        says where its crashes are."""

    def run_golden(self, expected: Iterable[Any] | None) -> None:
        """Without crashes; and once with one, to see what a resumed run comes by."""
        if expected is not None:
            self._golden = Counter(map(repr, expected))
        whole = Fate(parallelism=max(self._parallelisms))
        world = self._run(0, [whole])
        self._golden = Counter(map(repr, world.output.values))
        self._run(0, [replace(whole, crash=Crash("before-task-ack-message", 3)), whole])
        self._passages = Counter(self.report.passed)

    def run_seed(self, seed: int) -> None:
        """With up to four crashes."""
        # Not the world's own numbers: what they are used for depends on the schedule.
        random = Random(f"fates of {seed}")
        count = random.randint(1, MAX_CRASHES)
        fates = [self._draw_fate(random, count) for _ in range(count)]
        last = Fate(parallelism=random.choice(self._parallelisms))
        world = self._run(seed, [*fates, last])
        self.report.seeds.append(seed)
        self.report.schedules[seed] = world.schedule_hash()

    def _draw_fate(self, random: Random, count: int) -> Fate:
        """The more processes there are to be, the earlier each dies, so that all of them come."""
        crash = self._draw(random, sorted(self._passages), count)
        fallible = [point for point in sorted(self._passages) if may_fail(point)]
        errors = [self._draw(random, fallible, 2) for _ in range(random.choice(ERRORS))]
        wrong_by_ms = random.choice(self.clocks_wrong_by_ms)
        has_power = random.random() < KILLED
        parallelism = random.choice(self._parallelisms)
        return Fate(crash, has_power, tuple(errors), wrong_by_ms, parallelism)

    def _draw(self, random: Random, points: Sequence[str], count: int) -> Crash:
        """A point by its name, then one of its passages: rare points are tried as often."""
        point = random.choice(points)
        return Crash(point, random.randint(1, max(1, self._passages[point] // (2 * count))))

    def _run(self, seed: int, schedule: Iterable[Fate]) -> World:
        world = World(self._prepare, seed, self._config)
        happened: list[Fate] = []
        for fate in schedule:
            happened.append(fate)
            try:
                ended = world.run_process(fate)
            except Exception as error:
                what = f"the job failed or hung: {type(error).__name__}: {error}"
                raise SimulationFailure(seed, happened, what) from error
            self._count(fate, ended)
            if ended.is_finished:
                break
        self._compare(seed, happened, world)
        return world

    def _count(self, fate: Fate, ended: Ended) -> None:
        self.report.processes += 1
        self.report.passed += ended.hits
        if fate.crash is not None and ended.has_crashed:
            self.report.crashes[fate.crash.point] += 1
        self.report.errors += Counter(
            error.point for error in fate.errors if ended.hits[error.point] >= error.occurrence
        )

    def _compare(self, seed: int, schedule: list[Fate], world: World) -> None:
        got = Counter(map(repr, world.output.values))
        self.report.records += got.total()
        if self._golden is None or got == self._golden:
            return
        lost, surplus = self._golden - got, got - self._golden
        raise SimulationFailure(
            seed,
            schedule,
            f"the output differs: {lost.total()} records are missing {sorted(lost)[:SHOWN]}, "
            f"{surplus.total()} are too many {sorted(surplus)[:SHOWN]}",
        )
