"""What the whole-job tests share: a paced source, a fuse, a keyed pipeline, its golden answer."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from streamlet import (
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    ValueStateDescriptor,
)
from streamlet.api.stream import DataStream
from streamlet.runtime.run import JobClient
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing import ListSink

Record: TypeAlias = tuple[str, int]
"""(key, number)"""

QUICK: dict[str, Any] = {
    "execution.checkpointing.interval": "10ms",
    "execution.buffer-timeout": "2ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 20,
    "restart-strategy.fixed-delay.delay": 0,
    "sink.committer.retries": 0,
}


def environment(**settings: Any) -> StreamExecutionEnvironment:
    """Frequent checkpoints, immediate restarts; `__` in a name stands for the dot."""
    chosen = {name.replace("__", ".").replace("_", "-"): value for name, value in settings.items()}
    return StreamExecutionEnvironment({**QUICK, **chosen})


@dataclass
class Gate:
    """Opens once more whenever a checkpoint was committed, so that each step gets one."""

    opened: int = 0
    is_open: bool = False
    """True: it holds nobody up any more."""
    last: int | None = None
    """After so many times it stays closed, so that the job cannot end before the test has acted."""

    def open_once(self) -> None:
        if self.last is None or self.opened < self.last:
            self.opened += 1


class GatedListSink(ListSink):
    """An exactly-once sink that opens the gate with each commit; the first `failures` break."""

    def __init__(self, gate: Gate | None = None, failures: int = 0) -> None:
        super().__init__()
        self.gate = gate or Gate()
        self.failures = failures
        self.commits = 0

    def commit(self, committables: Sequence[Any]) -> None:
        self.commits += bool(committables)
        for committable in committables:
            super().commit([committable])
            if self.failures:
                self.failures -= 1
                raise OSError("the connection broke after the first of the committables")
        if committables:
            self.gate.open_once()


@dataclass
class SteppedSource(PartitionedSource[Record]):
    """Partitions of records, given `step` at a time, each step once the gate has opened again."""

    partitions: dict[str, list[Record]]
    gate: Gate = field(default_factory=Gate)
    step: int = 4
    bounded = True
    name = "stepped"

    def list_partitions(self) -> list[str]:
        return sorted(self.partitions)

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Record]:
        return _SteppedReader(self, self.partitions[name], position or 0)


class _SteppedReader(PartitionReader[Record]):
    def __init__(self, source: SteppedSource, records: list[Record], start: int) -> None:
        self._source = source
        self._records = records
        self._next = start
        self._seen = -1

    def poll(self, max_records: int) -> list[Record] | None:
        gate = self._source.gate
        if self._next >= len(self._records):
            return None
        if gate.opened <= self._seen and not gate.is_open:
            return []
        self._seen = gate.opened
        stop = self._next + min(max_records, self._source.step)
        given, self._next = self._records[self._next : stop], min(stop, len(self._records))
        return given

    def position(self) -> int:
        return self._next


class Fuse:
    """Passes values on, and raises once at each of the given ones."""

    def __init__(self, *values: Any) -> None:
        self._left = set(values)

    def __call__(self, value: Any) -> Any:
        if value in self._left:
            self._left.discard(value)
            raise RuntimeError(f"the fuse at {value!r} blew")
        return value

    @property
    def is_blown(self) -> bool:
        """Whether every failure has happened: a test without failures proves nothing."""
        return not self._left


class RunningTotal(KeyedProcessFunction[str, Record, tuple[str, int, int]]):
    """(key, number of records, their sum) after each record."""

    def open(self, ctx: RuntimeContext) -> None:
        self._so_far = ctx.get_state(ValueStateDescriptor("so far", default=(0, 0)))

    def process_element(
        self, value: Record, ctx: KeyedProcessFunction.Context, /
    ) -> Iterator[tuple[str, int, int]]:
        count, total = self._so_far.value()
        self._so_far.update((count + 1, total + value[1]))
        yield value[0], count + 1, total + value[1]


async def until(client: JobClient, condition: Callable[[dict[str, Any]], bool]) -> None:
    """Lets the job run until its status is as wanted; the test's timeout ends one that never is."""
    while not condition(await client.status()):  # noqa: ASYNC110 - many things change a status
        await asyncio.sleep(0.001)


async def running(client: JobClient) -> None:
    """Until all tasks are open."""
    await until(client, lambda status: status["state"] == "RUNNING")


async def committed(client: JobClient, sink: ListSink, count: int) -> None:
    """Until the sink holds so many records."""
    await until(client, lambda _: len(sink.values) >= count)


def records_of(partitions: int, count: int) -> dict[str, list[Record]]:
    """No key is in two partitions, so the order per key is that of its partition."""
    return {
        f"p{p}": [(f"k{p}-{number % 3}", number) for number in range(count)]
        for p in range(partitions)
    }


def totals_of(partitions: dict[str, list[Record]]) -> list[tuple[str, int, int]]:
    """What the pipeline must give, sorted, computed without it."""
    so_far: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    results = []
    for key, number in (record for records in partitions.values() for record in records):
        count, total = so_far[key]
        so_far[key] = (count + 1, total + number)
        results.append((key, *so_far[key]))
    return sorted(results)


def totals_pipeline(
    env: StreamExecutionEnvironment,
    source: SteppedSource,
    sink: ListSink,
    fuses: Iterable[Callable[[Any], Any]] = (),
) -> None:
    """Source, a fuse, running totals per key, a fuse, sink."""
    before, after, *_ = [*fuses, Fuse(), Fuse()]
    stream: DataStream[Any] = env.from_source(source).uid("source").map(before).uid("before")
    stream = stream.key_by(0).process(RunningTotal()).uid("totals").map(after).uid("after")
    stream.sink_to(sink).uid("sink")
