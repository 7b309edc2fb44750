"""The triple run: straight through, stopped in mid-stream, restored elsewhere; one output."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from streamlet.errors import ConfigError
from streamlet.plan import PlannedOperator
from streamlet.runtime.setup import JobRequest
from streamlet.sink import Sink
from streamlet.testing.differences import difference
from streamlet.testing.list_sink import ListSink
from streamlet.testing.rewired import BuildJob, capture_job, rewired
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.stepped import (
    Drive,
    GatedSource,
    Place,
    RecordGate,
    SteppedJob,
    run_stepped,
    stepped_settings,
    undisturbed,
)

PARTS: Final = 5
"""The input is cut into so many; the job is stopped after the third."""
CHECKPOINTS: Final = 3
_MOVES: Final = (("heap", 2, "rocksdb", 3), ("rocksdb", 2, "heap", 1))
"""From which backend and parallelism to which."""


@dataclass(frozen=True, slots=True)
class TripleRun:
    """What all runs of a `triple_run` agree on."""

    outputs: Mapping[str, list[Any]]
    """By sink name: the records of the straight run."""
    records_in: int
    """Records that the sources gave."""
    stopped_after: int
    """How many of them had been read when the savepoint was taken."""
    checkpoints: int
    """Checkpoints that were complete by then, in the run that had the fewest."""


@dataclass(slots=True)
class _Recording:
    """What the sinks of a job would have taken, over all its runs."""

    sinks: dict[str, ListSink] = field(default_factory=dict)

    def sink(self, operator: PlannedOperator, sink: Sink[Any]) -> Sink[Any]:
        """Takes the sink's place."""
        return self.sinks.setdefault(operator.name, ListSink())

    def outputs(self) -> dict[str, list[Any]]:
        return {name: sink.values for name, sink in self.sinks.items()}


def triple_run(
    job: BuildJob, expected: Iterable[Any] | Mapping[str, Iterable[Any]] | None = None
) -> TripleRun:
    """Runs a pipeline in three ways that must give the same records, whatever their order.

    `job(env)` builds it anew for each run and returns the stream whose records count; one that
    ends in sinks, or calls a script's `main`, returns nothing: then what its sinks would take is
    recorded instead, by sink name, and nothing is written. The sources must end.

    1. straight through, at parallelism 1;
    2. at parallelism 2, with at least three checkpoints, stopped with a savepoint after three
       fifths of the input, and restored from it at parallelism 3 on the other state backend;
    3. the same with the backends changed over, restored at parallelism 1.

    All of it runs in virtual time and is the same each time it is called. `expected` is what the
    straight run must give, for several sinks a dict by name. The output must not depend on the
    order in which partitions are read.

    >>> squares = lambda env: env.from_sequence(1, 5).map(lambda n: n * n)
    >>> run = triple_run(squares, expected=[1, 4, 9, 16, 25])
    >>> run.outputs, run.records_in, run.stopped_after
    ({'output': [1, 4, 9, 16, 25]}, 5, 3)

    Raises AssertionError when an output differs, ConfigError for a job that cannot be run so, and
    what made the job fail.
    """
    __tracebackhide__ = True  # pytest shows the test's line, not this one
    with tempfile.TemporaryDirectory(prefix="streamlet-") as scratch:
        runs = _Runs(job, Place(SimulatedDisk(), Path(scratch)))
        outputs, total = runs.straight()
        _compare("the straight run differs from what is expected", _by_name(expected), outputs)
        checkpoints = []
        for before, at, after, then in _MOVES:
            what = f"from {at} subtasks on {before} to {then} on {after}"
            count, moved = runs.moved((before, at), (after, then), total)
            _compare(f"after a savepoint, {what}, the output differs", outputs, moved)
            checkpoints.append(count)
    return TripleRun(outputs, total, _stop_at(total), min(checkpoints))


class _Runs:
    """The runs of one job."""

    def __init__(self, job: BuildJob, place: Place) -> None:
        self._job = job
        self._place = place
        self._count = 0

    def straight(self) -> tuple[dict[str, list[Any]], int]:
        """Its output, and how many records it read."""
        recording, gate = _Recording(), RecordGate()
        self._run(recording, gate, ("heap", 1), None, undisturbed)
        if not gate.given:
            raise ConfigError("the job's sources gave no record; triple_run needs some input")
        return recording.outputs(), gate.given

    def moved(
        self, before: tuple[str, int], after: tuple[str, int], total: int
    ) -> tuple[int, dict[str, list[Any]]]:
        """Complete checkpoints at the stop, and the output of both runs together."""
        recording, gate, savepoints, counts = _Recording(), RecordGate(limit=0), [], []

        async def stop_in_mid_stream(stepped: SteppedJob) -> None:
            for part in range(1, CHECKPOINTS + 1):
                await stepped.read_up_to(total * part // PARTS)
                counts.append(await stepped.checkpointed())
            savepoints.append(await stepped.job.stop(None, drain=False))

        self._run(recording, gate, before, None, stop_in_mid_stream)
        self._run(recording, RecordGate(), after, savepoints[0], undisturbed)
        return counts[-1], recording.outputs()

    def _run(
        self,
        recording: _Recording,
        gate: RecordGate,
        layout: tuple[str, int],
        savepoint: str | None,
        drive: Drive,
    ) -> None:
        self._count += 1
        backend, parallelism = layout
        request = capture_job(self._job, stepped_settings(parallelism, backend))
        plan = rewired(request.plan, lambda source: GatedSource(source, gate), recording.sink)
        request = _as_test(replace(request, plan=plan, savepoint=savepoint), self._count)
        run_stepped(request, gate, self._place, drive)


def _as_test(request: JobRequest, number: int) -> JobRequest:
    return replace(request, name=f"triple-run-{number}", is_recorded=True, stop_when=None)


def _stop_at(total: int) -> int:
    return total * CHECKPOINTS // PARTS


def _by_name(
    expected: Iterable[Any] | Mapping[str, Iterable[Any]] | None,
) -> Mapping[str, Iterable[Any]] | None:
    if expected is None or isinstance(expected, Mapping):
        return expected
    return {"": list(expected)}


def _compare(
    what: str, expected: Mapping[str, Iterable[Any]] | None, got: Mapping[str, list[Any]]
) -> None:
    """Raises AssertionError at the first output that differs; the name "" is any only one."""
    __tracebackhide__ = True
    if expected is None:
        return
    if set(expected) == {""} and len(got) == 1:
        expected = dict.fromkeys(got, expected[""])
    if set(expected) != set(got):
        raise ConfigError(
            f"the job has the outputs {sorted(got)}, expected {sorted(expected)}: with several "
            "sinks give expected= as a dict by sink name"
        )
    for name, records in expected.items():
        if differs := difference(records, got[name]):
            raise AssertionError(f"{what}\n  {name}: {differs}")
