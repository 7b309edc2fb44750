"""The logical graph: what it refuses, and which part of it an execution takes."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.errors import GraphError
from streamlet.graph import Edge, Hash, StreamGraph, StreamNode


def add(graph: StreamGraph, kind: str, *inputs: int, **settings: Any) -> int:
    fields = {"name": kind, "location": f"job.py:{len(graph.nodes) + 1}", **settings}
    edges = [Edge(source_id, -1) for source_id in inputs]
    return graph.add(StreamNode(id=-1, kind=kind, **fields), edges).id


def test_nodes_are_numbered_in_creation_order_and_edges_lead_to_them() -> None:
    graph = StreamGraph()
    source = add(graph, "source")
    mapped = add(graph, "map", source)
    assert (source, mapped) == (0, 1)
    assert graph.edges == [Edge(0, 1)]


def test_uid_that_is_taken_is_refused_naming_both_places() -> None:
    graph = StreamGraph()
    first, second = add(graph, "source"), add(graph, "source")
    graph.change(first, uid="in")
    with pytest.raises(GraphError) as refused:
        graph.change(second, uid="in")
    assert "job.py:1" in str(refused.value)
    assert "job.py:2" in str(refused.value)
    assert graph.nodes[second].uid is None


def test_setting_a_uid_twice_on_one_operator_is_allowed() -> None:
    graph = StreamGraph()
    source = add(graph, "source")
    graph.change(source, uid="in")
    graph.change(source, uid="in")
    assert graph.nodes[source].uid == "in"


def test_uid_names_an_unnamed_operator_and_leaves_a_name_alone() -> None:
    graph = StreamGraph()
    unnamed, named = add(graph, "source"), add(graph, "map", name="parse", has_own_name=True)
    graph.change(unnamed, uid="in")
    graph.change(named, uid="parser")
    assert [node.name for node in graph.nodes] == ["in", "parse"]


@pytest.mark.parametrize("uid", ["", 7, None])
def test_uid_must_be_a_non_empty_string(uid: object) -> None:
    graph = StreamGraph()
    with pytest.raises(GraphError, match="non-empty"):
        graph.change(add(graph, "source"), uid=uid)


@pytest.mark.parametrize("parallelism", [0, -1, True, 1.0, "2", None])
@pytest.mark.parametrize("name", ["parallelism", "max_parallelism"])
def test_parallelism_must_be_a_positive_int(name: str, parallelism: object) -> None:
    graph = StreamGraph()
    with pytest.raises(GraphError, match="at least 1"):
        graph.change(add(graph, "source"), **{name: parallelism})


@pytest.mark.parametrize(
    ("side_tags", "is_refused"),
    [
        (frozenset(), True),
        (frozenset({"other"}), True),
        (frozenset({"late"}), False),
        (None, False),
    ],
)
def test_side_output_is_refused_where_it_can_never_be(
    side_tags: frozenset[str] | None, is_refused: bool
) -> None:
    graph = StreamGraph()
    node = add(graph, "map", side_tags=side_tags)
    if not is_refused:
        graph.check_side_output(node, "late", "job.py:9")
        return
    with pytest.raises(GraphError, match=r"^job\.py:9: .*'late'"):
        graph.check_side_output(node, "late", "job.py:9")


def test_refused_side_output_of_a_window_says_how_to_get_late_records() -> None:
    graph = StreamGraph()
    with pytest.raises(GraphError, match="side_output_late_data"):
        graph.check_side_output(add(graph, "window"), "late", "job.py:9")


def test_after_an_execution_only_what_is_new_and_its_ancestors_are_pending() -> None:
    graph = StreamGraph()
    source, other = add(graph, "source"), add(graph, "source")
    mapped = add(graph, "map", source)
    add(graph, "sink", mapped)
    add(graph, "sink", other)
    assert len(graph.pending().nodes) == 5
    graph.forget_executed()
    assert not graph.has_work
    assert graph.pending().nodes == []
    late = add(graph, "sink", mapped)
    assert [node.id for node in graph.pending().nodes] == [source, mapped, late]
    assert [edge.target_id for edge in graph.pending().edges] == [mapped, late]


def test_pipeline_that_is_built_again_after_its_execution_keeps_its_uids() -> None:
    graph = StreamGraph()
    graph.change(add(graph, "source"), uid="in")
    graph.forget_executed()
    again = add(graph, "source")
    graph.change(again, uid="in")
    assert graph.pending().nodes == [graph.nodes[again]]
    graph.pending().check_uids()


def test_uid_of_an_executed_operator_is_refused_in_a_job_that_reads_from_it() -> None:
    graph = StreamGraph()
    executed = add(graph, "source")
    graph.change(executed, uid="in")
    graph.forget_executed()
    graph.change(add(graph, "source"), uid="in")
    add(graph, "sink", executed)
    with pytest.raises(GraphError, match=r"job\.py:2.*job\.py:1"):
        graph.pending().check_uids()


def test_keys_come_from_the_batch_selector_when_there_is_one() -> None:
    one = Hash(lambda record: record["k"], "k", ("k",))
    many = Hash(lambda record: 1 / 0, "k", ("k",), lambda records: [r["k"] for r in records])
    records = [{"k": 1}, {"k": 2}]
    assert one.keys_of(records) == many.keys_of(records) == [1, 2]
