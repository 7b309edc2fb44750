"""Which edges carry columns, and what the plan says about where rows begin."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow.compute as pc
import pytest

from streamlet import OutputTag, Sink, SinkWriter, StreamExecutionEnvironment, WatermarkStrategy
from streamlet.aggregates import quantile
from streamlet.api.stream import DataStream
from streamlet.graph import Edge, Forward, StreamGraph, StreamNode
from streamlet.plan import ExecutionPlan
from streamlet.representation import represent
from streamlet.sink import WriterContext
from streamlet.source import PartitionedSource, PartitionReader

DEAR = pc.field("price") > 100
BY_FIELD = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner("ts")
BY_FUNCTION = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
    lambda record: record["ts"]
)


class Bids(PartitionedSource[Any]):
    """Is planned only, and never read."""

    name = "bids"
    rows_because = None

    def list_partitions(self) -> list[str]:
        return []

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Any]:
        raise NotImplementedError


class ColumnSink(Sink[Any]):
    name = "column sink"
    rows_because = None

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        raise NotImplementedError


def ignore(values: Any) -> None:
    """A sink of rows."""


def same(value: Any, *_: Any) -> Any:
    return value


def planned(
    build: Callable[[DataStream[Any]], object], strategy: Any = BY_FIELD, parallelism: int = 2
) -> ExecutionPlan:
    env = StreamExecutionEnvironment()
    env.set_parallelism(parallelism)
    build(env.from_source(Bids(), strategy))
    return env.get_execution_plan()


def column_edges(plan: ExecutionPlan) -> list[tuple[str, str]]:
    return [
        (plan.vertices[edge.source_vertex].operators[edge.source_operator].name, target.head.name)
        for edge in plan.edges
        for target in [plan.vertices[edge.target_vertex]]
        if edge.carries_columns
    ]


def rows_begin(plan: ExecutionPlan) -> dict[str, str]:
    return {op.name: op.rows_because for op in plan.operators() if op.rows_because is not None}


def givers(plan: ExecutionPlan) -> list[str]:
    return [operator.name for operator in plan.operators() if operator.gives_columns]


def test_columns_go_from_the_source_to_the_first_python_function() -> None:
    plan = planned(
        lambda bids: bids.filter(DEAR).rebalance().select(p="price").map(same).sink_to(ignore)
    )
    assert givers(plan) == ["bids", "filter", "select"]
    assert column_edges(plan) == [("filter", "select")]
    assert rows_begin(plan) == {"map": "it calls a Python function"}


def test_columns_reach_a_sink_that_takes_them() -> None:
    plan = planned(lambda bids: bids.shuffle().filter(DEAR).global_().sink_to(ColumnSink()))
    assert column_edges(plan) == [("bids", "filter"), ("filter", "column sink")]
    assert rows_begin(plan) == {}


def test_source_behind_which_all_need_objects_makes_rows_itself() -> None:
    plan = planned(lambda bids: (bids.map(same).sink_to(ignore), bids.rebalance().sink_to(ignore)))
    assert givers(plan) == []
    assert column_edges(plan) == []


def test_of_two_consumers_each_gets_what_it_takes() -> None:
    def build(bids: DataStream[Any]) -> None:
        bids.rebalance().filter(DEAR).sink_to(ColumnSink())
        bids.rebalance().map(same).sink_to(ignore)

    plan = planned(build)
    assert givers(plan) == ["bids", "filter"]
    assert column_edges(plan) == [("bids", "filter")]
    assert rows_begin(plan) == {"map": "it calls a Python function"}


def test_key_by_fields_keeps_columns_and_key_by_function_makes_rows() -> None:
    by_fields = planned(lambda bids: bids.key_by("a", "b").filter(DEAR).sink_to(ColumnSink()))
    by_function = planned(lambda bids: bids.key_by(same).filter(DEAR).sink_to(ColumnSink()))
    assert column_edges(by_fields) == [("bids", "filter")]
    assert column_edges(by_function) == []
    (reason,) = rows_begin(by_function).values()
    assert reason.startswith("its key is made by function same (test_representation.py:")


def test_running_aggregates_take_columns_unless_one_needs_the_records() -> None:
    def build(**named: Any) -> Any:
        return lambda bids: bids.rebalance().key_by("a").agg(**named).sink_to(ColumnSink())

    plan = planned(build(n=_count()))
    assert givers(plan) == ["bids", "agg"]
    assert rows_begin(plan) == {}
    plan = planned(build(n=_count(), middle=quantile("p", 0.5)))
    assert givers(plan) == []
    assert rows_begin(plan) == {"agg": "its 'middle' is a quantile"}


def test_window_all_needs_no_field() -> None:
    plan = planned(lambda bids: bids.window_all(_tumbling()).agg(n=_count()).sink_to(ignore))
    assert "its key is made by" not in str(rows_begin(plan))


def test_own_partitioning_makes_rows() -> None:
    plan = planned(
        lambda bids: bids.partition_custom(same, "a").select(p="price").sink_to(ColumnSink())
    )
    assert column_edges(plan) == []
    assert rows_begin(plan) == {"select": "partition_custom chooses by field 'a'"}


def test_side_outputs_are_rows() -> None:
    tag: OutputTag[Any] = OutputTag("side")
    plan = planned(
        lambda bids: bids.process(same).get_side_output(tag).filter(DEAR).sink_to(ColumnSink())
    )
    assert givers(plan) == []


def test_side_outputs_of_an_operator_that_gives_columns_are_rows() -> None:
    graph = StreamGraph()
    for kind, because in [("source", None), ("window", None), ("select", None)]:
        source = Bids() if kind == "source" else None
        graph.add(StreamNode(-1, kind, kind, "job.py:1", source=source, rows_because=because), [])
    main, side = Edge(0, 1, Forward()), Edge(1, 2, Forward(), "late")
    representation = represent(graph.nodes, [main, side])
    assert representation.carries_columns(main)
    assert not representation.carries_columns(side)
    assert representation.rows_because[2] is None


def test_timestamps_by_a_function_make_rows_at_the_source_and_in_mid_graph() -> None:
    def assigned(strategy: Any) -> ExecutionPlan:
        return planned(
            lambda bids: (
                bids.assign_timestamps_and_watermarks(strategy).filter(DEAR).sink_to(ColumnSink())
            ),
            WatermarkStrategy.no_watermarks(),
        )

    at_source = planned(lambda bids: bids.filter(DEAR).sink_to(ColumnSink()), BY_FUNCTION)
    assert list(rows_begin(at_source)) == ["bids"]
    assert list(rows_begin(assigned(BY_FUNCTION))) == ["timestamps"]
    assert rows_begin(assigned(BY_FIELD)) == {}
    assert givers(assigned(BY_FIELD)) == ["bids", "timestamps", "filter"]


def test_rows_turn_into_columns_at_select_and_not_at_a_filter() -> None:
    plan = planned(
        lambda bids: bids.map(same).filter(DEAR).select(p="price").shuffle().sink_to(ColumnSink())
    )
    assert givers(plan) == ["select"]
    assert column_edges(plan) == [("select", "column sink")]


def test_union_of_rows_and_columns_takes_both() -> None:
    plan = planned(
        lambda bids: bids.map(same).union(bids.filter(DEAR)).select(p="price").sink_to(ColumnSink())
    )
    assert column_edges(plan) == [("filter", "select")]
    assert rows_begin(plan) == {"map": "it calls a Python function"}


def test_rows_begin_at_a_source_that_gives_rows() -> None:
    env = StreamExecutionEnvironment()
    env.from_collection([{"price": 1}]).filter(DEAR).sink_to(ColumnSink())
    assert rows_begin(env.get_execution_plan()) == {"collection": "its reader gives Python objects"}


def test_text_says_where_columns_go_and_where_and_why_rows_begin() -> None:
    plan = planned(lambda bids: bids.key_by("auction").filter(DEAR).map(same).sink_to(ignore))
    lines = plan.to_text().splitlines()
    assert lines[1].endswith(", gives columns")
    assert lines[2] == "      => [1]  hash by auction, columns"
    assert lines[4].endswith(", gives columns")
    assert lines[5].endswith("(automatic)")
    assert any(
        re.fullmatch(r"rows begin at 'map' \(test_\w+\.py:\d+\): it calls a Python function", line)
        for line in lines
    )


def test_drawings_and_dict_say_it_too() -> None:
    plan = planned(lambda bids: bids.rebalance().filter(DEAR).map(same).sink_to(ignore))
    assert '|"rebalance, columns"|' in plan.to_mermaid()
    assert '[label="rebalance, columns"]' in plan.to_dot()
    (edge,), operators = plan.to_dict()["edges"], plan.to_dict()["vertices"][1]["operators"]
    assert edge["columns"] is True
    assert [op["gives_columns"] for op in operators] == [True, False, False]
    assert [op["rows_because"] for op in operators] == [None, "it calls a Python function", None]


@pytest.mark.parametrize("parallelism", [1, 3])
def test_columns_do_not_hang_on_the_parallelism(parallelism: int) -> None:
    plan = planned(lambda bids: bids.map_batches(same).sink_to(ColumnSink()), BY_FIELD, parallelism)
    assert givers(plan) == ["bids", "map batches"]


def _tumbling() -> Any:
    from streamlet import TumblingEventTimeWindows

    return TumblingEventTimeWindows.of("1s")


def _count() -> Any:
    from streamlet import aggregates

    return aggregates.count()
