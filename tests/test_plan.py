"""The plan itself: what the runtime and eyes get to see of it."""

from __future__ import annotations

import json

from streamlet.graph import Edge, Hash, Shuffle, StreamGraph, StreamNode
from streamlet.plan import ExecutionPlan
from streamlet.planner import PlanDefaults, plan_graph


def sessions_plan() -> ExecutionPlan:
    """clicks -> parse => by user => sessions -> out, and its late records shuffled to a print."""
    graph = StreamGraph()
    nodes = [
        StreamNode(-1, "source", "clicks", "job.py:1", uid="clicks"),
        StreamNode(-1, "map", "parse", "job.py:2"),
        StreamNode(-1, "window", "sessions", "job.py:3", uid="sessions", is_stateful=True),
        StreamNode(-1, "sink", "out", "job.py:4", is_output=True),
        StreamNode(-1, "sink", 'print "late"', "job.py:5", is_output=True),
    ]
    edges = [
        [],
        [Edge(0, -1)],
        [Edge(1, -1, Hash(lambda record: record, "user", ("user",)))],
        [Edge(2, -1)],
        [Edge(2, -1, Shuffle(), "late")],
    ]
    for node, inputs in zip(nodes, edges, strict=True):
        graph.add(node, inputs)
    return plan_graph(graph, PlanDefaults(parallelism=2))


def test_edges_are_found_from_both_ends() -> None:
    plan = sessions_plan()
    assert [vertex.name for vertex in plan.vertices] == [
        "clicks -> parse",
        "sessions -> out",
        'print "late"',
    ]
    assert [edge.target_vertex for edge in plan.outputs_of(0)] == [1]
    assert [edge.source_vertex for edge in plan.inputs_of(2)] == [1]
    assert plan.inputs_of(0) == ()
    assert [operator.name for operator in plan.operators()][:2] == ["clicks", "parse"]


def test_text_shows_vertices_operators_uids_and_edges() -> None:
    lines = sessions_plan().to_text().splitlines()
    assert lines[0] == "[0] clicks -> parse  (parallelism 2)"
    assert lines[1] == "      clicks  uid clicks"
    assert lines[2].startswith("      parse   uid map-")
    assert lines[2].endswith("(automatic)")
    assert lines[3] == "      => [1]  hash by user"
    assert lines[7] == "      => [2]  shuffle, side output late"


def test_mermaid_draws_a_node_per_vertex_and_escapes_names() -> None:
    lines = sessions_plan().to_mermaid().splitlines()
    assert lines == [
        "flowchart LR",
        '    v0["clicks<br/>parse<br/>x2"]',
        '    v1["sessions<br/>out<br/>x2"]',
        '    v2["print #quot;late#quot;<br/>x2"]',
        '    v0 -->|"hash by user"| v1',
        '    v1 -->|"shuffle, side output late"| v2',
    ]


def test_dot_draws_a_node_per_vertex_and_escapes_names() -> None:
    text = sessions_plan().to_dot()
    assert r'v0 [label="clicks\nparse\nx2"];' in text
    assert r'v2 [label="print \"late\"\nx2"];' in text
    assert 'v0 -> v1 [label="hash by user"];' in text
    assert text.startswith("digraph plan {")
    assert text.endswith("}\n")


def test_dict_is_json_and_says_everything() -> None:
    plan = json.loads(json.dumps(sessions_plan().to_dict()))
    assert plan["vertices"][1]["max_parallelism"] == 128
    assert plan["vertices"][1]["operators"][0]["outputs"] == [{"operator": 1, "side_output": None}]
    assert plan["edges"][1] == {
        "source": 1,
        "source_uid": "sessions",
        "target": 2,
        "partitioning": "shuffle",
        "side_output": "late",
        "columns": False,
    }
