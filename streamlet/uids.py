"""Names under which operators find their state again, and a fingerprint of the whole structure."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from streamlet.graph import StreamGraph, StreamNode


@dataclass(frozen=True, slots=True)
class Uid:
    """The uid of one operator and how it came about."""

    text: str
    is_explicit: bool
    is_ambiguous: bool = False


def assign_uids(graph: StreamGraph) -> dict[int, Uid]:
    """A uid per node id: the user's, or a hash of kind, name and the nearest stateful ancestors.

    So a stateless operator may come, go or move without any other uid changing. Twins are numbered
    in creation order and marked ambiguous, and so is whatever was named after them.
    """
    anchors = _nearest_anchors(graph)
    uids: dict[int, Uid] = {}
    twins: dict[str, list[int]] = defaultdict(list)
    depths = _depths(graph, anchors)
    # Twins have equal ancestors, so they are equally deep: level by level all twins are known
    # before anything is named after them.
    for level in range(max(depths.values(), default=-1) + 1):
        twins.clear()
        for node in (node for node in graph.nodes if depths[node.id] == level):
            ancestors = [uids[anchor] for anchor in anchors[node.id]]
            uids[node.id] = _uid_of(node, ancestors)
            if not uids[node.id].is_explicit:
                twins[uids[node.id].text].append(node.id)
        for group in twins.values():
            if len(group) > 1:
                for number, node_id in enumerate(group, start=1):
                    uids[node_id] = replace(
                        uids[node_id], text=f"{uids[node_id].text}-{number}", is_ambiguous=True
                    )
    return uids


def fingerprint(graph: StreamGraph, uids: Mapping[int, Uid]) -> str:
    """A hash of kinds, uids and edges; equal for pipelines of equal structure."""
    return _digest(
        sorted([node.kind, uids[node.id].text] for node in graph.nodes),
        sorted(
            [uids[edge.source_id].text, uids[edge.target_id].text, edge.tag_id or ""]
            for edge in graph.edges
        ),
    )


def _nearest_anchors(graph: StreamGraph) -> dict[int, tuple[int, ...]]:
    """Per node the nearest ancestors that keep state, sources included, in creation order."""
    by_id = {node.id: node for node in graph.nodes}
    anchors: dict[int, set[int]] = {node.id: set() for node in graph.nodes}
    for edge in sorted(graph.edges, key=lambda edge: edge.target_id):
        sender = by_id[edge.source_id]
        is_anchor = sender.is_stateful or sender.source is not None
        anchors[edge.target_id] |= {sender.id} if is_anchor else anchors[sender.id]
    return {node_id: tuple(sorted(found)) for node_id, found in anchors.items()}


def _depths(graph: StreamGraph, anchors: Mapping[int, tuple[int, ...]]) -> dict[int, int]:
    depths: dict[int, int] = {}
    for node in graph.nodes:
        depths[node.id] = max((depths[anchor] + 1 for anchor in anchors[node.id]), default=0)
    return depths


def _uid_of(node: StreamNode, ancestors: list[Uid]) -> Uid:
    if node.uid is not None:
        return Uid(node.uid, is_explicit=True)
    digest = _digest(node.kind, node.name, sorted(ancestor.text for ancestor in ancestors))
    text = f"{node.kind.replace(' ', '-')}-{digest[:12]}"
    return Uid(text, is_explicit=False, is_ambiguous=any(a.is_ambiguous for a in ancestors))


def _digest(*parts: Any) -> str:
    """The same in every process and every version of Python, which `hash` is not."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
