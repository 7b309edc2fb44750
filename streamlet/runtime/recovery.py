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
    RestoreOptions,
    RestoringOperator,
    restored_max_parallelism,
    shares_of,
)
from streamlet.checkpoint.restore_plan import RestorePlan, plan_restore
from streamlet.plan import ExecutionPlan, PlannedOperator, PlannedVertex
from streamlet.sink import Span
from streamlet.state.keys import key_group_range


@dataclass(slots=True)
class Recovery:
    """What an attempt begins with; empty for a fresh start."""

    plan: ExecutionPlan
    checkpoint_id: int = 0
    run_ids: list[str] = field(default_factory=list)
    history: list[Span] = field(default_factory=list)
    """The checkpoints that led to this state; what they committed belongs to it."""
    keyed_state: dict[tuple[str, int], KeyedShare] = field(default_factory=dict)
    operator_state: dict[tuple[str, int], list[Any]] = field(default_factory=dict)
    committables: dict[str, list[Any]] = field(default_factory=dict)
    """By sink uid: prepared before the checkpoint; they are committed (again) first of all."""
    splits: dict[str, list[Any]] = field(default_factory=dict)
    """By source uid: [name, position] of every split not yet read to its end."""
    enumerators: dict[str, Any] = field(default_factory=dict)


def recover(disk: Disk, plan: ExecutionPlan, directory: Path, options: RestoreOptions) -> Recovery:
    """Reads the manifest, refuses what does not fit, and deals out the rest. Blocks.

    Raises RestoreError before anything is changed.
    """
    restore = restore_plan(disk, plan, directory, options)
    restore.check()
    saved = restore.restored()
    recovery = Recovery(
        _with_max_parallelism(plan, saved),
        restore.manifest.checkpoint_id,
        list(restore.manifest.run_ids),
        list(restore.manifest.history),
    )
    taken = [entry.uid for entry in saved.values()]
    read = read_operator_state(disk, directory, restore.manifest, taken)
    items = {uid: read[entry.uid] for uid, entry in saved.items() if entry.uid in read}
    must_meet = not (options.is_own or options.allow_non_restored_state)
    for vertex in recovery.plan.vertices:
        for op in vertex.operators:
            entry = saved.get(op.uid)
            if entry is not None and op.is_keyed:
                _deal_keyed(recovery, vertex, op.uid, entry, directory, must_meet)
            old_parallelism = 0 if entry is None else entry.parallelism
            _deal_items(recovery, vertex, op, items.get(op.uid, OperatorItems()), old_parallelism)
    return recovery


def restore_plan(
    disk: Disk, plan: ExecutionPlan, directory: Path, options: RestoreOptions
) -> RestorePlan:
    """What restoring the snapshot would do; reads its manifest alone."""
    manifest = read_manifest(disk, directory)
    operators = [_restoring(vertex, op) for vertex in plan.vertices for op in vertex.operators]
    return plan_restore(manifest, directory, operators, plan.fingerprint, options)


def _restoring(vertex: PlannedVertex, operator: PlannedOperator) -> RestoringOperator:
    return RestoringOperator(
        operator.uid,
        operator.name,
        operator.kind,
        vertex.parallelism,
        vertex.max_parallelism,
        operator.max_parallelism_is_explicit,
        operator.uid_is_ambiguous,
        operator.is_stateful,
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
    uid: str,
    entry: OperatorEntry,
    directory: Path,
    must_meet: bool,
) -> None:
    for subtask in range(vertex.parallelism):
        key_groups = key_group_range(subtask, vertex.parallelism, vertex.max_parallelism)
        share = shares_of(entry, directory, key_groups, must_meet=must_meet)
        recovery.keyed_state[uid, subtask] = share


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
