"""The triple run: straight through, stopped in mid-stream, restored elsewhere; one output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from streamlet.errors import ConfigError
from streamlet.plan import PlannedOperator
from streamlet.sink import Sink
from streamlet.testing.differences import difference
from streamlet.testing.jobs.captured import BuildJob
from streamlet.testing.jobs.gate import RecordGate
from streamlet.testing.jobs.stepped import Run, Runs, SteppedJob, runs_of
from streamlet.testing.list_sink import ListSink

PARTS: Final = 5
"""The input is cut into so many; the job is stopped after the third."""
CHECKPOINTS: Final = 3
_CAUSES: Final = """
what must outlive a record belongs into ctx.get_state(...), not into attributes; the output must not
depend on time.time(), random, or when a watermark comes: a record may be processed before a timer
that is due earlier"""


class _Move(NamedTuple):
    """From which backend and parallelism to which."""

    backend: str
    parallelism: int
    next_backend: str
    next_parallelism: int


_MOVES: Final = (_Move("heap", 2, "rocksdb", 3), _Move("rocksdb", 2, "heap", 1))


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
    with runs_of(job) as runs:
        outputs, total = _straight(runs)
        _compare("the straight run differs from what is expected", _by_name(expected), outputs)
        checkpoints = []
        for move in _MOVES:
            what = (
                f"from {move.parallelism} subtasks on {move.backend} "
                f"to {move.next_parallelism} on {move.next_backend}"
            )
            count, moved = _moved(runs, move, total)
            _compare(f"after a savepoint, {what}, the output differs", outputs, moved, _CAUSES)
            checkpoints.append(count)
    return TripleRun(outputs, total, _stop_at(total), min(checkpoints))


def _straight(runs: Runs) -> tuple[dict[str, list[Any]], int]:
    """The output of a run from beginning to end, and how many records it read."""
    recording, gate = _Recording(), RecordGate()
    runs.run(Run(gate, recording.sink))
    if not gate.given:
        raise ConfigError("the job's sources gave no record; triple_run needs some input")
    return recording.outputs(), gate.given


def _moved(runs: Runs, move: _Move, total: int) -> tuple[int, dict[str, list[Any]]]:
    """Complete checkpoints at the stop, and the output of both runs together."""
    recording, gate, savepoints, counts = _Recording(), RecordGate(limit=0), [], []

    async def stop_in_mid_stream(stepped: SteppedJob) -> None:
        for part in range(1, CHECKPOINTS + 1):
            await stepped.read_up_to(total * part // PARTS)
            counts.append(await stepped.checkpointed())
        savepoints.append(await stepped.job.stop(None, drain=False))

    before = Run(gate, recording.sink, move.parallelism, move.backend)
    runs.run(before, stop_in_mid_stream)
    runs.run(
        Run(RecordGate(), recording.sink, move.next_parallelism, move.next_backend, savepoints[0])
    )
    return counts[-1], recording.outputs()


def _stop_at(total: int) -> int:
    return total * CHECKPOINTS // PARTS


def _by_name(
    expected: Iterable[Any] | Mapping[str, Iterable[Any]] | None,
) -> Mapping[str, Iterable[Any]] | None:
    if expected is None or isinstance(expected, Mapping):
        return expected
    return {"": list(expected)}


def _compare(
    what: str,
    expected: Mapping[str, Iterable[Any]] | None,
    got: Mapping[str, list[Any]],
    causes: str = "",
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
            raise AssertionError(f"{what}\n  {name}: {differs}{causes}")
