"""Reads a checkpoint or savepoint and spreads its state over the tasks of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.manifest import OperatorEntry, read_manifest
from streamlet.checkpoint.operator_state import OperatorItems, deal, read_operator_state
from streamlet.checkpoint.restore import (
    KeyedShare,
    RestoringOperator,
    check_restore,
    restored_max_parallelism,
    shares_of,
)
from streamlet.plan import ExecutionPlan, PlannedOperator, PlannedVertex
from streamlet.state.keys import key_group_range


@dataclass(slots=True)
class Recovery:
    """What an attempt begins with; empty for a fresh start."""

    plan: ExecutionPlan
    checkpoint_id: int = 0
    run_ids: list[str] = field(default_factory=list)
    keyed_state: dict[tuple[str, int], KeyedShare] = field(default_factory=dict)
    operator_state: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    committables: dict[str, list[Any]] = field(default_factory=dict)
    """By sink uid: prepared before the checkpoint; they are committed (again) first of all."""
    splits: dict[str, list[Any]] = field(default_factory=dict)
    """By source uid: [name, position] of every split not yet read to its end."""
    enumerators: dict[str, Any] = field(default_factory=dict)


def recover(
    disk: Disk, plan: ExecutionPlan, directory: Path, *, allow_non_restored_state: bool
) -> Recovery:
    """Reads the manifest, refuses what does not fit, and deals out the rest. Blocks.

    Raises RestoreError before anything is changed.
    """
    manifest = read_manifest(disk, directory)
    operators = [_restoring(vertex, op) for vertex in plan.vertices for op in vertex.operators]
    check_restore(manifest, directory, operators, plan.fingerprint, allow_non_restored_state)
    saved = {entry.uid: entry for entry in manifest.operators}
    recovery = Recovery(
        _with_max_parallelism(plan, saved),
        manifest.checkpoint_id,
        list(manifest.run_ids),
    )
    items = read_operator_state(disk, directory, manifest)
    for vertex in recovery.plan.vertices:
        for op in vertex.operators:
            _deal_keyed(recovery, vertex, op, saved.get(op.uid), directory)
            old_parallelism = saved[op.uid].parallelism if op.uid in saved else 0
            _deal_items(recovery, vertex, op, items.get(op.uid, OperatorItems()), old_parallelism)
    return recovery


def _restoring(vertex: PlannedVertex, operator: PlannedOperator) -> RestoringOperator:
    return RestoringOperator(
        operator.uid,
        operator.name,
        vertex.parallelism,
        vertex.max_parallelism,
        operator.max_parallelism_is_explicit,
        operator.uid_is_ambiguous,
    )


def _with_max_parallelism(plan: ExecutionPlan, saved: dict[str, OperatorEntry]) -> ExecutionPlan:
    """The plan with the restored max parallelism where none was set (KG-7)."""
    vertices = []
    for vertex in plan.vertices:
        entry = saved.get(vertex.head.uid)
        if entry is not None:
            restored = restored_max_parallelism(entry, _restoring(vertex, vertex.head))
            vertices.append(replace(vertex, max_parallelism=restored))
        else:
            vertices.append(vertex)
    return replace(plan, vertices=tuple(vertices))


def _deal_keyed(
    recovery: Recovery,
    vertex: PlannedVertex,
    operator: PlannedOperator,
    entry: OperatorEntry | None,
    directory: Path,
) -> None:
    if entry is None or not operator.is_keyed:
        return
    for subtask in range(vertex.parallelism):
        key_groups = key_group_range(subtask, vertex.parallelism, vertex.max_parallelism)
        recovery.keyed_state[operator.uid, subtask] = shares_of(entry, directory, key_groups)


def _deal_items(
    recovery: Recovery,
    vertex: PlannedVertex,
    operator: PlannedOperator,
    items: OperatorItems,
    old_parallelism: int,
) -> None:
    if operator.source is not None:
        # Splits go back to the coordinator, which deals them out anew at any parallelism.
        recovery.splits[operator.uid] = [list(split) for split in items.items]
        for enumerator in items.enumerator:
            recovery.splits[operator.uid] += enumerator["unread"]
            recovery.enumerators[operator.uid] = enumerator["state"]
        return
    recovery.committables[operator.uid] = items.committables
    for subtask, share in enumerate(deal(items.items, old_parallelism, vertex.parallelism)):
        recovery.operator_state[operator.uid, subtask] = share
