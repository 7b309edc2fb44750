"""What the API refuses, each time naming the user's file and line."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from streamlet import (
    AggregateFunction,
    EventTimeSessionWindows,
    GraphError,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    ReduceFunction,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
)
from streamlet import aggregates as agg

HERE = Path(__file__).name


class Count(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any, /) -> Any:
        yield value


class Holding(ProcessFunction):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def process_element(self, value: Any, ctx: Any, /) -> Any:
        yield value


class Longest(ReduceFunction):
    def reduce(self, value1: Any, value2: Any, /) -> Any:
        return value1


class Opened(Longest):
    def open(self, ctx: Any, /) -> None:
        self.opened = True


class Sum(AggregateFunction):
    def create_accumulator(self) -> Any:
        return 0

    def add(self, value: Any, accumulator: Any, /) -> Any:
        return value + accumulator

    def get_result(self, accumulator: Any, /) -> Any:
        return accumulator

    def merge(self, a: Any, b: Any, /) -> Any:
        return a + b


class Closed(Sum):
    def close(self) -> None:
        self.closed = True


async def fetch(value: Any) -> Any:
    return value


def many(value: Any) -> Any:
    yield value


def one(*_: Any) -> Any:
    return 1


class Scene:
    """One stream in each of its forms."""

    def __init__(self) -> None:
        self.env = StreamExecutionEnvironment()
        self.stream: Any = self.env.from_collection([1])
        self.keyed: Any = self.stream.key_by(one)
        self.windowed: Any = self.keyed.window(TumblingEventTimeWindows.of("1s"))


REFUSED: list[tuple[str, Callable[[Scene], object]]] = [
    ("takes a callable, got 3 of type int", lambda s: s.stream.map(3)),
    ("coroutine function fetch", lambda s: s.stream.map(fetch)),
    ("generator function many", lambda s: s.stream.map(many)),
    ("got the class Count; give an instance", lambda s: s.keyed.process(Count)),
    ("call .key_by(...)", lambda s: s.stream.process(Count())),
    ("got <", lambda s: s.stream.map(Longest())),
    ("create it in open()", lambda s: s.stream.process(Holding())),
    ("takes a AggregateFunction", lambda s: s.windowed.aggregate(one)),
    ("takes a ProcessWindowFunction", lambda s: s.windowed.process(one)),
    ("open() and close() of Opened are not called", lambda s: s.windowed.reduce(Opened())),
    ("open() and close() of Closed are not called", lambda s: s.windowed.aggregate(Closed())),
    ("takes a ReduceFunction or a callable", lambda s: s.keyed.reduce("n")),
    ("TumblingEventTimeWindows.of", lambda s: s.keyed.window("1s")),
    ("takes an OutputTag", lambda s: s.stream.get_side_output("late")),
    ("takes an OutputTag", lambda s: s.windowed.side_output_late_data("late")),
    ("no negative duration", lambda s: s.windowed.allowed_lateness("-5s")),
    ("'soon' is not a duration", lambda s: s.windowed.allowed_lateness("soon")),
    ("cannot emit it", lambda s: s.stream.map(one).get_side_output(OutputTag("late"))),
    ("cannot emit it", lambda s: s.windowed.sum().get_side_output(OutputTag("late"))),
    ("the operator's own result", lambda s: s.stream.rebalance().get_side_output(OutputTag("t"))),
    ("or a pyarrow.compute expression", lambda s: s.stream.filter("n > 3")),
    ("takes at least one column", lambda s: s.stream.select()),
    ("got euro=<function one", lambda s: s.stream.select(n="n", euro=one)),
    (
        "got n=3; a constant is pc.scalar(...), a Python function goes to map()",
        lambda s: s.stream.select(n=3),
    ),
    ("expressions go to filter() and select()", lambda s: s.stream.map_batches(pc.field("n") + 1)),
    ("generator function many", lambda s: s.stream.map_batches(many)),
    ("coroutine function fetch", lambda s: s.stream.map_batches(fetch)),
    ("no selector", lambda s: s.stream.key_by()),
    ("is not a selector", lambda s: s.stream.key_by(1.5)),
    ("a field twice", lambda s: s.stream.key_by("a", "a")),
    ("puts its result into a field", lambda s: s.keyed.sum(one)),
    ("is not a selector", lambda s: s.keyed.min_by(None, 1.5) if 0 else s.keyed.min_by(1.5)),
    ("at least one named aggregate", lambda s: s.keyed.agg()),
    ("wrong aggregate", lambda s: s.keyed.agg(n=3)),
    ("two entries of one name: key", lambda s: s.keyed.agg(key=agg.count())),
    ("two entries of one name: window_end", lambda s: s.windowed.agg(window_end=agg.count())),
    ("applies to an operator", lambda s: s.keyed.name("keyed")),
    ("applies to an operator", lambda s: s.stream.union(s.stream).uid("both")),
    ("non-empty string", lambda s: s.stream.name("")),
    ("at least 1, got 0", lambda s: s.stream.set_parallelism(0)),
    ("takes streams", lambda s: s.stream.union([1])),
    ("another environment", lambda s: s.stream.union(Scene().stream)),
    ("takes a callable", lambda s: s.stream.sink_to("out/")),
    ("takes a Source", lambda s: s.env.from_source([1])),  # type: ignore[arg-type]
    ("takes a WatermarkStrategy", lambda s: s.stream.assign_timestamps_and_watermarks(5)),
    ("'exactly_once' only", lambda s: s.env.enable_checkpointing("1s", "none")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("problem", "call"), REFUSED, ids=[problem for problem, _ in REFUSED])
def test_wrong_call_is_refused_with_the_line_of_the_user(
    problem: str, call: Callable[[Scene], object]
) -> None:
    with pytest.raises(GraphError) as refused:
        call(Scene())
    line = inspect.getsourcelines(call)[1]
    assert str(refused.value).startswith(f"{HERE}:{line}: ")
    assert problem in str(refused.value)


def test_second_use_of_a_uid_names_both_lines() -> None:
    stream = Scene().stream
    first, second = stream.map(one), stream.map(one)
    first.uid("x")
    with pytest.raises(GraphError, match=rf"^{HERE}:\d+: uid 'x' .*{HERE}:\d+.*{HERE}:\d+"):
        second.uid("x")


def test_names_meant_for_agg_clash_with_key_fields() -> None:
    env = StreamExecutionEnvironment()
    keyed = env.from_collection([{"user": "u", "window_start": 1}]).key_by("user", "window_start")
    with pytest.raises(GraphError, match="one name: user"):
        keyed.agg(user=agg.count())
    with pytest.raises(GraphError, match="one name: window_start"):
        keyed.window(EventTimeSessionWindows.with_gap("1s")).agg(n=agg.count())
    keyed.agg(window_end=agg.count())


def test_aggregate_function_and_its_likes_are_accepted() -> None:
    scene = Scene()
    scene.windowed.aggregate(Sum(), lambda key, window, result: result)
    scene.windowed.reduce(Longest())
    scene.keyed.reduce(Opened())
    scene.keyed.process(Count())
    scene.keyed.process(many)
    scene.stream.flat_map(many)
    scene.stream.map(int)
