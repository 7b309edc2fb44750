"""A checkpoint under way: which tasks have acknowledged, and what they brought."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from streamlet.checkpoint.manifest import ScopedFile, StateEntry

TaskId: TypeAlias = tuple[int, int]
"""(vertex id, subtask index)"""


@dataclass(frozen=True, slots=True)
class OperatorAck:
    """What one subtask of one operator adds to a checkpoint."""

    files: list[ScopedFile] = field(default_factory=list)
    states: list[StateEntry] = field(default_factory=list)
    key_types: list[str] = field(default_factory=list)
    operator_state: list[Any] = field(default_factory=list)
    committables: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TaskAck:
    """What one task adds to a checkpoint, by operator uid."""

    task: TaskId
    checkpoint_id: int
    operators: dict[str, OperatorAck]


class AckResult(enum.Enum):
    """What became of an acknowledgement (CP-7)."""

    SUCCESS = "success"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"


class CheckpointKind(enum.Enum):
    """Why a checkpoint is taken, which decides where it goes and what follows."""

    PERIODIC = "checkpoint"
    SAVEPOINT = "savepoint"
    STOP_SAVEPOINT = "stop with savepoint"
    STOP_CHECKPOINT = "last checkpoint before a stop"
    FINAL = "final checkpoint"

    @property
    def is_savepoint(self) -> bool:
        return self in (CheckpointKind.SAVEPOINT, CheckpointKind.STOP_SAVEPOINT)

    @property
    def ends_job(self) -> bool:
        return self not in (CheckpointKind.PERIODIC, CheckpointKind.SAVEPOINT)

    @property
    def commits(self) -> bool:
        """Whether sinks commit when it is complete; a plain savepoint leaves that alone (SP-5)."""
        return self is not CheckpointKind.SAVEPOINT


class PendingCheckpoint:
    """Collects acknowledgements until every task has given one."""

    def __init__(
        self,
        checkpoint_id: int,
        kind: CheckpointKind,
        directory: Path,
        tasks: set[TaskId],
        started_s: float,
    ) -> None:
        self.checkpoint_id = checkpoint_id
        self.kind = kind
        self.directory = directory
        self.started_s = started_s
        self.enumerators: dict[str, Any] = {}
        self.acks: dict[TaskId, TaskAck] = {}
        self.is_durable = False
        """Its manifest is written: a restart goes on from it, whatever fails from then on."""
        self._missing = set(tasks)

    def acknowledge(self, ack: TaskAck) -> AckResult:
        """Takes one task's part."""
        if ack.checkpoint_id != self.checkpoint_id:
            return AckResult.UNKNOWN
        if ack.task in self.acks:
            return AckResult.DUPLICATE
        if ack.task not in self._missing:
            return AckResult.UNKNOWN
        self._missing.discard(ack.task)
        self.acks[ack.task] = ack
        return AckResult.SUCCESS

    @property
    def is_complete(self) -> bool:
        return not self._missing

    def missing(self) -> list[TaskId]:
        """The tasks that have not acknowledged yet."""
        return sorted(self._missing)
