"""What the runtime executes: operators chained into vertices, and the edges between those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from streamlet import drawing
from streamlet.graph import Partitioning

if TYPE_CHECKING:
    from streamlet.eventtime.watermarks import WatermarkStrategy
    from streamlet.operators.operator import Operator
    from streamlet.sink import Sink
    from streamlet.source import Source


class ChainLink(NamedTuple):
    """Where an operator's output goes inside its own vertex."""

    tag_id: str | None
    """None: the main output; else the side output of that tag id."""
    operator_index: int
    """Position of the receiver in `PlannedVertex.operators`; always greater than the sender's."""


@dataclass(frozen=True, slots=True)
class PlannedOperator:
    """One node of the graph, resolved. A source has `source` and `strategy`, and no `factory`."""

    uid: str
    name: str
    kind: str
    max_parallelism_is_explicit: bool
    """Somebody set it, so a restore may not take another (KG-7)."""
    uid_is_explicit: bool
    uid_is_ambiguous: bool
    """An automatic uid that was told from its twins by creation order alone."""
    is_stateful: bool
    is_keyed: bool
    factory: Callable[[], Operator] | None = None
    """Gives a fresh operator per subtask; None for a source."""
    source: Source[Any] | None = None
    strategy: WatermarkStrategy[Any] | None = None
    """How a source's records get timestamps and watermarks."""
    sink: Sink[Any] | None = None
    """Set beside `factory` when the operator is a sink: `recover` and `commit` are called on it."""
    outputs: tuple[ChainLink, ...] = ()
    location: str = ""
    """The user's file and line, "job.py:12"."""
    description: str = ""
    gives_columns: bool = False
    """Whether its main output is columns."""
    rows_because: str | None = None
    """Why rows begin here; None: they do not."""


@dataclass(frozen=True, slots=True)
class PlannedVertex:
    """An operator chain: a tree of operators that run in one task per subtask.

    `operators[0]` is the head and takes the input of all incoming edges; every other operator has
    exactly one sender, which stands before it.
    """

    id: int
    operators: tuple[PlannedOperator, ...]
    parallelism: int
    max_parallelism: int

    @property
    def name(self) -> str:
        return " -> ".join(operator.name for operator in self.operators)

    @property
    def head(self) -> PlannedOperator:
        return self.operators[0]

    @property
    def is_source(self) -> bool:
        return self.head.source is not None


@dataclass(frozen=True, slots=True)
class PlannedEdge:
    """A channel per pair of subtasks, from one operator of a vertex to the head of another."""

    source_vertex: int
    source_operator: int
    """Position of the sending operator in its vertex."""
    target_vertex: int
    tag_id: str | None
    partitioning: Partitioning
    carries_columns: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    """Vertices in topological order, and edges in creation order. `vertices[i].id == i`."""

    vertices: tuple[PlannedVertex, ...]
    edges: tuple[PlannedEdge, ...]
    fingerprint: str
    """A hash of the structure: kinds, uids and edges, neither names nor parallelism."""
    warnings: tuple[str, ...] = ()

    @property
    def is_bounded(self) -> bool:
        """Whether every source ends."""
        return all(op.source.bounded for op in self.operators() if op.source is not None)

    def inputs_of(self, vertex_id: int) -> tuple[PlannedEdge, ...]:
        """The edges into a vertex."""
        return tuple(edge for edge in self.edges if edge.target_vertex == vertex_id)

    def outputs_of(self, vertex_id: int) -> tuple[PlannedEdge, ...]:
        """The edges out of a vertex, from whichever of its operators."""
        return tuple(edge for edge in self.edges if edge.source_vertex == vertex_id)

    def operators(self) -> Iterator[PlannedOperator]:
        """All operators, vertex by vertex."""
        for vertex in self.vertices:
            yield from vertex.operators

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON can say it."""
        return drawing.plan_to_dict(self)

    def to_text(self) -> str:
        """The plan for a terminal."""
        return drawing.plan_to_text(self)

    def to_mermaid(self) -> str:
        """The plan as a mermaid flowchart."""
        return drawing.plan_to_mermaid(self)

    def to_dot(self) -> str:
        """The plan as a Graphviz digraph."""
        return drawing.plan_to_dot(self)
