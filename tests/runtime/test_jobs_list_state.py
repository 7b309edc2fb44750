"""Whole jobs with operator list state: restarts, and restores at another parallelism."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from streamlet import (
    CheckpointedFunction,
    OperatorStateStore,
    ProcessFunction,
    RuntimeContext,
    SnapshotContext,
)
from streamlet.errors import StateTypeError
from streamlet.testing import ListSink
from tests.runtime.pipelines import (
    Fuse,
    Gate,
    GatedListSink,
    Record,
    SteppedSource,
    committed,
    environment,
)

COUNT, RELEASING = 40, 12
RECORDS = [("k", number) for number in range(COUNT + RELEASING)]
"""The last ones make every subtask release what it holds: round robin brings some to each."""


class Holding(ProcessFunction[Record, Any], CheckpointedFunction):
    """Says at once that it has seen a record, and releases it only near the end of the input.

    A union list knows the subtasks of the run before.
    """

    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        self._held = ctx.get_operator_list_state("held")
        self._subtasks = ctx.get_union_list_state("subtasks")
        self._earlier = tuple(sorted(self._subtasks.get()))
        self._waiting = [tuple(value) for value in self._held.get()]

    def open(self, ctx: RuntimeContext, /) -> None:
        self._index = ctx.get_index_of_this_subtask()

    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        self._held.update(self._waiting)
        self._subtasks.update([self._index])

    def process_element(self, value: Record, ctx: ProcessFunction.Context, /) -> Iterator[Any]:
        yield "seen", value[1]
        if value[1] < COUNT:
            self._waiting.append(value)
            return
        yield "earlier", self._earlier
        for _, number in self._waiting:
            yield "released", number
        self._waiting = []


class HoldingAsUnion(Holding):
    """A later version of the program that asks for its list in the other mode."""

    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        ctx.get_union_list_state("held")


def holding_pipeline(
    env: Any, source: SteppedSource, sink: ListSink, fuse: Fuse, function: Any, parallelism: int
) -> None:
    stream = env.from_source(source).uid("source").set_parallelism(1)
    stream = stream.map(fuse).uid("fuse").set_parallelism(1).rebalance()
    stream = stream.process(function).uid("hold").set_parallelism(parallelism)
    stream.sink_to(sink).uid("sink").set_parallelism(parallelism)


def numbers(sink: ListSink, kind: str) -> list[Any]:
    return sorted(number for said, number in sink.values if said == kind)


@pytest.mark.parametrize("parallelism", [1, 3])
def test_held_records_survive_failures(parallelism: int) -> None:
    """OP-3: none is lost and none is released twice."""
    sink, fuse = GatedListSink(), Fuse(("k", 9), ("k", 30), ("k", COUNT + 2))
    source = SteppedSource({"p0": RECORDS}, sink.gate)
    env = environment()
    holding_pipeline(env, source, sink, fuse, Holding(), parallelism)
    env.execute("holding")
    assert fuse.is_blown
    assert numbers(sink, "seen") == list(range(COUNT + RELEASING))
    assert numbers(sink, "released") == list(range(COUNT))


def stopped(sink: GatedListSink, parallelism: int) -> str:
    """A savepoint with some twenty records held."""
    sink.gate.last = 4

    async def stop() -> str:
        env = environment()
        source = SteppedSource({"p0": RECORDS}, sink.gate)
        holding_pipeline(env, source, sink, Fuse(), Holding(), parallelism)
        client = await env.execute_async("holding")
        await committed(client, sink, 16)
        return await client.stop_with_savepoint()

    path = asyncio.run(stop())
    assert 16 <= len(sink.values) <= COUNT
    assert numbers(sink, "released") == []
    sink.gate.last = None
    return path


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 2), (2, 2), (3, 1)])
def test_held_records_are_dealt_out_anew_at_another_parallelism(before: int, after: int) -> None:
    """OP-1, OP-2, OP-3."""
    sink = GatedListSink(Gate())
    path = stopped(sink, before)
    env = environment(execution__state_recovery__path=path)
    source = SteppedSource({"p0": RECORDS}, sink.gate)
    holding_pipeline(env, source, sink, Fuse(), Holding(), after)
    env.execute("holding")
    assert numbers(sink, "seen") == list(range(COUNT + RELEASING))
    assert numbers(sink, "released") == list(range(COUNT))
    assert set(numbers(sink, "earlier")) == {tuple(range(before))}


def test_list_asked_for_in_another_mode_ends_the_job() -> None:
    """ST-4: at once, and not after twenty restarts."""
    sink = GatedListSink(Gate())
    path = stopped(sink, 1)
    env = environment(execution__state_recovery__path=path)
    source = SteppedSource({"p0": RECORDS}, sink.gate)
    holding_pipeline(env, source, sink, Fuse(), HoldingAsUnion(), 2)
    with pytest.raises(StateTypeError, match="'held'"):
        env.execute("holding")
