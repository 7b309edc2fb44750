"""Makes an acknowledged checkpoint durable: operator state, then the manifest, with which it is."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamlet import __version__
from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.manifest import Manifest, OperatorEntry, write_manifest
from streamlet.checkpoint.operator_state import (
    OperatorItems,
    flatten,
    list_states,
    write_operator_state,
)
from streamlet.checkpoint.pending import CheckpointKind, OperatorAck, PendingCheckpoint
from streamlet.clock import Clock
from streamlet.plan import ExecutionPlan, PlannedVertex
from streamlet.sink import Span
from streamlet.state.schemas import merged_entries


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Whose checkpoints they are, and how they are taken."""

    job_name: str
    run_id: str
    interval_ms: int | None
    """None: none are taken, but savepoints may be."""
    timeout_ms: int
    min_pause_ms: int
    tolerable_failures: int
    retained: int
    savepoints: Path
    """Where savepoints go unless the request says otherwise."""
    on_savepoint: Callable[[int, Path], None]
    """Called in a thread before the savepoint of that checkpoint id and directory is written."""
    on_stop_savepoint: Callable[[], None]
    """Called in a thread when the savepoint of a stop is durable, before sinks commit it."""

    def keeps_state(self, kind: CheckpointKind) -> bool:
        """Whether a checkpoint of this kind is written; if not, it only makes sinks commit."""
        return self.interval_ms is not None or kind.is_savepoint


@dataclass(frozen=True, slots=True)
class Past:
    """What led to a checkpoint."""

    run_ids: list[str]
    """Runs, oldest first, its own included."""
    history: list[Span]
    """Their checkpoints that it goes back to, itself included."""


class CheckpointWriter:
    """Writes what the coordinator has of the checkpoints of one run. All of it blocks."""

    def __init__(self, settings: CheckpointSettings, disk: Disk, clock: Clock, state: Path) -> None:
        self._settings = settings
        self._disk = disk
        self._clock = clock
        self._state = state
        """Where the tasks write keyed state for checkpoints."""

    def write(
        self,
        pending: PendingCheckpoint,
        items: dict[str, OperatorItems],
        plan: ExecutionPlan,
        past: Past,
    ) -> tuple[Path | None, int]:
        """The directory and its size in bytes; None and 0 if the job takes no checkpoints."""
        if not self._settings.keeps_state(pending.kind):
            return None, 0
        directory = pending.directory
        file = write_operator_state(self._disk, directory, items, pending.checkpoint_id)
        manifest = Manifest(
            checkpoint_id=pending.checkpoint_id,
            kind="savepoint" if pending.kind.is_savepoint else "checkpoint",
            engine_version=__version__,
            python_version=platform.python_version(),
            job_name=self._settings.job_name,
            run_ids=past.run_ids,
            fingerprint=plan.fingerprint,
            created_ms=self._clock.now_ms(),
            operators=[
                _operator_entry(vertex, position, pending, items)
                for vertex in plan.vertices
                for position in range(len(vertex.operators))
            ],
            operator_state=file,
            history=past.history,
        )
        if not pending.kind.is_savepoint:
            # The tasks' files are durable, but not yet that the directory names them.
            self._disk.sync_directory(self._state)
        write_manifest(self._disk, directory, manifest)
        return directory, manifest.size_bytes()


def operator_items(pending: PendingCheckpoint, plan: ExecutionPlan) -> dict[str, OperatorItems]:
    """Operator state of a complete checkpoint by uid, subtasks in their order."""
    items = {}
    for vertex in plan.vertices:
        for op in vertex.operators:
            acks = [_ack_of(pending, vertex, i, op.uid) for i in range(vertex.parallelism)]
            enumerator = pending.enumerators.get(op.uid)
            items[op.uid] = OperatorItems(
                flatten(ack.operator_state for ack in acks),
                flatten(ack.committables for ack in acks),
                [] if enumerator is None else [enumerator],
            )
    return items


def _ack_of(
    pending: PendingCheckpoint, vertex: PlannedVertex, subtask: int, uid: str
) -> OperatorAck:
    return pending.acks[vertex.id, subtask].operators.get(uid, OperatorAck())


def _operator_entry(
    vertex: PlannedVertex,
    position: int,
    pending: PendingCheckpoint,
    items: dict[str, OperatorItems],
) -> OperatorEntry:
    op = vertex.operators[position]
    acks = [_ack_of(pending, vertex, i, op.uid) for i in range(vertex.parallelism)]
    return OperatorEntry(
        uid=op.uid,
        name=op.name,
        kind=op.kind,
        parallelism=vertex.parallelism,
        max_parallelism=vertex.max_parallelism,
        uid_is_explicit=op.uid_is_explicit,
        uid_is_ambiguous=op.uid_is_ambiguous,
        states=[
            *merged_entries(entry for ack in acks for entry in ack.states),
            *list_states(items[op.uid]),
        ],
        subtasks=[ack.files for ack in acks] if op.is_keyed else [],
        item_count=items[op.uid].count(),
        key_types=sorted({name for ack in acks for name in ack.key_types}),
    )
