"""From the logical graph to the plan: parallelism, chains, uids, and what can be refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamlet.errors import GraphError
from streamlet.graph import Edge, Forward, Partitioning, Rebalance, StreamGraph, StreamNode
from streamlet.plan import (
    ChainLink,
    ExecutionPlan,
    PlannedEdge,
    PlannedOperator,
    PlannedVertex,
)
from streamlet.representation import Representation, represent
from streamlet.state.keys import MAX_MAX_PARALLELISM, default_max_parallelism
from streamlet.uids import Uid, assign_uids, fingerprint


@dataclass(frozen=True, slots=True)
class PlanDefaults:
    """What holds for operators that say nothing themselves."""

    parallelism: int = 1
    max_parallelism: int | None = None
    """None: derived from the greatest parallelism in the job (KG-4)."""
    is_chaining_enabled: bool = True


def plan_graph(graph: StreamGraph, defaults: PlanDefaults) -> ExecutionPlan:
    """The plan of the whole graph; raises GraphError for what cannot run."""
    _check_has_output(graph)
    graph.check_uids()
    graph.check_destinations()
    parallelism = {node.id: node.parallelism or defaults.parallelism for node in graph.nodes}
    max_parallelism = _resolve_max_parallelism(graph, parallelism, defaults)
    edges = [_resolve_edge(edge, graph, parallelism) for edge in graph.edges]
    scales = {id_: (parallelism[id_], max_parallelism[id_]) for id_ in parallelism}
    chains = _find_chains(graph, edges, scales, defaults.is_chaining_enabled)
    uids = assign_uids(graph)
    representation = represent(graph.nodes, edges)
    places = {
        node_id: (vertex_id, index)
        for vertex_id, chain in enumerate(chains)
        for index, node_id in enumerate(chain)
    }
    by_id = {node.id: node for node in graph.nodes}
    vertices = [
        PlannedVertex(
            vertex_id,
            tuple(
                _plan_operator(
                    by_id[node_id],
                    uids[node_id],
                    _links(node_id, edges, places),
                    defaults,
                    representation,
                )
                for node_id in chain
            ),
            *scales[chain[0]],
        )
        for vertex_id, chain in enumerate(chains)
    ]
    return ExecutionPlan(
        tuple(vertices),
        tuple(_planned_edges(edges, places, representation)),
        fingerprint(graph, uids),
        tuple(_warnings(graph.nodes, uids)),
    )


def _check_has_output(graph: StreamGraph) -> None:
    if not graph.nodes:
        raise GraphError(
            "there is nothing to execute: start with env.from_source(...) or "
            "env.from_collection(...), and end with .sink_to(...) or .print()"
        )
    if not any(node.is_output for node in graph.nodes):
        last = graph.nodes[-1]
        raise GraphError(
            f"the pipeline has no sink, so its results would go nowhere; its last operator is "
            f"{last}. End it with .sink_to(...) or .print(), or call .execute_and_collect()."
        )


def _resolve_max_parallelism(
    graph: StreamGraph, parallelism: Mapping[int, int], defaults: PlanDefaults
) -> dict[int, int]:
    job_wide = defaults.max_parallelism or default_max_parallelism(max(parallelism.values()))
    resolved = {node.id: node.max_parallelism or job_wide for node in graph.nodes}
    for node in graph.nodes:
        if resolved[node.id] > MAX_MAX_PARALLELISM:
            raise GraphError(
                f"the max parallelism of {node} is {resolved[node.id]}; "
                f"at most {MAX_MAX_PARALLELISM} is possible"
            )
        if parallelism[node.id] > resolved[node.id]:
            raise GraphError(
                f"the parallelism of {node} is {parallelism[node.id]}, more than its max "
                f"parallelism {resolved[node.id]}. Lower one or raise the other (KG-8)."
            )
    return resolved


def _resolve_edge(edge: Edge, graph: StreamGraph, parallelism: Mapping[int, int]) -> Edge:
    """DS-1: the same edge with a partitioning, which is never None afterwards."""
    sender, receiver = parallelism[edge.source_id], parallelism[edge.target_id]
    if isinstance(edge.partitioning, Forward) and sender != receiver:
        nodes = {node.id: node for node in graph.nodes}
        raise GraphError(
            f"forward() needs the same parallelism on both sides, but {nodes[edge.source_id]} has "
            f"{sender} and {nodes[edge.target_id]} has {receiver}. "
            "Use rebalance(), or set the same parallelism."
        )
    default: Partitioning = Forward() if sender == receiver else Rebalance()
    return Edge(edge.source_id, edge.target_id, edge.partitioning or default, edge.tag_id)


def _find_chains(
    graph: StreamGraph,
    edges: Iterable[Edge],
    scales: Mapping[int, tuple[int, int]],
    is_enabled: bool,
) -> list[list[int]]:
    """Node ids per vertex, heads first. In creation order, hence in topological order."""
    inputs: dict[int, list[Edge]] = {node.id: [] for node in graph.nodes}
    for edge in edges:
        inputs[edge.target_id].append(edge)
    by_id = {node.id: node for node in graph.nodes}
    chains: list[list[int]] = []
    chain_of: dict[int, list[int]] = {}
    for node in graph.nodes:
        if is_enabled and _may_chain(node, inputs[node.id], by_id, scales):
            chain = chain_of[inputs[node.id][0].source_id]
        else:
            chain = []
            chains.append(chain)
        chain.append(node.id)
        chain_of[node.id] = chain
    return chains


def _may_chain(
    node: StreamNode,
    inputs: list[Edge],
    by_id: Mapping[int, StreamNode],
    scales: Mapping[int, tuple[int, int]],
) -> bool:
    """DS-4: one input, forward, the same scale, and neither side is against it."""
    if len(inputs) != 1 or node.chaining != "always":
        return False
    upstream = by_id[inputs[0].source_id]
    return (
        isinstance(inputs[0].partitioning, Forward)
        and scales[upstream.id] == scales[node.id]
        and upstream.chaining != "never"
    )


def _links(
    node_id: int, edges: Iterable[Edge], places: Mapping[int, tuple[int, int]]
) -> tuple[ChainLink, ...]:
    """Where the node's output goes inside its own vertex: an edge to a non-head is always that."""
    return tuple(
        ChainLink(edge.tag_id, places[edge.target_id][1])
        for edge in edges
        if edge.source_id == node_id and places[edge.target_id][1] > 0
    )


