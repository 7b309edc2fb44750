"""The figures of a running job, gathered from its tasks: the status that people see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from streamlet.checkpoint.pending import TaskId
from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.plan import ExecutionPlan, PlannedOperator, PlannedVertex
from streamlet.runtime.checkpoints import Checkpoints, CompletedCheckpoint
from streamlet.runtime.messages import OperatorReport, TaskReport


@dataclass(slots=True)
class Progress:
    """The latest report of every task of the running attempt."""

    started_ms: int
    _reports: dict[TaskId, TaskReport] = field(default_factory=dict)
    _busy: dict[TaskId, tuple[int, float, float]] = field(default_factory=dict)

    def begin_attempt(self) -> None:
        """Figures are per attempt: records processed again count again, not on top."""
        self._reports.clear()
        self._busy.clear()

    def take(self, report: TaskReport, now_ms: int) -> None:
        """A task's new figures."""
        busy_s = report.operators[0].busy_s
        since_ms, before_s, _ = self._busy.get(report.task, (self.started_ms, 0.0, 0.0))
        elapsed_s = max(now_ms - since_ms, 1) / 1_000
        self._busy[report.task] = (now_ms, busy_s, min(1.0, (busy_s - before_s) / elapsed_s))
        self._reports[report.task] = report

    def records_in(self, plan: ExecutionPlan) -> int:
        """Records that the sources gave."""
        return sum(
            sum(report.records_out for report in self._of(vertex, vertex.head))
            for vertex in plan.vertices
            if vertex.is_source
        )

    def records_out(self, plan: ExecutionPlan) -> int:
        """Records that the sinks took."""
        return sum(
            sum(report.records_in for report in self._of(vertex, op))
            for vertex in plan.vertices
            for op in vertex.operators
            if op.sink is not None
        )

    def operators(self, plan: ExecutionPlan, now_ms: int) -> list[dict[str, Any]]:
        """One entry per operator, in the order of the plan."""
        return [
            self._operator(vertex, op, now_ms)
            for vertex in plan.vertices
            for op in vertex.operators
        ]

    def _operator(
        self, vertex: PlannedVertex, operator: PlannedOperator, now_ms: int
    ) -> dict[str, Any]:
        reports = list(self._of(vertex, operator))
        watermark_ms = min((r.watermark_ms for r in reports), default=MIN_TIMESTAMP)
        has_watermark = MIN_TIMESTAMP < watermark_ms < MAX_TIMESTAMP
        busy = [self._busy[vertex.id, i][2] for i in self._subtasks(vertex)]
        return {
            "uid": operator.uid,
            "name": operator.name,
            "parallelism": vertex.parallelism,
            "records_in": sum(r.records_in for r in reports),
            "records_out": sum(r.records_out for r in reports),
            "watermark_ms": watermark_ms if watermark_ms > MIN_TIMESTAMP else None,
            "watermark_lag_ms": now_ms - watermark_ms if has_watermark else None,
            "busy": max(busy, default=0.0),
            "late_dropped": sum(int(r.metrics.get("numLateRecordsDropped", 0)) for r in reports),
        }

    def _of(self, vertex: PlannedVertex, operator: PlannedOperator) -> Iterable[OperatorReport]:
        position = vertex.operators.index(operator)
        for subtask in self._subtasks(vertex):
            yield self._reports[vertex.id, subtask].operators[position]

    def _subtasks(self, vertex: PlannedVertex) -> list[int]:
        return [i for i in range(vertex.parallelism) if (vertex.id, i) in self._reports]


def checkpoint_status(checkpoints: Checkpoints) -> dict[str, Any]:
    """How the checkpoints stand."""
    return {
        "last_checkpoint": _completed(checkpoints.latest),
        "checkpoints": {
            "completed": checkpoints.completed_count,
            "failed": checkpoints.failed_count,
        },
    }


def _completed(latest: CompletedCheckpoint | None) -> dict[str, Any] | None:
    if latest is None:
        return None
    return {
        "id": latest.checkpoint_id,
        "duration_ms": latest.duration_ms,
        "size_bytes": latest.size_bytes,
        "completed_ms": latest.completed_ms,
    }
