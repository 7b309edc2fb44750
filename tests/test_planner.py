"""From graph to plan: chains (DS-4), default edges (DS-1), max parallelism (KG-4, KG-8)."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.connectors.collection import CollectionSource
from streamlet.errors import GraphError
from streamlet.graph import (
    Broadcast,
    Edge,
    Forward,
    Global,
    Hash,
    Partitioning,
    Rebalance,
    Shuffle,
    StreamGraph,
    StreamNode,
)
from streamlet.plan import ChainLink, ExecutionPlan
from streamlet.planner import PlanDefaults, plan_graph

BY_USER = Hash(lambda record: record["user"], "user", ("user",))


def add(graph: StreamGraph, name: str, *inputs: Edge, **settings: Any) -> int:
    fields = {"kind": "map", "location": f"job.py:{len(graph.nodes) + 1}", **settings}
    return graph.add(StreamNode(id=-1, name=name, **fields), inputs).id


def pair(
    partitioning: Partitioning | None = None,
    upstream: dict[str, Any] | None = None,
    downstream: dict[str, Any] | None = None,
    **defaults: Any,
) -> ExecutionPlan:
    """A source and one operator behind it."""
    graph = StreamGraph()
    source = add(graph, "a", **(upstream or {}))
    add(graph, "b", Edge(source, -1, partitioning), is_output=True, **(downstream or {}))
    return plan_graph(graph, PlanDefaults(**defaults))


@pytest.mark.parametrize(
    ("settings", "is_chained"),
    [
        ({}, True),
        ({"partitioning": Forward()}, True),
        ({"partitioning": Rebalance()}, False),
        ({"partitioning": Shuffle()}, False),
        ({"partitioning": Broadcast()}, False),
        ({"partitioning": Global()}, False),
        ({"partitioning": BY_USER}, False),
        ({"is_chaining_enabled": False}, False),
        ({"downstream": {"chaining": "head"}}, False),
        ({"downstream": {"chaining": "never"}}, False),
        ({"upstream": {"chaining": "head"}}, True),
        ({"upstream": {"chaining": "never"}}, False),
        ({"downstream": {"parallelism": 2}}, False),
        ({"upstream": {"parallelism": 2}, "downstream": {"parallelism": 2}}, True),
        ({"downstream": {"parallelism": 2}, "parallelism": 2}, True),
        ({"downstream": {"max_parallelism": 64}}, False),
    ],
)
def test_operators_are_chained_by_the_rules_of_ds_4(
    settings: dict[str, Any], is_chained: bool
) -> None:
    assert len(pair(**settings).vertices) == (1 if is_chained else 2)


def test_operator_with_two_inputs_is_not_chained() -> None:
    graph = StreamGraph()
    left, right = add(graph, "left"), add(graph, "right")
    add(graph, "both", Edge(left, -1), Edge(right, -1), is_output=True)
    plan = plan_graph(graph, PlanDefaults())
    assert [vertex.name for vertex in plan.vertices] == ["left", "right", "both"]
    assert [edge.source_vertex for edge in plan.inputs_of(2)] == [0, 1]


def test_stream_united_with_itself_has_two_edges() -> None:
    graph = StreamGraph()
    source = add(graph, "a")
    add(graph, "twice", Edge(source, -1), Edge(source, -1), is_output=True)
    assert len(plan_graph(graph, PlanDefaults()).edges) == 2


def test_chain_is_a_tree_side_outputs_included() -> None:
    graph = StreamGraph()
    source = add(graph, "a")
    left = add(graph, "b", Edge(source, -1))
    add(graph, "c", Edge(source, -1, tag_id="late"), is_output=True)
    add(graph, "d", Edge(left, -1), is_output=True)
    plan = plan_graph(graph, PlanDefaults())
    assert plan.edges == ()
    (vertex,) = plan.vertices
    assert [operator.name for operator in vertex.operators] == ["a", "b", "c", "d"]
    assert vertex.operators[0].outputs == (ChainLink(None, 1), ChainLink("late", 2))
    assert vertex.operators[1].outputs == (ChainLink(None, 3),)


def test_edge_out_of_the_middle_of_a_chain_names_its_operator() -> None:
    graph = StreamGraph()
    source = add(graph, "a")
    middle = add(graph, "b", Edge(source, -1))
    add(graph, "c", Edge(middle, -1), is_output=True)
    add(graph, "d", Edge(middle, -1, BY_USER, "tag"), is_output=True)
    (edge,) = plan_graph(graph, PlanDefaults()).edges
    assert (edge.source_vertex, edge.source_operator, edge.target_vertex) == (0, 1, 1)
    assert edge.tag_id == "tag"


def test_vertices_are_numbered_in_topological_order() -> None:
    graph = StreamGraph()
    first, second = add(graph, "a"), add(graph, "b")
    keyed = add(graph, "c", Edge(second, -1, BY_USER))
    add(graph, "d", Edge(first, -1), Edge(keyed, -1), is_output=True)
    plan = plan_graph(graph, PlanDefaults(parallelism=3))
    assert [vertex.id for vertex in plan.vertices] == [0, 1, 2, 3]
    assert all(edge.source_vertex < edge.target_vertex for edge in plan.edges)


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"), [(2, 3, Rebalance()), (3, 3, Forward())]
)
def test_default_edge_is_forward_only_at_equal_parallelism_ds_1(
    upstream: int, downstream: int, expected: Partitioning
) -> None:
    plan = pair(
        None,
        {"parallelism": upstream},
        {"parallelism": downstream, "chaining": "head"},
    )
    assert plan.edges[0].partitioning == expected


def test_explicit_forward_at_different_parallelism_is_refused_ds_1() -> None:
    with pytest.raises(GraphError, match=r"'a' \(job\.py:1\) has 1 and 'b' \(job\.py:2\) has 2"):
        pair(Forward(), None, {"parallelism": 2})


def test_max_parallelism_is_derived_once_for_the_whole_job_kg_4() -> None:
    plan = pair(None, {"parallelism": 100}, {"parallelism": 1})
    assert [vertex.max_parallelism for vertex in plan.vertices] == [256, 256]


def test_parallelism_above_max_parallelism_is_refused_kg_8() -> None:
    with pytest.raises(GraphError, match=r"'b' \(job\.py:2\) is 5.* 4"):
        pair(None, None, {"parallelism": 5}, max_parallelism=4)
    with pytest.raises(GraphError, match="32768"):
        pair(None, None, {"max_parallelism": 32_769})


def test_pipeline_without_a_sink_is_refused() -> None:
    graph = StreamGraph()
    with pytest.raises(GraphError, match="nothing to execute"):
        plan_graph(graph, PlanDefaults())
    add(graph, "a")
    with pytest.raises(GraphError, match=r"no sink.*'a' \(job\.py:1\)"):
        plan_graph(graph, PlanDefaults())


def test_stateful_operators_without_a_uid_are_mentioned_in_one_warning() -> None:
    graph = StreamGraph()
    source = add(graph, "a", kind="source", is_stateful=True, source=CollectionSource([1]))
    add(graph, "b", Edge(source, -1, BY_USER), is_stateful=True)
    add(graph, "c", Edge(source, -1, BY_USER), is_stateful=True, is_output=True)
    (warning,) = plan_graph(graph, PlanDefaults()).warnings
    assert "'b' (job.py:2), 'c' (job.py:3)" in warning
    assert "'a'" not in warning, "its uid hangs on its name alone"


def test_source_with_a_twin_needs_a_uid_too() -> None:
    graph = StreamGraph()
    for _ in range(2):
        source = CollectionSource([1])
        add(graph, "a", kind="source", is_stateful=True, is_output=True, source=source)
    (warning,) = plan_graph(graph, PlanDefaults()).warnings
    assert "'a' (job.py:1), 'a' (job.py:2)" in warning


def test_plan_is_bounded_when_every_source_ends() -> None:
    class Endless(CollectionSource[int]):
        bounded = False

    def plan_of(*sources: CollectionSource[int]) -> ExecutionPlan:
        graph = StreamGraph()
        for source in sources:
            add(graph, "a", kind="source", is_output=True, source=source)
        return plan_graph(graph, PlanDefaults())

    assert plan_of(CollectionSource([1])).is_bounded
    assert not plan_of(CollectionSource([1]), Endless([1])).is_bounded
