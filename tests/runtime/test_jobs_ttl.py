"""Whole jobs whose state has a TTL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from streamlet import KeyedProcessFunction, RuntimeContext, ValueStateDescriptor
from streamlet.errors import RestoreError
from streamlet.testing import ListSink
from tests.runtime.pipelines import (
    Fuse,
    Gate,
    GatedListSink,
    Record,
    SteppedSource,
    committed,
    environment,
    records_of,
    totals_of,
)


class Totals(KeyedProcessFunction[str, Record, tuple[str, int, int]]):
    def __init__(self, ttl: str | None) -> None:
        self._ttl = ttl

    def open(self, ctx: RuntimeContext, /) -> None:
        descriptor = ValueStateDescriptor("so far", default=(0, 0), ttl=self._ttl)
        self._so_far = ctx.get_state(descriptor)

    def process_element(
        self, value: Record, ctx: KeyedProcessFunction.Context, /
    ) -> Iterator[tuple[str, int, int]]:
        count, total = self._so_far.value()
        self._so_far.update((count + 1, total + value[1]))
        yield value[0], count + 1, total + value[1]


def pipeline(env: Any, source: SteppedSource, sink: ListSink, ttl: str | None, fuse: Fuse) -> None:
    stream = env.from_source(source).uid("source").map(fuse).uid("fuse")
    stream.key_by(0).process(Totals(ttl)).uid("totals").sink_to(sink).uid("sink")


@pytest.mark.parametrize(("first", "second"), [("heap", "rocksdb"), ("rocksdb", "heap")])
def test_state_that_does_not_expire_is_as_any_other(first: str, second: str) -> None:
    """Failures, a savepoint, another backend and parallelism; TTL-7 with the same savepoint."""
    partitions, sink = records_of(2, 24), GatedListSink(Gate(last=3))
    fuse = Fuse(("k0-1", 1), ("k1-0", 3))

    async def stop() -> str:
        env = environment(state__backend__type=first, parallelism__default=2)
        pipeline(env, SteppedSource(partitions, sink.gate), sink, "1h", fuse)
        client = await env.execute_async("totals")
        await committed(client, sink, 16)
        return await client.stop_with_savepoint()

    path = asyncio.run(stop())
    assert fuse.is_blown
    sink.gate.last = None
    for ttl in (None, "2h"):
        env = environment(
            state__backend__type=second,
            parallelism__default=3,
            execution__state_recovery__path=path,
        )
        pipeline(env, SteppedSource(partitions, sink.gate), sink, ttl, Fuse())
        if ttl is None:
            with pytest.raises(RestoreError, match="'so far'"):
                env.execute("totals")
        else:
            env.execute("totals")
    assert sorted(sink.values) == totals_of(partitions)
