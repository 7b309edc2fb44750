"""What each call adds to the graph, and how edges come out of routing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from streamlet import (
    AggregateFunction,
    EventTimeSessionWindows,
    Function,
    OutputTag,
    PartitionedSource,
    ProcessFunction,
    ProcessWindowFunction,
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.api.stream import DataStream
from streamlet.connectors.collection import CollectionSource
from streamlet.elements import RowBatch
from streamlet.graph import Broadcast, Custom, Edge, Forward, Global, Hash, Rebalance, Shuffle
from streamlet.operators.operator import Operator, Output
from streamlet.operators.sink import FunctionSink


def double(value: int) -> int:
    return 2 * value


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment()


@pytest.fixture
def stream(env: StreamExecutionEnvironment) -> DataStream[int]:
    return env.from_collection([1, 2, 3])


def kinds(env: StreamExecutionEnvironment) -> list[str]:
    return [node.kind for node in env.graph.nodes]


def test_every_call_adds_one_node_with_the_line_of_the_user(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.map(double).filter(bool).flat_map(lambda n: [n]).print()
    assert kinds(env) == ["source", "map", "filter", "flat map", "sink"]
    assert {node.location.rpartition(":")[0] for node in env.graph.nodes} == {"test_stream.py"}
    assert env.graph.nodes[1].description == "double"
    assert [(edge.source_id, edge.target_id) for edge in env.graph.edges] == [
        (0, 1),
        (1, 2),
        (2, 3),
        (3, 4),
    ]


def test_several_steps_may_follow_one_stream(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.map(double)
    stream.map(double)
    assert env.graph.edges == [Edge(0, 1), Edge(0, 2)]


def test_factory_gives_a_fresh_working_operator_per_subtask(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.map(double)
    factory = env.graph.nodes[1].factory
    assert factory is not None
    first, second = factory(), factory()
    assert first is not second
    out = Output()
    first.process_batch(0, RowBatch([1, 2]), out)
    assert out.take() == [RowBatch([2, 4])]


def test_function_is_copied_while_building_so_later_changes_do_not_count(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    class Scale(Function):
        factor = 2

        def __call__(self, value: int) -> int:
            return value * self.factor

    scale = Scale()
    stream.map(scale)
    scale.factor = 100
    out = Output()
    factory = env.graph.nodes[1].factory
    assert factory is not None
    factory().process_batch(0, RowBatch([1]), out)
    assert out.take() == [RowBatch([2])]


@pytest.mark.parametrize(
    ("method", "partitioning"),
    [
        ("rebalance", Rebalance()),
        ("shuffle", Shuffle()),
        ("forward", Forward()),
        ("broadcast", Broadcast()),
        ("global_", Global()),
    ],
)
def test_routing_marks_the_next_edge(
    env: StreamExecutionEnvironment, stream: DataStream[int], method: str, partitioning: Any
) -> None:
    getattr(stream, method)().map(double)
    assert env.graph.edges == [Edge(0, 1, partitioning)]


def test_last_of_several_routings_counts_ds_3(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.rebalance().shuffle().map(double)
    assert env.graph.edges[0].partitioning == Shuffle()


def test_custom_partitioning_gets_the_selected_part_and_the_parallelism(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.partition_custom(lambda key, n: key % n, lambda value: value + 1).print()
    custom = env.graph.edges[0].partitioning
    assert isinstance(custom, Custom)
    assert custom.choose(custom.selector(4), 3) == 2


def test_union_gives_the_next_operator_every_input_each_with_its_routing(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    other = env.from_sequence(1, 3)
    stream.rebalance().union(other, stream).map(double)
    assert env.graph.edges == [Edge(0, 2, Rebalance()), Edge(1, 2), Edge(0, 2)]


def test_key_by_on_a_union_partitions_every_input(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.union(env.from_sequence(1, 3)).key_by(lambda value: value % 2).sum()
    assert all(isinstance(edge.partitioning, Hash) for edge in env.graph.edges)


@pytest.mark.parametrize(
    ("selectors", "fields", "description"),
    [
        (("user",), ("user",), "user"),
        (("user", "day"), ("user", "day"), "user, day"),
        ((0,), None, "position 0"),
        (("user", 0), None, "field 'user', position 0"),
    ],
)
def test_key_by_knows_its_fields(
    env: StreamExecutionEnvironment, selectors: Any, fields: Any, description: str
) -> None:
    env.from_collection([{"user": "u"}]).key_by(*selectors).reduce(lambda a, b: a)
    key = env.graph.edges[0].partitioning
    assert isinstance(key, Hash)
    assert (key.fields, key.description) == (fields, description)


def test_key_by_selects_for_one_record_and_for_many(env: StreamExecutionEnvironment) -> None:
    records = [{"user": "a", "day": 1}, {"user": "b", "day": 2}]
    env.from_collection(records).key_by("user", "day").reduce(lambda a, b: a)
    key = env.graph.edges[0].partitioning
    assert isinstance(key, Hash)
    assert [key.selector(record) for record in records] == key.keys_of(records)
    assert key.keys_of(records) == [("a", 1), ("b", 2)]


def test_keyed_operators_are_marked_keyed_and_stateful(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    keyed = stream.key_by(double)
    keyed.sum()
    keyed.process(lambda value, ctx: [value])
    keyed.window(TumblingEventTimeWindows.of("1s")).max()
    keyed.map(double)
    assert [(node.kind, node.is_keyed, node.is_stateful) for node in env.graph.nodes[1:]] == [
        ("sum", True, True),
        ("keyed process", True, True),
        ("window", True, True),
        ("map", False, False),
    ]


def test_side_output_of_a_process_function_is_an_edge_with_its_tag(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    def split(value: int, ctx: ProcessFunction.Context) -> Iterator[Any]:
        yield OutputTag("odd"), value

    stream.process(split).get_side_output(OutputTag("odd")).print()
    assert env.graph.edges[1] == Edge(1, 2, tag_id="odd")


def test_late_records_are_the_only_side_output_of_a_reducing_window(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    late = OutputTag[int]("late")
    window = stream.key_by(double).window(TumblingEventTimeWindows.of("1s"))
    window.side_output_late_data(late).sum().get_side_output(late).print()
    assert env.graph.nodes[1].side_tags == frozenset({"late"})


def test_window_settings_leave_the_stream_they_were_called_on_alone(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    window = stream.key_by(double).window(TumblingEventTimeWindows.of("1s"))
    window.side_output_late_data(OutputTag("late")).allowed_lateness("5s")
    window.sum()
    assert env.graph.nodes[1].side_tags == frozenset()


def test_window_all_runs_in_one_subtask_under_the_key_none(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.window_all(TumblingEventTimeWindows.of("1s")).sum()
    key = env.graph.edges[0].partitioning
    assert isinstance(key, Hash)
    assert key.keys_of([1, 2]) == [None, None]
    assert key.selector(1) is None
    assert env.graph.nodes[1].parallelism == 1


def test_settings_apply_to_the_operator_that_was_added_last(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    mapped = stream.map(double).name("double").uid("d").set_parallelism(3)
    mapped.set_max_parallelism(64).start_new_chain().set_description("twice")
    mapped.print().uid("out").disable_chaining()
    node, sink = env.graph.nodes[1:]
    assert (node.name, node.uid, node.parallelism, node.max_parallelism) == ("double", "d", 3, 64)
    assert (node.chaining, node.description) == ("head", "twice")
    assert (sink.uid, sink.name, sink.chaining) == ("out", "out", "never")


def test_sink_function_becomes_a_sink(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    collected: list[int] = []
    stream.sink_to(collected.extend)
    node = env.graph.nodes[1]
    assert isinstance(node.sink, FunctionSink)
    assert node.is_output
    assert not node.is_stateful


def test_source_keeps_its_own_name_unless_it_gets_one(env: StreamExecutionEnvironment) -> None:
    class Clicks(CollectionSource[int]):
        name = "clicks"

    source: PartitionedSource[int] = Clicks([1])
    env.from_source(source)
    env.from_source(source, WatermarkStrategy.for_monotonous_timestamps(), "mine")
    assert [node.name for node in env.graph.nodes] == ["clicks", "mine"]
    assert env.graph.nodes[0].strategy is not None


class Total(AggregateFunction):
    def create_accumulator(self) -> Any:
        return 0

    def add(self, value: Any, accumulator: Any, /) -> Any:
        return accumulator + value

    def get_result(self, accumulator: Any, /) -> Any:
        return accumulator

    def merge(self, a: Any, b: Any, /) -> Any:
        return a + b


class Each(ProcessWindowFunction):
    def process(self, key: Any, ctx: Any, elements: Any, /) -> Any:
        yield from elements


@pytest.mark.parametrize(
    "assigner",
    [
        TumblingEventTimeWindows.of("1s"),
        SlidingEventTimeWindows.of("2s", "1s"),
        EventTimeSessionWindows.with_gap("1s"),
    ],
    ids=lambda assigner: type(assigner).__name__,
)
def test_every_form_of_a_window_builds_an_operator(
    env: StreamExecutionEnvironment, stream: DataStream[int], assigner: Any
) -> None:
    window = stream.key_by(double).window(assigner)
    window.reduce(lambda a, b: a)
    window.reduce(lambda a, b: a, lambda key, window, result: result)
    window.aggregate(Total())
    window.aggregate(Total(), Each())
    window.process(Each())
    window.apply(lambda key, window, values: len(values))
    window.agg(n=agg.count())
    window.sum()
    nodes = env.graph.nodes[1:]
    factories = [node.factory for node in nodes if node.factory is not None]
    assert len(factories) == 8
    assert all(isinstance(factory(), Operator) for factory in factories)
    assert [node.side_tags is None for node in nodes] == [False] * 3 + [True] * 2 + [False] * 3


def test_assigning_timestamps_builds_an_operator(
    env: StreamExecutionEnvironment, stream: DataStream[int]
) -> None:
    stream.assign_timestamps_and_watermarks(WatermarkStrategy.for_monotonous_timestamps())
    factory = env.graph.nodes[1].factory
    assert factory is not None
    assert isinstance(factory(), Operator)
