"""Runs a test's body again and again, its jobs killed at seeded points, and expects the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from streamlet.api.prepared import PreparedRun, prepared_run
from streamlet.config import Configuration
from streamlet.testing.crash_fuzzing.failure import CannotFuzz, CrashFuzzFailure, Divergence
from streamlet.testing.crash_fuzzing.jobs import Executed, FuzzedJobs, SinkOwners
from streamlet.testing.differences import difference
from streamlet.testing.simulation.crash_points import Crash
from streamlet.testing.simulation.draws import draw_crash
from streamlet.testing.simulation.fates import Fate
from streamlet.testing.simulation.minimise import minimised
from streamlet.testing.simulation.simulate import quiet

_NOTHING_RAN: Final = (
    "the test ran no pipeline: it must call get_execution_environment(), build and execute()\n"
    "in its own body; an environment made by a fixture or a module is not seen"
)
MAX_CRASHES: Final = 3
KILLED: Final = 0.5
"""How many crashes end the process alone; the others take the machine's power."""
_REHEARSED: Final = Fate(Crash("before-task-ack-message", 2))

Schedules: TypeAlias = list[list[Fate]]
"""Per job of the test, in order, what happens to its processes; then one lives to the end."""


@dataclass(slots=True)
class CrashFuzzReport:
    """What a test went through."""

    seeds: int = 0
    processes: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    """By crash point: how often a process died there."""
    divergences: int = 0

    def count(self, executed: Iterable[Executed]) -> None:
        """Adds what happened to the jobs of one run."""
        for one in executed:
            self.processes += one.processes
            self.crashes += one.crashes

    def __str__(self) -> str:
        seeds = f"{self.seeds} seed{'s' * (self.seeds != 1)}"
        crashes = f"{self.crashes.total()} crash{'es' * (self.crashes.total() != 1)}"
        points = f"{len(self.crashes)} point{'s' * (len(self.crashes) != 1)}"
        divergences = f"{self.divergences} divergence{'s' * (self.divergences != 1)}"
        return f"{seeds}, {crashes} at {points}, {divergences}"


def crash_fuzz(
    body: Callable[[], object], seeds: Iterable[int], *, compares_output: bool = True
) -> CrashFuzzReport:
    """Runs `body` twice without a crash, then once per seed with crashes.

    What `@pytest.mark.crash_fuzz` does, for other test runners. `body` builds pipelines over
    sources that end, runs them with `execute()` or `execute_and_collect()`, and asserts on the
    result. Each of its jobs runs in a simulated world: virtual time, a disk that forgets, up to
    three processes that die and one that resumes and ends. Functions are copied anew for each
    process; sinks live on, as the outside world does, and so do globals.

    Raises what `body` raises without a crash; CrashFuzzFailure for the first seed with which it
    raises, or with which what a ListSink or `execute_and_collect` got is another multiset of
    records (unless `compares_output` is False, or it has a limit); CannotFuzz, a ConfigError, for
    a test that cannot be run so.
    """
    fuzz = CrashFuzz(body, compares_output=compares_output)
    fuzz.run(seeds)
    return fuzz.report


