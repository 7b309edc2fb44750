"""Runs a test's body again and again, its jobs killed at seeded points, and expects the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from streamlet.api.prepared import PreparedRun, prepared_run
from streamlet.config import Configuration
from streamlet.testing.differences import difference
from streamlet.testing.fuzz_failure import CannotFuzz, CrashFuzzFailure, Divergence
from streamlet.testing.fuzzed_jobs import Executed, FuzzedJobs, SinkOwners
from streamlet.testing.simulation.crash_points import Crash
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
    with quiet():
        fuzz.rehearse()
        for seed in seeds:
            fuzz.run_seed(seed)
    return fuzz.report


class CrashFuzz:
    """One test: what its jobs do without crashes, and what they must do with them."""

    def __init__(self, body: Callable[[], object], *, compares_output: bool = True) -> None:
        self.report = CrashFuzzReport()
        self._body = body
        self._compares_output = compares_output
        self._owners = SinkOwners()
        self._golden: list[Executed] = []
        self._passages: list[Counter[str]] = []
        """By job and crash point, how often a process passes it."""

    def rehearse(self) -> None:
        """Runs twice without a crash, which must give the same, and once to learn of resuming."""
        first = self._run(0, [], []).executed
        if not first:
            raise CannotFuzz(_NOTHING_RAN)
        steps = [one.step for one in first]
        self._golden = self._run(0, [], steps).executed
        if self._compares_output and (differs := self._difference(first)):
            raise CannotFuzz(_by_chance(differs))
        self._passages = [one.hits for one in self._golden]
        resumed = FuzzedJobs(0, [[_REHEARSED] for _ in steps], steps, self._owners)
        try:
            self._attempt(resumed)
        except Exception:  # a divergence: the seeds will find it, with all that is to say of it
            return
        for passages, one in zip(self._passages, resumed.executed, strict=False):
            passages |= one.hits

    def run_seed(self, seed: int) -> None:
        """Runs with the crashes that the seed draws; raises CrashFuzzFailure."""
        self.report.seeds += 1
        schedules = [
            _draw(Random(f"crashes of {seed} in job {job}"), passages)
            for job, passages in enumerate(self._passages)
        ]
        divergence = self._divergence(seed, schedules, self.report)
        if divergence is not None:
            self.report.divergences += 1
            raise CrashFuzzFailure(seed, self._least(divergence))

    def _run(self, seed: int, schedules: Schedules, steps: Sequence[int]) -> FuzzedJobs:
        jobs = FuzzedJobs(seed, schedules, steps, self._owners)
        self._attempt(jobs)
        return jobs

    def _attempt(self, jobs: FuzzedJobs) -> None:
        config = Configuration.load(os.environ, Path.cwd())
        with prepared_run(PreparedRun(config, runner=jobs.run)):
            self._body()

    def _divergence(
        self, seed: int, schedules: Schedules, report: CrashFuzzReport | None = None
    ) -> Divergence | None:
        """What went otherwise than without crashes."""
        steps = [one.step for one in self._golden]
        jobs = FuzzedJobs(seed, schedules, steps, self._owners)
        error: Exception | None = None
        try:
            self._attempt(jobs)
        except Exception as raised:
            error = raised
        if report is not None:
            report.count(jobs.executed)
        differs = self._difference(jobs.executed) if self._compares_output or error else None
        if error is None and differs is None:
            return None
        happened = [one.happened for one in jobs.executed]
        return Divergence(seed, happened, error, differs, jobs.has_function_sink)

    def _least(self, found: Divergence) -> Divergence:
        """The same divergence with nothing in its schedules that it does not need."""
        least = found

        for job in range(len(found.schedules)):

            def fails(schedule: list[Fate], job: int = job) -> bool:
                nonlocal least
                schedules = [*least.schedules[:job], schedule, *least.schedules[job + 1 :]]
                divergence = self._divergence(found.seed, schedules)
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
    count = random.randint(1, MAX_CRASHES)
    fates = []
    for _ in range(count):
        point = random.choice(sorted(passages))
        latest = max(1, passages[point] // count)
        crash = Crash(point, random.randint(1, latest))
        fates.append(Fate(crash, has_power=random.random() < KILLED))
    return fates


def _by_chance(differs: str) -> str:
    return (
        f"two runs without a crash differ, so that crashes could prove nothing\n  {differs}\n"
        "functions must not depend on time.time(), random or the order of a set; the output must\n"
        "not depend on how fast partitions are read (disorder above the watermark's bound,\n"
        "running results over several partitions). If the asserts allow for that:\n"
        "crash_fuzz(..., compares_output=False)"
    )
