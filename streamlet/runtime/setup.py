"""What a job is made of when it starts, and the states it goes through."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlet.plan import ExecutionPlan


class JobState(enum.Enum):
    """Where a job stands; SUSPENDED: it was interrupted and may be resumed."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"
    FINISHED = "FINISHED"
    SUSPENDED = "SUSPENDED"
    CANCELED = "CANCELED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class JobSetup:
    """What a coordinator is given."""

    name: str
    run_id: str
    plan: ExecutionPlan
    restored: Path | None
    """The checkpoint or savepoint to begin with."""
    allow_non_restored_state: bool
    later_output: str
    earlier_run_ids: list[str]
    work_directory: Path
    has_checkpoints: bool
    on_progress: Callable[[dict[str, Any]], None]
    stop_when: Callable[[], bool]
    on_checkpoint: Callable[[int], None]