class CrashFuzz:
    """One test: what its jobs do without crashes, and what they must do with them."""

    def __init__(self, body: Callable[[], object], *, compares_output: bool = True) -> None:
        self.report = CrashFuzzReport()
        self._body = body
        self._compares_output = compares_output
        self._owners = SinkOwners()
        self._steps: list[int] = []
        """By job, how many records a poll gives; known after the first run."""
        self._golden: list[Executed] = []
        self._passages: list[Counter[str]] = []
        """By job and crash point, how often a process passes it."""

    def run(self, seeds: Iterable[int]) -> None:
        """Does what `crash_fuzz` says; `report` counts what was done, also if it raises."""
        with quiet():
            self._rehearse()
            for seed in seeds:
                self._run_seed(seed)

    def _rehearse(self) -> None:
        """Runs twice without a crash, which must give the same, and once to learn of resuming."""
        first = self._jobs(0, [])
        self._attempt(first)
        if not first.executed:
            raise CannotFuzz(_NOTHING_RAN)
        self._steps = [one.step for one in first.executed]
        second = self._jobs(0, [])
        self._attempt(second)
        self._golden = second.executed
        if self._compares_output and (differs := self._difference(first.executed)):
            raise CannotFuzz(_by_chance(differs))
        resumed = self._jobs(0, [[_REHEARSED] for _ in self._steps])
        with suppress(Exception):  # a divergence: the seeds will find it, and tell all of it
            self._attempt(resumed)
        self._passages = [one.hits for one in self._golden]
        for passages, one in zip(self._passages, resumed.executed, strict=False):
            passages |= one.hits

    def _run_seed(self, seed: int) -> None:
        """Runs with the crashes that the seed draws; raises CrashFuzzFailure."""
        self.report.seeds += 1
        schedules = [
            _draw(Random(f"crashes of {seed} in job {job}"), passages)
            for job, passages in enumerate(self._passages)
        ]
        jobs = self._jobs(seed, schedules)
        divergence = self._divergence(jobs)
        self.report.count(jobs.executed)
        if divergence is not None:
            self.report.divergences += 1
            raise CrashFuzzFailure(seed, self._least(divergence))

    def _jobs(self, seed: int, schedules: Schedules) -> FuzzedJobs:
        return FuzzedJobs(seed, schedules, self._steps, self._owners)

    def _attempt(self, jobs: FuzzedJobs) -> None:
        config = Configuration.load(os.environ, Path.cwd())
        with prepared_run(PreparedRun(config, runner=jobs.run)):
            self._body()

    def _divergence(self, jobs: FuzzedJobs) -> Divergence | None:
        """What went otherwise than without crashes."""
        error: Exception | None = None
        try:
            self._attempt(jobs)
        except Exception as raised:
            error = raised
        differs = self._difference(jobs.executed) if self._compares_output or error else None
        if error is None and differs is None:
            return None
        happened = [one.happened for one in jobs.executed]
        return Divergence(jobs.seed, happened, error, differs, jobs.has_function_sink)

    def _least(self, found: Divergence) -> Divergence:
        """The same divergence with nothing in its schedules that it does not need."""
        least = found

        for job in range(len(found.schedules)):

            def fails(schedule: list[Fate], job: int = job) -> bool:
                nonlocal least
                schedules = [*least.schedules[:job], schedule, *least.schedules[job + 1 :]]
                divergence = self._divergence(self._jobs(found.seed, schedules))
                if divergence is None:
                    return False
                least = divergence
                return True

            minimised(found.schedules[job], fails)
        return least

    def _difference(self, executed: list[Executed]) -> str | None:
        """The first output that is not the golden one."""
        for number, (golden, got) in enumerate(zip(self._golden, executed, strict=False), 1):
            place = f"job {number}, " if len(self._golden) > 1 else ""
            for (name, before), (_, after) in zip(golden.outputs, got.outputs, strict=False):
                if differs := difference(before, after):
                    return f"{place}sink {name!r}: {differs}"
        return None


def _draw(random: Random, passages: Counter[str]) -> list[Fate]:
    """The more processes there are to be, the earlier each dies, so that all of them come."""
    count, points = random.randint(1, MAX_CRASHES), sorted(passages)
    return [
        Fate(draw_crash(random, points, passages, count), has_power=random.random() < KILLED)
        for _ in range(count)
    ]


def _by_chance(differs: str) -> str:
    return (
        f"two runs without a crash differ, so that crashes could prove nothing\n  {differs}\n"
        "functions must not depend on time.time(), random or the order of a set; the output must\n"
        "not depend on how fast partitions are read (disorder above the watermark's bound,\n"
        "running results over several partitions), nor on when a watermark comes: a record may\n"
        "be processed before a timer that is due earlier. If the asserts allow for that:\n"
        "crash_fuzz(..., compares_output=False)"
    )
