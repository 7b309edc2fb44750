"""Automatic uids (SP-2): which changes of a pipeline keep them, and when they are ambiguous."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet.graph import Edge, StreamGraph, StreamNode
from streamlet.uids import Uid, assign_uids, fingerprint


def build(*nodes: tuple[str, str, list[int], dict[str, Any]]) -> StreamGraph:
    """A graph of (kind, name, inputs, fields)."""
    graph = StreamGraph()
    for kind, name, inputs, fields in nodes:
        node = StreamNode(id=-1, kind=kind, name=name, location="job.py:1", **fields)
        graph.add(node, [Edge(source_id, -1) for source_id in inputs])
    return graph


STATEFUL = {"is_stateful": True}


def by_name(graph: StreamGraph) -> dict[str, Uid]:
    uids = assign_uids(graph)
    return {node.name: uids[node.id] for node in graph.nodes}


def test_explicit_uid_is_used_as_it_is() -> None:
    graph = build(("source", "clicks", [], {"uid": "my clicks", **STATEFUL}))
    assert assign_uids(graph) == {0: Uid("my clicks", is_explicit=True)}


def test_automatic_uid_is_the_same_in_every_process() -> None:
    graph = build(("source", "clicks", [], STATEFUL), ("keyed process", "count", [0], STATEFUL))
    assert {name: uid.text for name, uid in by_name(graph).items()} == {
        "clicks": "source-9918cb523d81",
        "count": "keyed-process-34b00a05ffb6",
    }


def test_stateless_operators_may_come_and_go_without_changing_other_uids() -> None:
    before = build(("source", "in", [], STATEFUL), ("reduce", "sum", [0], STATEFUL))
    after = build(
        ("source", "in", [], STATEFUL),
        ("map", "parse", [0], {}),
        ("filter", "keep", [1], {}),
        ("reduce", "sum", [2], STATEFUL),
    )
    assert by_name(before)["sum"] == by_name(after)["sum"]


def test_parallelism_and_chaining_do_not_change_uids() -> None:
    plain = build(("source", "in", [], STATEFUL))
    tuned = build(("source", "in", [], {"parallelism": 4, "chaining": "never", **STATEFUL}))
    assert assign_uids(plain) == assign_uids(tuned)


def test_stateful_operator_in_between_changes_what_follows() -> None:
    before = build(("source", "in", [], STATEFUL), ("reduce", "sum", [0], STATEFUL))
    after = build(
        ("source", "in", [], STATEFUL),
        ("window", "w", [0], STATEFUL),
        ("reduce", "sum", [1], STATEFUL),
    )
    assert by_name(before)["sum"] != by_name(after)["sum"]


def test_twins_are_numbered_in_creation_order_and_so_are_their_heirs() -> None:
    graph = build(
        ("source", "in", [], STATEFUL),
        ("reduce", "sum", [0], STATEFUL),
        ("reduce", "sum", [0], STATEFUL),
        ("window", "w", [1], STATEFUL),
        ("window", "v", [0], STATEFUL),
    )
    uids = assign_uids(graph)
    assert uids[1].text.removesuffix("-1") == uids[2].text.removesuffix("-2")
    assert [uids[i].is_ambiguous for i in range(5)] == [False, True, True, True, False]


def test_explicit_uid_ends_the_ambiguity() -> None:
    graph = build(
        ("source", "in", [], STATEFUL),
        ("reduce", "sum", [0], {"uid": "a", **STATEFUL}),
        ("reduce", "sum", [0], STATEFUL),
        ("window", "w", [1], STATEFUL),
    )
    assert not any(uid.is_ambiguous for uid in assign_uids(graph).values())


def test_fingerprint_tells_structures_apart_but_not_scales() -> None:
    plain = build(("source", "in", [], STATEFUL), ("map", "a", [0], {}))
    scaled = build(("source", "in", [], STATEFUL), ("map", "a", [0], {"parallelism": 3}))
    longer = build(("source", "in", [], STATEFUL), ("map", "a", [0], {}), ("map", "b", [1], {}))
    prints = [fingerprint(graph, assign_uids(graph)) for graph in (plain, scaled, longer)]
    assert prints[0] == prints[1] != prints[2]


@settings(max_examples=50)
@given(st.data())
def test_uids_of_a_job_are_unique_whatever_its_shape(data: st.DataObject) -> None:
    graph = StreamGraph()
    for node_id in range(data.draw(st.integers(1, 12))):
        inputs = data.draw(st.sets(st.integers(0, node_id - 1))) if node_id else set()
        node = StreamNode(
            id=-1,
            kind=data.draw(st.sampled_from(["map", "reduce"])),
            name=data.draw(st.sampled_from(["a", "b"])),
            location="job.py:1",
            is_stateful=data.draw(st.booleans()),
        )
        graph.add(node, [Edge(source_id, -1) for source_id in sorted(inputs)])
    texts = [uid.text for uid in assign_uids(graph).values()]
    assert len(texts) == len(graph.nodes) == len(set(texts))
