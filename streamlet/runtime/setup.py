"""What a job is asked to do and made of, the states it goes through, and what became of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlet.checkpoint.restore import RestoreOptions
from streamlet.config import Configuration
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
class JobRequest:
    """What is to be run, and how."""

    plan: ExecutionPlan
    name: str
    config: Configuration
    savepoint: str | None = None
    """The savepoint or checkpoint to begin with."""
    resume: bool = False
    allow_non_restored_state: bool = False
    uid_map: Mapping[str, str] = field(default_factory=dict)
    """Uid in the savepoint to uid in the plan, for operators whose uid has changed."""
    later_output: str = "refuse"
    on_progress: Callable[[dict[str, Any]], None] | None = None
    stop_when: Callable[[], bool] | None = None
    """Ends the job normally once it is true."""
    script: str = ""
    is_recorded: bool = True
    """False: it leaves no trace in the home directory, as for `execute_and_collect`."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a job."""

    job_id: str
    state: str
    """FINISHED, SUSPENDED (interrupted, may be resumed) or CANCELED."""
    duration_ms: int
    records_in: int = 0
    """Records that the sources gave; those read again after a restart count again."""
    records_out: int = 0
    """Records that the sinks took, counted likewise."""
    restarts: int = 0
    """How often it failed and was restarted."""
    last_checkpoint: int | None = None
    """The id of the latest complete checkpoint."""
    savepoint_path: str | None = None
    """Where a stop with savepoint put it."""


@dataclass(frozen=True, slots=True)
class JobSetup:
    """What a coordinator is given."""

    name: str
    run_id: str
    plan: ExecutionPlan
    restored: Path | None
    """The checkpoint or savepoint to begin with."""
    restore_options: RestoreOptions
    """How `restored` is taken over; the run's own checkpoints need none of it."""
    later_output: str
    earlier_run_ids: list[str]
    work_directory: Path
    has_checkpoints: bool
    on_progress: Callable[[dict[str, Any]], None]
    stop_when: Callable[[], bool]
    on_checkpoint: Callable[[int], None]
    on_stop_savepoint: Callable[[], None]
    """Called in a thread before an attempt commits the savepoint of a stop that failed."""
    savepoints: Callable[[], list[tuple[str, int]]]
    """(run id, checkpoint id) of the job's savepoints whose prepared output sinks must spare."""
