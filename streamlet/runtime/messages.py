"""What the coordinator and its workers say to each other, and clients to the coordinator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from streamlet.checkpoint.pending import CheckpointKind, TaskAck, TaskId
from streamlet.checkpoint.restore import KeyedShare
from streamlet.plan import ExecutionPlan

Split: TypeAlias = tuple[str, Any]
"""A split and the position from which to read it (None: its beginning)."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """To a worker: run this attempt."""

    plan: ExecutionPlan
    run_id: str
    attempt: int
    next_checkpoint_id: int
    state_directory: Path
    """Where files of keyed state go."""
    work_directory: Path
    """For databases; fresh, and deleted after the attempt."""
    keyed_state: dict[tuple[str, int], KeyedShare]
    """(uid, subtask) -> the files from which its keyed state is restored."""
    operator_state: dict[tuple[str, int], list[Any]]
    """(uid, subtask) -> its share of the restored operator state."""


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    """To a worker: stop all tasks now, without results."""


@dataclass(frozen=True, slots=True)
class CloseAttempt:
    """To a worker: the job is over and everything is committed; let the tasks end."""


@dataclass(frozen=True, slots=True)
class TriggerCheckpoint:
    """To source tasks: send this barrier between two batches."""

    checkpoint_id: int
    kind: CheckpointKind
    directory: Path
    is_drain: bool
    """Before a stop: end the input first, so that windows fire."""
    keeps_state: bool
    """False: the job takes no checkpoints, and this one only makes sinks commit."""


@dataclass(frozen=True, slots=True)
class CheckpointComplete:
    """To all tasks: everything up to this checkpoint is durable and committed."""

    checkpoint_id: int


@dataclass(frozen=True, slots=True)
class CheckpointAborted:
    """To all tasks: this checkpoint will never be complete."""

    checkpoint_id: int
    latest_complete: int


@dataclass(frozen=True, slots=True)
class AssignSplits:
    """To one source task: read these too."""

    task: TaskId
    splits: list[Split]


@dataclass(frozen=True, slots=True)
class SplitsUnread:
    """To all tasks of a source: whether splits remain that nobody reads yet."""

    uid: str
    has_unread: bool


@dataclass(frozen=True, slots=True)
class NoMoreSplits:
    """To one source task: when its open splits end, its input has ended."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class TaskOpened:
    """From a task: its state is restored and its functions are open."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """From a source task: it could read one more."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class DeclineCheckpoint:
    """From a task: it could not write its part."""

    task: TaskId
    checkpoint_id: int
    reason: str
    error: Exception | None = None
    """With which the attempt cannot go on, because no later checkpoint could make up for it."""


@dataclass(frozen=True, slots=True)
class InputEnded:
    """From a task: it has processed its whole input and finished its operators."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class OperatorReport:
    """The figures of one subtask of one operator."""

    uid: str
    records_in: int
    records_out: int
    watermark_ms: int
    busy_s: float
    """Of the whole task."""
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class TaskReport:
    """From a worker, every now and then: the figures of one task."""

    task: TaskId
    operators: list[OperatorReport]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """From a worker: all tasks are closed, all threads joined."""

    attempt: int
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class SavepointRequest:
    """From a client: take a savepoint, or stop with one. The reply is its path."""

    directory: Path | None
    reply: asyncio.Future[str]
    kind: CheckpointKind = CheckpointKind.SAVEPOINT
    is_drain: bool = False


@dataclass(frozen=True, slots=True)
class InterruptRequest:
    """From a signal: take a last checkpoint and stop."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """From a client: stop now."""


ToWorker: TypeAlias = (
    Deploy
    | CancelAttempt
    | CloseAttempt
    | TriggerCheckpoint
    | CheckpointComplete
    | CheckpointAborted
    | AssignSplits
    | SplitsUnread
    | NoMoreSplits
)
ToCoordinator: TypeAlias = (
    TaskOpened
    | SplitRequest
    | TaskAck
    | DeclineCheckpoint
    | InputEnded
    | TaskReport
    | AttemptEnded
    | SavepointRequest
    | InterruptRequest
    | CancelRequest
)
ToTask: TypeAlias = (
    CloseAttempt
    | TriggerCheckpoint
    | CheckpointComplete
    | CheckpointAborted
    | AssignSplits
    | SplitsUnread
    | NoMoreSplits
)
