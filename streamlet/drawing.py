"""The plan for eyes and programs: text, dict, mermaid and dot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from streamlet.graph import (
    Broadcast,
    Custom,
    Forward,
    Global,
    Hash,
    Partitioning,
    Rebalance,
    Shuffle,
)

if TYPE_CHECKING:
    from streamlet.plan import ExecutionPlan, PlannedEdge, PlannedOperator, PlannedVertex


def plan_to_dict(plan: ExecutionPlan) -> dict[str, Any]:
    """Everything about the plan that JSON can say."""
    return {
        "fingerprint": plan.fingerprint,
        "is_bounded": plan.is_bounded,
        "vertices": [_vertex_to_dict(vertex) for vertex in plan.vertices],
        "edges": [_edge_to_dict(edge, plan) for edge in plan.edges],
        "warnings": list(plan.warnings),
    }


def plan_to_text(plan: ExecutionPlan) -> str:
    """One block per vertex: its operators with their uids, then where their records go."""
    lines = []
    for vertex in plan.vertices:
        lines.append(f"[{vertex.id}] {vertex.name}  (parallelism {vertex.parallelism})")
        width = max(len(operator.name) for operator in vertex.operators)
        lines.extend(
            f"      {operator.name:{width}}  {_describe_uid(operator)}"
            f"{', gives columns' if operator.gives_columns else ''}"
            for operator in vertex.operators
        )
        lines.extend(
            f"      => [{edge.target_vertex}]  {_describe_edge(edge)}"
            for edge in plan.outputs_of(vertex.id)
        )
    lines.extend(
        f"rows begin at {operator.name!r}{_describe_location(operator)}: {operator.rows_because}"
        for operator in plan.operators()
        if operator.rows_because is not None
    )
    lines.extend(f"warning: {warning}" for warning in plan.warnings)
    return "\n".join(lines) + "\n"


def plan_to_mermaid(plan: ExecutionPlan) -> str:
    """A mermaid flowchart, one node per vertex."""
    lines = ["flowchart LR"]
    for vertex in plan.vertices:
        names = "<br/>".join(_mermaid_text(operator.name) for operator in vertex.operators)
        lines.append(f'    v{vertex.id}["{names}<br/>x{vertex.parallelism}"]')
    lines.extend(
        f'    v{edge.source_vertex} -->|"{_mermaid_text(_describe_edge(edge))}"| '
        f"v{edge.target_vertex}"
        for edge in plan.edges
    )
    return "\n".join(lines) + "\n"


def plan_to_dot(plan: ExecutionPlan) -> str:
    """A Graphviz digraph, one node per vertex."""
    lines = ["digraph plan {", "    rankdir=LR; node [shape=box];"]
    for vertex in plan.vertices:
        names = "\\n".join(_dot_text(operator.name) for operator in vertex.operators)
        lines.append(f'    v{vertex.id} [label="{names}\\nx{vertex.parallelism}"];')
    lines.extend(
        f"    v{edge.source_vertex} -> v{edge.target_vertex} "
        f'[label="{_dot_text(_describe_edge(edge))}"];'
        for edge in plan.edges
    )
    return "\n".join([*lines, "}"]) + "\n"


def describe_partitioning(partitioning: Partitioning) -> str:
    """The partitioning in a word or two: "hash by user"."""
    match partitioning:
        case Hash(description=description):
            return f"hash by {description}"
        case Custom(description=description):
            return f"custom by {description}"
        case Forward() | Rebalance() | Shuffle() | Broadcast() | Global():
            return type(partitioning).__name__.lower()
        case _:
            assert_never(partitioning)


def _vertex_to_dict(vertex: PlannedVertex) -> dict[str, Any]:
    return {
        "id": vertex.id,
        "name": vertex.name,
        "parallelism": vertex.parallelism,
        "max_parallelism": vertex.max_parallelism,
        "is_source": vertex.is_source,
        "operators": [_operator_to_dict(operator) for operator in vertex.operators],
    }


def _operator_to_dict(operator: PlannedOperator) -> dict[str, Any]:
    return {
        "uid": operator.uid,
        "uid_is_explicit": operator.uid_is_explicit,
        "uid_is_ambiguous": operator.uid_is_ambiguous,
        "name": operator.name,
        "kind": operator.kind,
        "is_stateful": operator.is_stateful,
        "is_keyed": operator.is_keyed,
        "location": operator.location,
        "description": operator.description,
        "gives_columns": operator.gives_columns,
        "rows_because": operator.rows_because,
        "outputs": [
            {"operator": link.operator_index, "side_output": link.tag_id}
            for link in operator.outputs
        ],
    }


def _edge_to_dict(edge: PlannedEdge, plan: ExecutionPlan) -> dict[str, Any]:
    return {
        "source": edge.source_vertex,
        "source_uid": plan.vertices[edge.source_vertex].operators[edge.source_operator].uid,
        "target": edge.target_vertex,
        "partitioning": describe_partitioning(edge.partitioning),
        "side_output": edge.tag_id,
        "columns": edge.carries_columns,
    }


def _describe_uid(operator: PlannedOperator) -> str:
    if operator.uid_is_explicit:
        return f"uid {operator.uid}"
    return f"uid {operator.uid} (automatic{', ambiguous' if operator.uid_is_ambiguous else ''})"


def _describe_location(operator: PlannedOperator) -> str:
    return f" ({operator.location})" if operator.location else ""


def _describe_edge(edge: PlannedEdge) -> str:
    words = [describe_partitioning(edge.partitioning)]
    if edge.tag_id is not None:
        words.append(f"side output {edge.tag_id}")
    if edge.carries_columns:
        words.append("columns")
    return ", ".join(words)


def _mermaid_text(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _dot_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
