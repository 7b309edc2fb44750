"""Makes a user's job one that a simulated process can run, and die in at any point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from streamlet.runtime.setup import JobRequest
from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext
from streamlet.source import PartitionReader, Source
from streamlet.testing.jobs.captured import with_settings
from streamlet.testing.jobs.rewired import (
    ReplacedReader,
    ReplacedSource,
    count_records,
    rewired,
)
from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.output import Output
from streamlet.testing.simulation.world import Prepare

POLLS: Final = 60
"""An input of any size is read in so many polls, so that it meets a dozen checkpoints."""

_FEW_RESTARTS: Final = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 2,
    "restart-strategy.fixed-delay.delay": "20ms",
}


class OpenEnds:
    """The readers and writers that a process has open; the system closes them when it dies."""

    def __init__(self) -> None:
        self._open: dict[int, PartitionReader[Any] | SinkWriter[Any]] = {}

    def add(self, end: PartitionReader[Any] | SinkWriter[Any]) -> None:
        """It was opened."""
        self._open[id(end)] = end

    def close(self, end: PartitionReader[Any] | SinkWriter[Any]) -> None:
        """Closes it, once."""
        if self._open.pop(id(end), None) is not None:
            end.close()

    def close_all(self) -> None:
        """The process is gone, and nobody is left who could be told of an error."""
        for end in list(self._open.values()):
            with suppress(Exception):
                self.close(end)


@dataclass(slots=True)
class Pace:
    """How many records a poll gives at most, how many all of them gave, and what is open."""

    step: int
    given: int = 0
    ends: OpenEnds = field(default_factory=OpenEnds)
    """To be closed after each process, if it died."""


def step_for(records: int) -> int:
    """How many records one poll gives of an input with so many."""
    return max(1, records // POLLS)


def fuzzed(request: JobRequest, pace: Pace) -> Prepare:
    """What each process runs: the same plan, slowly, with crash points in its sinks."""

    def prepare(config: Mapping[str, Any], output: Output, points: CrashPoints) -> JobRequest:
        settings = {
            **config,
            "execution.batch-size": max(pace.step, config["execution.batch-size"]),
        }
        if not request.config.is_set("restart-strategy.type"):
            # No errors are simulated here: what fails is the test's own, and should be seen soon.
            settings |= _FEW_RESTARTS
        # The plan was made with the test's own; another would change the order of the output.
        del settings["parallelism.default"]
        plan = rewired(
            request.plan,
            partial(_PacedSource, pace=pace),
            lambda operator, sink: _FuzzedSink(sink, points, pace.ends),
        )
        settled = with_settings(request.config, settings)
        return replace(request, plan=plan, config=settled, is_recorded=True)

    return prepare


class _PacedSource(ReplacedSource):
    """Polled in simulated threads, a few records at a time."""

    def __init__(self, source: Source[Any], pace: Pace) -> None:
        super().__init__(source)
        self.blocking = True
        self._pace = pace

    def open_split(self, split: str, position: Any | None) -> PartitionReader[Any]:
        return _PacedReader(self.source.open_split(split, position), self._pace)


class _PacedReader(ReplacedReader):
    def __init__(self, reader: PartitionReader[Any], pace: Pace) -> None:
        super().__init__(reader)
        self._pace = pace
        pace.ends.add(reader)

    def poll(self, max_records: int) -> Any:
        polled = self.reader.poll(min(max_records, self._pace.step))
        self._pace.given += count_records(polled)
        return polled

    def close(self) -> None:
        self._pace.ends.close(self.reader)


class _FuzzedSink(Sink[Any]):
    """The test's sink: it outlives the simulated processes, as an outside system does."""

    def __init__(self, sink: Sink[Any], points: CrashPoints, ends: OpenEnds) -> None:
        self.name = sink.name
        self._sink = sink
        self._points = points
        self._ends = ends

    def destination(self) -> str | None:
        return self._sink.destination()

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return _FuzzedWriter(self._sink.create_writer(ctx), self._points, self._ends)

    def commit(self, committables: Sequence[Any]) -> None:
        # One by one: a process may die when it has committed some of them.
        for committable in committables:
            self._points.reach("before-sink-commit")
            self._sink.commit([committable])
            self._points.reach("after-sink-commit")

    def check_restore(self, ctx: RestoreContext, committables: Sequence[Any]) -> None:
        self._sink.check_restore(ctx, committables)

    def recover(self, ctx: RestoreContext) -> None:
        self._points.reach("before-sink-recover")
        self._sink.recover(ctx)
        self._points.reach("after-sink-recover")

    def close(self) -> None:
        self._sink.close()


class _FuzzedWriter(SinkWriter[Any]):
    def __init__(self, writer: SinkWriter[Any], points: CrashPoints, ends: OpenEnds) -> None:
        self._writer = writer
        self._points = points
        self._ends = ends
        ends.add(writer)

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self._points.check()
        self._writer.write(values, timestamps)

    def flush(self) -> None:
        self._writer.flush()

    def prepare_commit(self) -> Sequence[Any]:
        self._points.reach("between-barrier-and-snapshot")
        return self._writer.prepare_commit()

    def snapshot(self) -> Any:
        return self._writer.snapshot()

    def sync(self) -> None:
        self._points.reach("before-sink-sync")
        self._writer.sync()
        self._points.reach("after-sink-sync")

    def close(self) -> None:
        self._ends.close(self._writer)
