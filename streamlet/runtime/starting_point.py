"""Finds the state a job begins with, by what its user said; the same for a run and for a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.restore import RestoreOptions
from streamlet.checkpoint.restore_plan import RestorePlan
from streamlet.checkpoint.storage import (
    CheckpointStorage,
    ResumePoint,
    find_snapshot,
    resume_point,
)
from streamlet.errors import ConfigError
from streamlet.runtime.recovery import restore_plan
from streamlet.runtime.setup import JobRequest


def starting_point(storage: CheckpointStorage, request: JobRequest) -> ResumePoint:
    """From where the job goes on: the named savepoint, its latest run, or nothing.

    Raises RestoreError when state would be lost, and ConfigError for a --map without any.
    """
    if request.savepoint is not None:
        directory = find_snapshot(Path(request.savepoint).absolute())
        return ResumePoint(directory, False, "", request.uid_map)
    point = resume_point(storage) if request.resume else ResumePoint(None, False, "")
    if point.directory is not None:
        return replace(point, uid_map={**point.uid_map, **request.uid_map})
    if request.uid_map and not point.is_finished:
        raise ConfigError(
            "--map says whose state goes to which operator, but there is no state to begin "
            "with: name a savepoint with -s, or leave --map out"
        )
    return point


def planned_restore(disk: Disk, request: JobRequest) -> RestorePlan | None:
    """What the job would begin with; None when it would begin with nothing."""
    root = request.config["execution.checkpointing.dir"].absolute()
    point = starting_point(CheckpointStorage(disk, root, request.name, "planned"), request)
    if point.directory is None:
        return None
    options = RestoreOptions(request.allow_non_restored_state, point.uid_map)
    return restore_plan(disk, request.plan, point.directory, options)
