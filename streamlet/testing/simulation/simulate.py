"""Runs a pipeline under many seeds with crashes, and compares with a run without any."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

from streamlet.runtime.interpreter import tuned_interpreter
from streamlet.testing.differences import counted, described
from streamlet.testing.simulation.draws import CLOCKS_WRONG_BY_MS, Draws, rehearsals
from streamlet.testing.simulation.fates import Fate
from streamlet.testing.simulation.files import Files
from streamlet.testing.simulation.minimise import minimised
from streamlet.testing.simulation.report import SimulationFailure, SimulationReport
from streamlet.testing.simulation.world import (
    Build,
    FileBuild,
    Prepare,
    World,
    from_build,
    from_file_build,
)

REHEARSAL_SEED: Final = 0


def simulate(
    build: Build,
    seeds: Iterable[int],
    *,
    config: Mapping[str, Any] | None = None,
    expected: Iterable[Any] | None = None,
    parallelisms: Sequence[int] = (1, 2, 3),
    is_clock_right: bool = False,
) -> SimulationReport:
    """Runs the pipeline without a crash, then with crashes, and compares.

    First a process dies once at each crash point that the pipeline comes by; then each seed draws
    crashes and other mischief for up to five processes.

    `build(env, sink)` builds it over sources that can be replayed, `ReplayedSource` for one. The
    output must not depend on the order in which subtasks work. `expected` is the right output, as
    computed without streamlet; without it only the runs are compared with each other. Each
    process runs with one of the `parallelisms`; some have a wrong time of day, unless the output
    depends on that and `is_clock_right`.
    Raises SimulationFailure for the first seed whose output differs, as a multiset, or that fails
    or hangs, with its schedule cut to what the failure needs.
    """
    simulation = Simulation(
        from_build(build), config, parallelisms=parallelisms, is_clock_right=is_clock_right
    )
    return simulation.run(seeds, expected)


def simulate_files(
    build: FileBuild,
    files: Files,
    seeds: Iterable[int],
    *,
    config: Mapping[str, Any] | None = None,
    expected: Iterable[Any] | None = None,
    parallelisms: Sequence[int] = (1, 2, 3),
) -> SimulationReport:
    """As `simulate`, for a pipeline from files to files.

    `build(env, disk)` gives the disk to its `FileSource(INPUT_DIRECTORY, ..., disk=disk)` and its
    `FileSink(OUTPUT_DIRECTORY, ..., disk=disk)`. What readers see is looked at whenever a process
    ends: no file may be torn, change, or be gone later.
    """
    simulation = Simulation(from_file_build(build), config, parallelisms=parallelisms, files=files)
    return simulation.run(seeds, expected)


def simulate_schedule(
    build: Build | FileBuild,
    seed: int,
    schedule: Sequence[Fate],
    *,
    config: Mapping[str, Any] | None = None,
    expected: Iterable[Any] | None = None,
    files: Files | None = None,
) -> SimulationReport:
    """Runs just these processes, and then one that nothing happens to; compares as `simulate` does.

    It repeats what the text of a SimulationFailure says. `seed` decides what the schedule leaves
    open: how long everything takes, and what a loss of power takes with it. `build` is for
    `simulate_files` if there are `files`.
    """
    prepare = (
        from_build(cast(Build, build)) if files is None else from_file_build(cast(FileBuild, build))
    )
    simulation = Simulation(prepare, config, files=files)
    with quiet():
        simulation.expect(expected)
        simulation.run_schedule(seed, schedule)
    return simulation.report


@contextmanager
def quiet() -> Iterator[None]:
    """Processes that die by the hundred have nothing to log that a reader could use."""
    logger = logging.getLogger("streamlet")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        # Around them all: each of them sets it back, and would let garbage be looked for.
        with tuned_interpreter(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            yield
    finally:
        logger.setLevel(level)


class Simulation:
    """One pipeline and its right output, run in as many worlds as there are seeds."""

    def __init__(
        self,
        prepare: Prepare,
        config: Mapping[str, Any] | None = None,
        *,
        parallelisms: Sequence[int] = (1, 2, 3),
        is_clock_right: bool = False,
        files: Files | None = None,
    ) -> None:
        self.report = SimulationReport()
        self._prepare = prepare
        self._files = files
        self._config = dict(config or {})
        self._parallelism = max(parallelisms)
        self._draws = Draws(parallelisms, (0,) if is_clock_right else CLOCKS_WRONG_BY_MS)
        self._golden: Counter[str] | None = None

    def run(
        self, seeds: Iterable[int], expected: Iterable[Any] | None, *, sweep: bool = True
    ) -> SimulationReport:
        """Rehearses, dies once at each point if it is to, and runs all these seeds."""
        with quiet():
            self.rehearse(expected)
            if sweep:
                self.sweep()
            for seed in seeds:
                self.run_seed(seed)
        return self.report

    def expect(self, expected: Iterable[Any] | None) -> None:
        """Sets the right output; without one a run without crashes gives it."""
        if expected is not None:
            self._golden = counted(expected)
            return
        world = self._run(REHEARSAL_SEED, [Fate(parallelism=self._parallelism)])
        self._golden = counted(world.result())

    def rehearse(self, expected: Iterable[Any] | None = None) -> None:
        """Runs once without crashes, and a few times to learn by what points processes come."""
        self.expect(expected)
        for schedule in rehearsals(self._parallelism):
            self._run(REHEARSAL_SEED, schedule, is_rehearsal=True)

    def sweep(self) -> None:
        """Dies once at each point that the rehearsals came by."""
        for schedule in self._draws.sweep():
            self.run_schedule(REHEARSAL_SEED, schedule)

    def run_seed(self, seed: int) -> None:
        """Runs what the seed draws; `rehearse` comes first."""
        world = self.run_schedule(seed, self._draws.fates(seed))
        self.report.seeds.append(seed)
        self.report.schedules[seed] = world.schedule_hash()

    def run_schedule(self, seed: int, schedule: Sequence[Fate]) -> World:
        """Runs these processes; raises SimulationFailure with the least schedule that fails."""
        try:
            return self._run(seed, schedule)
        except SimulationFailure as failure:
            raise self._least(failure) from failure.__cause__

    def _least(self, failure: SimulationFailure) -> SimulationFailure:
        found = failure

        def fails(schedule: list[Fate]) -> bool:
            nonlocal found
            try:
                self._run(failure.seed, schedule)
            except SimulationFailure as repeated:
                found = repeated
                return True
            return False

        minimised(failure.schedule, fails)
        return found

    def _run(self, seed: int, schedule: Sequence[Fate], *, is_rehearsal: bool = False) -> World:
        world = World(self._prepare, seed, self._config, self._files)
        happened: list[Fate] = []
        for fate in (*schedule, Fate()):
            happened.append(fate)
            try:
                ended = world.run_process(fate)
                self.report.count(fate, ended)
                if is_rehearsal:
                    self._draws.learn(happened, ended.hits)
                if ended.is_finished or ended.is_refused:
                    self._compare(world.result(), is_whole=ended.is_finished)
                    return world
            except Exception as error:
                raise SimulationFailure(seed, happened, _what(error)) from error
        raise SimulationFailure(seed, happened, "the job did not come to its end")

    def _compare(self, values: Iterable[Any], *, is_whole: bool) -> None:
        """Output that is there must be right; after a refused restore some may be missing."""
        got = counted(values)
        self.report.records += got.total()
        if self._golden is None:
            return
        lost = self._golden - got if is_whole else Counter[str]()
        if differs := described(lost, got - self._golden):
            raise _Difference(f"the output differs: {differs}")


class _Difference(AssertionError):
    """The output is not what it is without crashes."""


def _what(error: Exception) -> str:
    if isinstance(error, _Difference):
        return str(error)
    return f"the job failed or hung: {type(error).__name__}: {error}"
