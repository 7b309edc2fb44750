"""The figures of a running job, gathered from its tasks: the status that people see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from streamlet.checkpoint.pending import TaskId
from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.errors import one_line
from streamlet.plan import ExecutionPlan, PlannedOperator, PlannedVertex
from streamlet.runtime.checkpoints import Checkpoints, CompletedCheckpoint
from streamlet.runtime.messages import OperatorReport, TaskReport


@dataclass(slots=True)
class _Counted:
    """What one operator counted, over all its subtasks."""

    records_in: int = 0
    records_out: int = 0
    late_dropped: int = 0

    def add(self, report: OperatorReport) -> None:
        self.records_in += report.records_in
        self.records_out += report.records_out
        self.late_dropped += int(report.metrics.get("numLateRecordsDropped", 0))


@dataclass(slots=True)
class Progress:
    """The latest report of every task of the running attempt, and what earlier ones counted."""

    started_ms: int
    """On a clock that never goes back, as what `take` is given."""
    restarts: int = 0
    last_failure: str | None = None
    """Why the job was restarted last."""
    _earlier: dict[str, _Counted] = field(default_factory=dict)
    _reports: dict[TaskId, TaskReport] = field(default_factory=dict)
    _busy: dict[TaskId, tuple[int, float, float]] = field(default_factory=dict)

    def begin_attempt(self) -> None:
        """Counts go on: records that are processed again count again."""
        for report in self._reports.values():
            for op in report.operators:
                self._earlier.setdefault(op.uid, _Counted()).add(op)
        self._reports.clear()
        self._busy.clear()

    def on_restart(self, error: BaseException) -> None:
        """The attempt failed, and there will be another."""
        self.restarts += 1
        self.last_failure = one_line(error)

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
            self._counted(vertex, vertex.head).records_out
            for vertex in plan.vertices
            if vertex.is_source
        )

    def records_out(self, plan: ExecutionPlan) -> int:
        """Records that the sinks took."""
        return sum(
            self._counted(vertex, op).records_in
            for vertex in plan.vertices
            for op in vertex.operators
            if op.sink is not None
        )

    def operators(self, plan: ExecutionPlan, now_ms: int) -> list[dict[str, Any]]:
        """One entry per operator, in the order of the plan; `now_ms` in epoch milliseconds."""
        return [
            self._operator(vertex, op, now_ms)
            for vertex in plan.vertices
            for op in vertex.operators
        ]

    def _operator(
        self, vertex: PlannedVertex, operator: PlannedOperator, now_ms: int
    ) -> dict[str, Any]:
        reports, counted = list(self._of(vertex, operator)), self._counted(vertex, operator)
        watermark_ms = min((r.watermark_ms for r in reports), default=MIN_TIMESTAMP)
        has_watermark = MIN_TIMESTAMP < watermark_ms < MAX_TIMESTAMP
        busy = [self._busy[vertex.id, i][2] for i in self._subtasks(vertex)]
        return {
            "uid": operator.uid,
            "name": operator.name,
            "parallelism": vertex.parallelism,
            "records_in": counted.records_in,
            "records_out": counted.records_out,
            "watermark_ms": watermark_ms if watermark_ms > MIN_TIMESTAMP else None,
            "watermark_lag_ms": now_ms - watermark_ms if has_watermark else None,
            "busy": max(busy, default=0.0),
            "late_dropped": counted.late_dropped,
        }

    def _counted(self, vertex: PlannedVertex, operator: PlannedOperator) -> _Counted:
        counted = replace(self._earlier.get(operator.uid, _Counted()))
        for report in self._of(vertex, operator):
            counted.add(report)
        return counted

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
