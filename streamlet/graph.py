"""The logical pipeline: one node per operator, one edge per input, checked while it is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from streamlet.errors import GraphError

if TYPE_CHECKING:
    from streamlet.eventtime.watermarks import WatermarkStrategy
    from streamlet.operators.operator import Operator
    from streamlet.sink import Sink
    from streamlet.source import Source


@dataclass(frozen=True, slots=True)
class Forward:
    """Subtask i sends to subtask i; both sides have the same parallelism."""


@dataclass(frozen=True, slots=True)
class Rebalance:
    """Round robin over all subtasks."""


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Each record to a subtask drawn at random, uniformly."""


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Every record to all subtasks."""


@dataclass(frozen=True, slots=True)
class Global:
    """Every record to the first subtask."""


@dataclass(frozen=True, slots=True)
class Hash:
    """By the key group of the record's key."""

    selector: Callable[[Any], Any]
    """Gives the raw key of a record; the sender canonicalises it."""
    description: str
    fields: tuple[str, ...] | None = None
    """The field names that make the key; None: a function or a position did."""
    batch_selector: Callable[[Sequence[Any]], list[Any]] | None = None
    """The same for many records at once, faster; None: `selector` is called for each."""

    def keys_of(self, records: Sequence[Any]) -> list[Any]:
        """The raw keys of the records, in their order."""
        if self.batch_selector is not None:
            return self.batch_selector(records)
        return [self.selector(record) for record in records]


@dataclass(frozen=True, slots=True)
class Custom:
    """To the subtask that `choose(key, parallelism)` gives, in [0, parallelism)."""

    choose: Callable[[Any, int], int]
    selector: Callable[[Any], Any]
    description: str


Partitioning: TypeAlias = Forward | Rebalance | Shuffle | Broadcast | Global | Hash | Custom

Chaining: TypeAlias = Literal["always", "head", "never"]
"""`head`: not with what is upstream; `never`: neither with that nor with what is downstream."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Records of one node's main output (`tag_id` None) or of one side output, to one node."""

    source_id: int
    target_id: int
    partitioning: Partitioning | None = None
    """None: forward if both sides have the same parallelism, else rebalance (DS-1)."""
    tag_id: str | None = None


@dataclass(frozen=True, slots=True)
class StreamNode:
    """One operator as the user wrote it; what is None is decided by the plan."""

    id: int
    kind: str
    """What it does: "source", "map", "keyed process", "window", "sink"..."""
    name: str
    location: str
    """The user's file and line, "job.py:12"."""
    factory: Callable[[], Operator] | None = None
    """Gives a fresh operator per subtask; None for a source."""
    source: Source[Any] | None = None
    strategy: WatermarkStrategy[Any] | None = None
    sink: Sink[Any] | None = None
    uid: str | None = None
    parallelism: int | None = None
    max_parallelism: int | None = None
    is_keyed: bool = False
    is_stateful: bool = False
    is_output: bool = False
    """Whether records leave the job here."""
    side_tags: frozenset[str] | None = frozenset()
    """Ids of the side outputs it can emit; None: any."""
    has_own_name: bool = False
    chaining: Chaining = "always"
    description: str = ""
    rows_because: str | None = "it calls a Python function"
    """Why its input must be Python objects; None: it takes columns, and keeps them."""
    makes_columns: bool = False
    """Whether its output is columns even if its input is rows."""

    def __str__(self) -> str:
        return f"{self.name!r} ({self.location})"


@dataclass(slots=True)
class StreamGraph:
    """Grows by one node per call of the API. Edges only ever lead to younger nodes."""

    nodes: list[StreamNode] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    _executed: int = 0

    def add(self, node: StreamNode, inputs: Sequence[Edge]) -> StreamNode:
        """Adds the node with the next id, and its input edges."""
        node = replace(node, id=len(self.nodes))
        self.nodes.append(node)
        self.edges.extend(replace(edge, target_id=node.id) for edge in inputs)
        return node

    def change(self, node_id: int, **settings: Any) -> None:
        """Sets fields of a node after checking what can be checked without the others."""
        node = replace(self.nodes[node_id], **settings)
        for field_name in ("parallelism", "max_parallelism"):
            value = getattr(node, field_name)
            if field_name in settings:
                check_parallelism(value, f"the {field_name} of {node}")
        if "uid" in settings:
            self._check_uid(node)
            if node.uid is not None and not node.has_own_name:
                node = replace(node, name=node.uid)
        self.nodes[node_id] = node

    def inputs_of(self, node_id: int) -> list[Edge]:
        return [edge for edge in self.edges if edge.target_id == node_id]

    def forget_executed(self) -> None:
        """The next execution runs what is added from now on, and whatever that reads from."""
        self._executed = len(self.nodes)

    @property
    def has_work(self) -> bool:
        """Whether anything was added since the last execution."""
        return len(self.nodes) > self._executed

    def pending(self) -> StreamGraph:
        """The part to execute, with unchanged ids: what is new, and all its ancestors."""
        wanted = {node.id for node in self.nodes[self._executed :]}
        for edge in reversed(self.edges):  # sorted by target: an edge leads to a younger node
            if edge.target_id in wanted:
                wanted.add(edge.source_id)
        return StreamGraph(
            [node for node in self.nodes if node.id in wanted],
            [edge for edge in self.edges if edge.target_id in wanted],
        )

    def check_uids(self) -> None:
        """Refuses a uid that two nodes have: new ones may have joined ones executed before."""
        first: dict[str, StreamNode] = {}
        for node in self.nodes:
            if node.uid is not None and (other := first.setdefault(node.uid, node)) is not node:
                raise _uid_taken(node, other)

    def check_destinations(self) -> None:
        """Refuses sinks of two operators that write to one place, where only one may."""
        first: dict[str, StreamNode] = {}
        for node in self.nodes:
            place = None if node.sink is None else node.sink.destination()
            if place is not None and (other := first.setdefault(place, node)) is not node:
                raise GraphError(
                    f"{node} writes to {place}, and so does {other}; each would take the other's "
                    "output for its own after a restart. Give each a place of its own, or union "
                    "the streams before one sink."
                )

    def check_side_output(self, node_id: int, tag_id: str, location: str) -> None:
        """Refuses a side output that the node can never emit."""
        node = self.nodes[node_id]
        if node.side_tags is None or tag_id in node.side_tags:
            return
        way_out = "yield (tag, value) from a process function"
        if node.kind == "window":
            way_out = "call .side_output_late_data(tag) on the window, or " + way_out
        raise GraphError(
            f"{location}: {node} has no side output {tag_id!r}: a {node.kind} cannot emit it. "
            f"To get one, {way_out}."
        )

    def _check_uid(self, node: StreamNode) -> None:
        if not isinstance(node.uid, str) or not node.uid:
            raise GraphError(f"the uid of {node} must be a non-empty string, got {node.uid!r}")
        for other in self.pending().nodes:  # what was executed before is another job
            if other.uid == node.uid and other.id != node.id:
                raise _uid_taken(node, other)


def _uid_taken(node: StreamNode, other: StreamNode) -> GraphError:
    return GraphError(
        f"uid {node.uid!r} of {node} is already taken by {other}. "
        "A uid names one operator's state; give each its own."
    )


def check_parallelism(value: object, what: str) -> None:
    """Refuses what is no parallelism."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise GraphError(f"{what} must be an int of at least 1, got {value!r}")
