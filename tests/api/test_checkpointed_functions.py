"""Functions with operator list state: where they may stand, and what the plan makes of them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from streamlet import (
    CheckpointedFunction,
    GraphError,
    OperatorStateStore,
    ProcessWindowFunction,
    SnapshotContext,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
)


class Counting(CheckpointedFunction):
    def initialize_state(self, ctx: OperatorStateStore, /) -> None:
        self.count = ctx.get_operator_list_state("count")

    def snapshot_state(self, ctx: SnapshotContext, /) -> None:
        self.count.update([1])

    def __call__(self, value: Any, *ctx: Any) -> Any:
        return [value]


class InWindows(ProcessWindowFunction, Counting):
    def process(self, key: Any, ctx: Any, elements: Any, /) -> Any:
        yield from elements


def test_operators_of_such_functions_are_stateful() -> None:
    env = StreamExecutionEnvironment()
    stream = env.from_collection([1]).map(Counting()).filter(Counting())
    stream.flat_map(Counting()).process(Counting()).map(str).print()
    kinds = {node.kind: node.is_stateful for node in env.graph.nodes[1:-2]}
    assert kinds == {"map": True, "filter": True, "flat map": True, "process": True}
    assert not env.graph.nodes[-2].is_stateful


@pytest.mark.parametrize(
    "build",
    [
        lambda windows: windows.process(InWindows()),
        lambda windows: windows.reduce(lambda a, b: a, InWindows()),
        lambda windows: windows.apply(Counting()),
    ],
)
def test_windows_refuse_such_functions(build: Any) -> None:
    windows = (
        StreamExecutionEnvironment()
        .from_collection([1])
        .key_by(lambda value: value)
        .window(TumblingEventTimeWindows.of("1m"))
    )
    with pytest.raises(GraphError, match="global_state") as caught:
        build(windows)
    place = f"{Path(__file__).name}:{inspect.getsourcelines(build)[1]}"
    assert place in str(caught.value)
