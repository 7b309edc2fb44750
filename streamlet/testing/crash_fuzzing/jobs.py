"""Runs the jobs of one test in simulated worlds, each to its end, however often it dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streamlet.api.collect import CollectSink
from streamlet.errors import ConfigError
from streamlet.operators.sink import FunctionSink
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.sink import Sink
from streamlet.testing.crash_fuzzing.failure import CannotFuzz
from streamlet.testing.crash_fuzzing.request import Pace, fuzzed, step_for
from streamlet.testing.jobs.captured import check_bounded, refuse_running_loop
from streamlet.testing.list_sink import ListSink
from streamlet.testing.simulation.fates import Fate
from streamlet.testing.simulation.loop import SimulationHang
from streamlet.testing.simulation.world import World

FIRST_STEP: Final = 1_000
"""The first run only counts the records."""


@dataclass(slots=True)
class Executed:
    """What became of one job of the test."""

    step: int
    """How many records a poll should give, for an input of this size."""
    happened: list[Fate] = field(default_factory=list)
    outputs: list[tuple[str, list[Any]]] = field(default_factory=list)
    """By name, what each sink got whose records can be seen; empty if the job failed."""
    processes: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    """By crash point, how often one process passed it, the most of all."""


class SinkOwners:
    """Notices a sink that several runs of a test share."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[Sink[Any], object]] = {}

    def check(self, sink: Sink[Any], run: object) -> None:
        """Raises CannotFuzz when another run has used it."""
        _, owner = self._runs.setdefault(id(sink), (sink, run))
        if owner is not run:
            raise CannotFuzz(
                f"a {type(sink).__name__} is used by several runs of the test and holds what\n"
                "earlier ones gave: make it in the test's own body, not in a fixture or a module"
            )


class FuzzedJobs:
    """Takes the place of the machine for one run of a test's body."""

    def __init__(
        self,
        seed: int,
        schedules: Sequence[Sequence[Fate]],
        steps: Sequence[int],
        owners: SinkOwners,
    ) -> None:
        self.executed: list[Executed] = []
        self.has_function_sink = False
        self.seed = seed
        self._schedules = schedules
        self._steps = steps
        self._owners = owners

    def run(self, request: JobRequest) -> JobResult:
        """Runs the job through its schedule and then to its end."""
        try:
            refuse_running_loop()
            check_bounded(request)
        except ConfigError as error:
            raise CannotFuzz(str(error)) from None
        number = len(self.executed)
        pace = Pace(self._steps[number] if number < len(self._steps) else FIRST_STEP)
        executed = Executed(pace.step)
        self.executed.append(executed)
        self.has_function_sink |= any(
            isinstance(op.sink, FunctionSink) for op in request.plan.operators()
        )
        sinks = self._visible_sinks(request)
        before = [len(records_of_sink(sink)) for _, sink in sinks]
        world = World(fuzzed(request, pace), self.seed, {})
        result = self._run_processes(world, pace, executed)
        executed.step = step_for(pace.given)
        executed.outputs = [
            (name, records_of_sink(sink)[start:])
            for (name, sink), start in zip(sinks, before, strict=True)
        ]
        return result

    def _run_processes(self, world: World, pace: Pace, executed: Executed) -> JobResult:
        number = len(self.executed) - 1
        schedule = self._schedules[number] if number < len(self._schedules) else ()
        for fate in (*schedule, Fate()):
            executed.happened.append(fate)
            executed.processes += 1
            try:
                ended = world.run_process(fate)
            except SimulationHang as hang:
                raise _does_not_end(hang) from hang
            finally:
                pace.ends.close_all()
            executed.hits |= ended.hits
            if ended.result is not None:
                return ended.result
            assert fate.crash is not None
            executed.crashes[fate.crash.point] += 1
        raise AssertionError("a process without a crash ended without a result")

    def _visible_sinks(self, request: JobRequest) -> list[tuple[str, ListSink | CollectSink]]:
        if request.stop_when is not None:
            return []  # how far it comes until it is stopped is no result
        sinks = {}
        for op in request.plan.operators():
            if isinstance(op.sink, ListSink | CollectSink):
                self._owners.check(op.sink, self)
                sinks[id(op.sink)] = (op.name, op.sink)
        return list(sinks.values())


def records_of_sink(sink: ListSink | CollectSink) -> list[Any]:
    """What the sink has got so far."""
    return sink.values if isinstance(sink, ListSink) else sink.values()


def _does_not_end(hang: SimulationHang) -> CannotFuzz:
    return CannotFuzz(
        "the job comes to no end: time is virtual here, and something waits for what never comes.\n"
        "Sockets, threads of one's own and the real clock (DataGenSource with a rate) cannot be\n"
        f"simulated ({str(hang).splitlines()[0]})"
    )
