"""A job with every kind of state, to make a savepoint now and to go on from it in later versions.

    python -c 'from tests.checkpoint.upgraded_job import make; make("DIRECTORY")'

stops it half-way and leaves the savepoint in DIRECTORY. (Not with -m: state would name its classes
after the program.) It takes no checkpoint before, so all output until then is in the savepoint too.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streamlet import (
    AggregateFunction,
    AggregatingStateDescriptor,
    CheckpointedFunction,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    OperatorStateStore,
    ProcessFunction,
    ReducingStateDescriptor,
    RuntimeContext,
    SnapshotContext,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
    WatermarkStrategy,
)
from streamlet.runtime.run import JobClient
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing import ListSink

COUNT = 60
HALF = 33
KEYS = 12


@dataclass
class Visit:
    """A value of state that is a dataclass, with another in it."""

    number: int
    tags: list[str] = field(default_factory=list)


class Span(NamedTuple):
    """A value of state that is a NamedTuple."""

    first: int
    last: int


class Mark(msgspec.Struct):
    """A value of state that is a Struct."""

    number: int
    label: str = ""


class Paced(PartitionedSource[dict[str, int]]):
    """Numbers; those from `hold_at` on only once a checkpoint must not be waited for any more."""

    bounded = True
    name = "paced"

    def __init__(self, hold_at: int = COUNT) -> None:
        self.hold_at = hold_at

    def list_partitions(self) -> list[str]:
        return ["all"]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[dict[str, int]]:
        return _PacedReader(position or 0, self.hold_at)


class _PacedReader(PartitionReader[dict[str, int]]):
    def __init__(self, start: int, hold_at: int) -> None:
        self._next = start
        self._hold_at = hold_at

    def poll(self, max_records: int) -> list[dict[str, int]] | None:
        if self._next >= COUNT:
            return None
        stop = min(self._next + 5, self._hold_at)
        numbers, self._next = range(self._next, stop), max(self._next, stop)
        return [{"key": number % KEYS, "number": number} for number in numbers]

    def position(self) -> int:
        return self._next


class Mean(AggregateFunction[int, list[int], float]):
    def create_accumulator(self) -> list[int]:
        return [0, 0]

    def add(self, value: int, accumulator: list[int], /) -> list[int]:
        return [accumulator[0] + value, accumulator[1] + 1]

    def get_result(self, accumulator: list[int], /) -> float:
        return accumulator[0] / accumulator[1]

    def merge(self, a: list[int], b: list[int], /) -> list[int]:
        return [a[0] + b[0], a[1] + b[1]]


class Remembering(KeyedProcessFunction[int, dict[str, int], Any]):
    """Says after each record what all its states hold; an event timer 10 s after each record."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.visit = ctx.get_state(ValueStateDescriptor("visit", Visit))
        self.span = ctx.get_state(ValueStateDescriptor("span", Span, ttl="36500d"))
        self.numbers = ctx.get_list_state(ListStateDescriptor("numbers", int))
        self.marks = ctx.get_map_state(MapStateDescriptor("marks", int, Mark))
        self.total = ctx.get_reducing_state(ReducingStateDescriptor("total", _add, int))
        self.mean = ctx.get_aggregating_state(AggregatingStateDescriptor("mean", Mean()))

    def process_element(
        self, value: dict[str, int], ctx: KeyedProcessFunction.Context, /
    ) -> Iterator[Any]:
        number = value["number"]
        visit = self.visit.value() or Visit(0)
        self.visit.update(Visit(visit.number + 1, [*visit.tags[-2:], f"n{number}"]))
        span = self.span.value()
        self.span.update(Span(number if span is None else span.first, number))
        self.numbers.add(number)
        self.marks.put(number % 4, Mark(number, f"m{number}"))
        self.total.add(number)
        self.mean.add(number)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10_000)
        yield ["record", ctx.get_current_key(), number, *self._shown()]

    def on_timer(
        self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext, /
    ) -> Iterator[Any]:
        yield ["timer", ctx.get_current_key(), timestamp]

    def _shown(self) -> list[Any]:
        visit, span = self.visit.value(), self.span.value()
        assert visit is not None
        assert span is not None
        marks = [[number, mark.number, mark.label] for number, mark in self.marks.items()]
        states = [self.numbers.get()[-3:], marks, self.total.get(), self.mean.get()]
        return [visit.number, visit.tags, list(span), *states]


class Counting(ProcessFunction[Any, Any], CheckpointedFunction):
    """Numbers the records it sees; operator list state."""

    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        self._seen = ctx.get_operator_list_state("seen")
        self._count = sum(self._seen.get())

    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        self._seen.update([self._count])

    def process_element(self, value: Any, ctx: ProcessFunction.Context, /) -> Iterator[Any]:
        self._count += 1
        yield [*value, self._count]


def _add(a: int, b: int) -> int:
    return a + b


UIDS = ("numbers", "remember", "count", "out", "windows", "windows out")


def build(
    env: StreamExecutionEnvironment, sink: ListSink, hold_at: int = COUNT, prefix: str = ""
) -> None:
    """Every kind of state under uids of its own, in one sink; `prefix` comes before each uid."""
    numbers, remember, count, out, windows, windows_out = (prefix + uid for uid in UIDS)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda record: record["number"] * 1_000
    )
    records = env.from_source(Paced(hold_at), strategy).uid(numbers).key_by("key")
    remembered = records.process(Remembering()).uid(remember)
    remembered.process(Counting()).uid(count).sink_to(sink).uid(out)
    (
        records.window(TumblingEventTimeWindows.of("15s"))
        .apply(lambda key, window, values: [window.start, key, [v["number"] for v in values]])
        .uid(windows)
        .sink_to(sink)
        .uid(windows_out)
    )


def environment(home: Path, **settings: Any) -> StreamExecutionEnvironment:
    """One with its checkpoints below `home`; `__` in a name stands for the dot."""
    chosen = {name.replace("__", ".").replace("_", "-"): value for name, value in settings.items()}
    directories = {"execution.checkpointing.dir": str(home / "checkpoints")}
    return StreamExecutionEnvironment(
        {"execution.checkpointing.interval": "1h", **directories, **chosen}
    )


async def stop_half_way(home: Path, directory: Path) -> str:
    """The path of the savepoint with which it stopped."""
    env = environment(home, parallelism__default=2)
    build(env, ListSink(), HALF)
    client: JobClient = await env.execute_async("upgraded")
    while _records_read(await client.status()) < HALF:  # noqa: ASYNC110 - many things change it
        await asyncio.sleep(0.005)
    return await client.stop_with_savepoint(directory)


def _records_read(status: dict[str, Any]) -> int:
    operators = status.get("operators")
    return operators[0]["records_out"] if operators else 0


def make(directory: str) -> None:
    """Replaces the savepoint in `directory`."""
    with tempfile.TemporaryDirectory() as home:
        path = asyncio.run(stop_half_way(Path(home), Path(home) / "savepoints"))
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(path, directory)
