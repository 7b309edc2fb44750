"""Runs a connector in jobs on simulated machines, which die at chosen points and go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from streamlet.api.environment import StreamExecutionEnvironment
from streamlet.connectors.collection import CollectionSource
from streamlet.runtime.setup import JobRequest
from streamlet.sink import Sink
from streamlet.source import PartitionReader, Source, SplitEnumerator
from streamlet.testing.connectors.place import SinkPlace
from streamlet.testing.connectors.reading import QUIET_POLLS, values_of
from streamlet.testing.crash_fuzzing.request import Pace, fuzzed
from streamlet.testing.jobs.rewired import ReplacedReader, ReplacedSource
from streamlet.testing.simulation.crash_points import Crash, CrashPoints
from streamlet.testing.simulation.fates import Fate
from streamlet.testing.simulation.output import Output
from streamlet.testing.simulation.simulate import quiet
from streamlet.testing.simulation.world import Prepare, World, from_build

_STEP_RECORDS: Final = 3
"""What a poll gives to a sink at most, so that a short input meets many checkpoints."""

_SINK_DEATHS: Final = (
    "after-sink-recover",
    "between-barrier-and-snapshot",
    "before-sink-sync",
    "after-sink-sync",
    "before-manifest-rename",
    "after-manifest-rename",
    "before-sink-commit",
    "after-sink-commit",
    "before-checkpoint-complete-message",
)
"""Around the life of what a sink prepares."""

_SOURCE_DEATHS: Final = (
    "before-split-request-message",
    "before-assign-splits-message",
    "before-task-ack-message",
    "before-manifest-rename",
    "after-manifest-rename",
)
"""Around the handing out of splits, and the storing of positions."""


def sink_deaths() -> Iterator[tuple[Fate, Fate]]:
    """Two processes each, that die; a third one comes to the end."""
    return _schedules(_SINK_DEATHS, (1, 2))


def source_deaths() -> Iterator[tuple[Fate, Fate]]:
    """Two processes each, that die; a third one comes to the end."""
    return _schedules(_SOURCE_DEATHS, (1, 2, 3, 4))


def _schedules(points: Sequence[str], occurrences: Sequence[int]) -> Iterator[tuple[Fate, Fate]]:
    for point in points:
        for occurrence in occurrences:
            yield (
                Fate(Crash(point, occurrence), has_power=True, parallelism=2),
                Fate(Crash(point, 1), has_power=True, parallelism=1 + occurrence % 3),
            )


def read_to_the_end(make_source: Callable[[], Source[Any]], deaths: Sequence[Fate]) -> list[Any]:
    """What a job has read of the source when its processes die so; each makes a new one."""

    def build(env: StreamExecutionEnvironment, sink: Sink[Any]) -> None:
        env.from_source(_EndingSource(make_source())).rebalance().sink_to(sink)

    return _run(from_build(build), deaths).result()


def write_to_the_end(place: SinkPlace, records: Sequence[Any], deaths: Sequence[Fate]) -> None:
    """Writes the records in a job whose processes die so, each with a sink of its own."""
    _run(_writing(place, records), deaths)


def _run(prepare: Prepare, deaths: Sequence[Fate]) -> World:
    world = World(prepare, 1, {"execution.checkpointing.interval": "12ms"})
    with quiet():
        for fate in (*deaths, Fate(parallelism=2)):
            if world.run_process(fate).is_finished:
                return world
    raise AssertionError("the job did not come to its end")


def _writing(place: SinkPlace, records: Sequence[Any]) -> Prepare:
    sinks: list[Sink[Any]] = []

    def prepare(config: Mapping[str, Any], output: Output, points: CrashPoints) -> JobRequest:
        for sink in sinks:
            sink.close()  # the process before this one is dead, and its locks with it
            place.lose_power()
        sinks[:] = [place.make_sink()]
        env = StreamExecutionEnvironment(config)
        env.from_source(CollectionSource(records)).rebalance().sink_to(sinks[0])
        request = JobRequest(env.get_execution_plan(), "sink", env.config)
        return fuzzed(request, Pace(_STEP_RECORDS))(config, output, points)

    return prepare


class _EndingSource(ReplacedSource):
    """Reads one by one; ends when there is nothing more for now, whether the source does or not."""

    def __init__(self, source: Source[Any]) -> None:
        super().__init__(source)
        self.bounded = self.blocking = True
        self.name = "source"

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        enumerator = self.source.create_enumerator(parallelism)
        enumerator.discovery_interval_ms = None
        return enumerator

    def open_split(self, split: str, position: Any | None) -> PartitionReader[Any]:
        reader = self.source.open_split(split, position)
        return _EndingReader(reader, is_bounded=self.source.bounded)


class _EndingReader(ReplacedReader):
    def __init__(self, reader: PartitionReader[Any], *, is_bounded: bool) -> None:
        super().__init__(reader)
        self._is_bounded = is_bounded
        self._empty_polls = 0

    def poll(self, max_records: int) -> Any:
        polled = self.reader.poll(1)
        is_empty = isinstance(polled, list) and not values_of(polled)
        self._empty_polls = self._empty_polls + 1 if is_empty else 0
        if self._empty_polls >= QUIET_POLLS and not self._is_bounded:
            return None
        return polled