def _planned_edges(
    edges: Iterable[Edge],
    places: Mapping[int, tuple[int, int]],
    representation: Representation,
) -> Iterable[PlannedEdge]:
    for edge in edges:
        target_vertex, target_operator = places[edge.target_id]
        if target_operator == 0 and edge.partitioning is not None:
            source_vertex, source_operator = places[edge.source_id]
            yield PlannedEdge(
                source_vertex,
                source_operator,
                target_vertex,
                edge.tag_id,
                edge.partitioning,
                representation.carries_columns(edge),
            )


def _plan_operator(
    node: StreamNode,
    uid: Uid,
    links: tuple[ChainLink, ...],
    defaults: PlanDefaults,
    representation: Representation,
) -> PlannedOperator:
    is_max_explicit = (node.max_parallelism or defaults.max_parallelism) is not None
    return PlannedOperator(
        uid=uid.text,
        name=node.name,
        kind=node.kind,
        max_parallelism_is_explicit=is_max_explicit,
        uid_is_explicit=uid.is_explicit,
        uid_is_ambiguous=uid.is_ambiguous,
        is_stateful=node.is_stateful,
        is_keyed=node.is_keyed,
        factory=node.factory,
        source=node.source,
        strategy=node.strategy,
        sink=node.sink,
        outputs=links,
        location=node.location,
        description=node.description,
        gives_columns=representation.gives_columns[node.id],
        rows_because=representation.rows_because[node.id],
    )


def _warnings(nodes: Iterable[StreamNode], uids: Mapping[int, Uid]) -> Iterable[str]:
    unnamed = [str(node) for node in nodes if node.is_stateful and _needs_uid(node, uids[node.id])]
    if unnamed:
        yield (
            f"no uid on {', '.join(unnamed)}: their state is found again only while the pipeline "
            "around them stays as it is. Add .uid('...') to each."
        )


def _needs_uid(node: StreamNode, uid: Uid) -> bool:
    """A source's automatic uid hangs on its name alone, which will do unless it has a twin."""
    return not uid.is_explicit and (node.source is None or uid.is_ambiguous)
