"""Functions whose state expires, by the clock of their operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from streamlet import (
    KeyedProcessFunction,
    MapStateDescriptor,
    ProcessWindowFunction,
    RuntimeContext,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
)
from streamlet.eventtime.windows import Window
from streamlet.operators.window import WindowOperator
from streamlet.operators.window_contents import ListContents
from streamlet.testing import OperatorHarness


class CountRecent(KeyedProcessFunction[str, str, tuple[str, int]]):
    """How often the key came with less than ten seconds in between."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0, ttl="10s"))

    def process_element(
        self, value: str, ctx: KeyedProcessFunction.Context, /
    ) -> Iterator[tuple[str, int]]:
        self.count.update(self.count.value() + 1)
        yield value, self.count.value()


@pytest.mark.parametrize("backends", [("heap", "rocksdb"), ("rocksdb", "heap")])
def test_time_of_last_use_survives_a_restore(backends: tuple[str, str]) -> None:
    first, second = backends
    with OperatorHarness(CountRecent(), lambda key: key, backend=first) as harness:
        harness.send("a")
        harness.advance_processing_time("9s")
        harness.send("b")
        harness.send("a")
        snapshot = harness.snapshot()
        assert harness.output() == [("a", 1), ("b", 1), ("a", 2)]
    with OperatorHarness(CountRecent(), lambda key: key, backend=second) as harness:
        harness.advance_processing_time("9s")
        harness.restore(snapshot)
        harness.advance_processing_time("5s")
        harness.send("a")
        harness.advance_processing_time("5s")
        harness.send("b")
        assert harness.output() == [("a", 3), ("b", 1)]


class SeenBefore(ProcessWindowFunction[str, tuple[int, int, int], str]):
    """How often the key, and the key and window, fired within the last minute."""

    def process(
        self, key: str, ctx: ProcessWindowFunction.Context, elements: Iterable[str], /
    ) -> Iterator[Any]:
        counts = []
        for store in (ctx.global_state(), ctx.window_state()):
            fired = store.get_map_state(MapStateDescriptor("fired", ttl="60s"))
            counts.append(fired.get("n") or 0)
            fired.put("n", counts[-1] + 1)
        yield ctx.window().start, *counts


def test_state_of_windows_expires() -> None:
    def operator() -> WindowOperator:
        assigner = TumblingEventTimeWindows.of("1s")
        return WindowOperator(assigner, ListContents(SeenBefore()), 60_000, None)

    assert Window(0, 1_000).max_timestamp() == 999
    with OperatorHarness(operator, lambda key: key) as harness:
        harness.send("a", 1)
        harness.watermark(999)
        harness.advance_processing_time("59s")
        harness.send("a", 2)  # late, but allowed: it fires at once
        harness.send("a", 1_001)
        harness.watermark(1_999)
        harness.advance_processing_time("60s")
        harness.send("a", 3)
        assert harness.output() == [(0, 0, 0), (0, 1, 1), (1_000, 2, 0), (0, 0, 0)]
