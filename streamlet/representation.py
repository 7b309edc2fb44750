"""Which edges carry columns, and where and why rows begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamlet.graph import Custom, Edge, Hash, StreamNode


@dataclass(frozen=True, slots=True)
class Representation:
    """Whether records travel as columns or as rows, by node id."""

    gives_columns: Mapping[int, bool]
    """Whether the node's main output is columns."""
    rows_because: Mapping[int, str | None]
    """Why rows begin at the node; None: they do not."""
    _takes_columns: Mapping[int, bool]

    def carries_columns(self, edge: Edge) -> bool:
        """Whether records go along this edge as columns."""
        return (
            self.gives_columns[edge.source_id]
            and self._takes_columns[edge.target_id]
            and _rows_because(edge) is None
        )


def represent(nodes: Sequence[StreamNode], edges: Sequence[Edge]) -> Representation:
    """Columns from sources that read columns, up to the first operator that needs objects.

    Nodes must be in topological order. A source behind which all operators need objects makes
    rows itself: then it can do so in batches of the size that suits rows.
    """
    takes = {node.id: node.rows_because is None and node.source is None for node in nodes}
    could: dict[int, bool] = {}
    for node in nodes:
        inputs = [edge for edge in edges if edge.target_id == node.id]
        could[node.id] = (
            _source_rows_because(node) is None
            if node.source is not None
            else node.makes_columns
            or (takes[node.id] and any(_may_carry(edge, could) for edge in inputs))
        )
    gives = {
        node.id: could[node.id]
        and not node.is_output
        and (
            node.source is None
            or any(
                takes[edge.target_id] and _may_carry(edge, could)
                for edge in edges
                if edge.source_id == node.id
            )
        )
        for node in nodes
    }
    because = {node.id: _why_rows_begin(node, edges, could) for node in nodes}
    return Representation(gives, because, takes)


def _may_carry(edge: Edge, could: Mapping[int, bool]) -> bool:
    return could[edge.source_id] and _rows_because(edge) is None


def _rows_because(edge: Edge) -> str | None:
    """Why the edge itself makes rows."""
    if edge.tag_id is not None:
        return "side outputs are rows"
    match edge.partitioning:
        case Hash(fields=None, description=description):
            return f"its key is made by {description}, not by fields"
        case Custom(description=description):
            return f"partition_custom chooses by {description}"
    return None


def _source_rows_because(node: StreamNode) -> str | None:
    assert node.source is not None
    if node.source.rows_because is not None or node.strategy is None:
        return node.source.rows_because
    return node.strategy.rows_because


def _why_rows_begin(
    node: StreamNode, edges: Sequence[Edge], could: Mapping[int, bool]
) -> str | None:
    if node.source is not None:
        return _source_rows_because(node)
    for edge in edges:
        if edge.target_id == node.id and edge.tag_id is None and could[edge.source_id]:
            reason = node.rows_because or _rows_because(edge)
            if reason is not None:
                return reason
    return None
