"""Which jobs run on this machine, and which ran: read from the files they leave in the home."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from streamlet.checkpoint.manifest import MANIFEST_NAME
from streamlet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job of a living process, and where its coordinator listens."""

    id: str
    name: str
    pid: int
    host: str
    port: int
    secret: str
    started_ms: int
    script: str
    entry: Path
    """The registry file; removed when the job turns out to be gone."""


@dataclass(frozen=True, slots=True)
class PastJob:
    """A run that left a record beside its checkpoints."""

    id: str
    name: str
    state: str
    started_ms: int
    ended_ms: int | None
    last_checkpoint: int | None
    savepoint: str | None = None
    """Where a stop put it."""
    failure: str | None = None
    """Why it failed, a few lines; an older version did not say."""


Job = TypeVar("Job", bound=RunningJob | PastJob)


def running_jobs(home: Path) -> list[RunningJob]:
    """Jobs whose process lives, oldest first. Entries of dead processes are removed.

    An entry that cannot be read is left alone: its job may be writing it at this moment.
    """
    jobs: list[RunningJob] = []
    for entry in sorted((home / "jobs").glob("*.json")):
        job = _running_job(entry)
        if job is None:
            continue
        if is_alive(job.pid):
            jobs.append(job)
        else:
            entry.unlink(missing_ok=True)
    return sorted(jobs, key=lambda job: job.started_ms)


def past_jobs(checkpoint_directory: Path, running: Sequence[RunningJob]) -> list[PastJob]:
    """Runs that are over, newest first. A run that never wrote its end was killed."""
    alive = {job.id for job in running}
    jobs = [job for job in _past_jobs(checkpoint_directory) if job.id not in alive]
    return sorted(jobs, key=lambda job: job.started_ms, reverse=True)


def newest_checkpoint(run: Path) -> int | None:
    """The id of the newest whole checkpoint that is kept of a run, by what is on the disk."""
    manifests = run.glob(f"chk-*/{MANIFEST_NAME}")
    ids = [manifest.parent.name.removeprefix("chk-") for manifest in manifests]
    return max((int(id_) for id_ in ids if id_.isdecimal()), default=None)


def find(jobs: Sequence[Job], reference: str) -> Job | None:
    """The job of that id, name or unique id prefix; of one name the newest.

    Raises ConfigError when a prefix fits several.
    """
    named = [job for job in jobs if reference in (job.id, job.name)]
    if named:
        return max(named, key=lambda job: job.started_ms)
    prefixed = [job for job in jobs if reference and job.id.startswith(reference)]
    if len(prefixed) > 1:
        ids = ", ".join(f"{job.id} ({job.name})" for job in prefixed[:5])
        raise ConfigError(f"{reference!r} fits several jobs: {ids}; write more of the id")
    return prefixed[0] if prefixed else None


def is_alive(pid: int) -> bool:
    """Whether a process of that id exists, ours or another user's."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _running_job(entry: Path) -> RunningJob | None:
    try:
        written = json.loads(entry.read_text(encoding="utf-8"))
        return RunningJob(
            id=str(written["id"]),
            name=str(written["name"]),
            pid=int(written["pid"]),
            host=str(written["host"]),
            port=int(written["port"]),
            secret=str(written["secret"]),
            started_ms=int(written["started_ms"]),
            script=str(written.get("script", "")),
            entry=entry,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _past_jobs(checkpoint_directory: Path) -> Iterator[PastJob]:
    for record in checkpoint_directory.glob("*/*/run.json"):
        try:
            yield _past_job(json.loads(record.read_text(encoding="utf-8")), record.parent)
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _past_job(written: dict[str, Any], run: Path) -> PastJob:
    ended_ms = written.get("ended_ms")
    last_checkpoint = written.get("last_checkpoint")
    if ended_ms is None:
        # The record of a run that was killed knows its first checkpoint only.
        last_checkpoint = newest_checkpoint(run) or last_checkpoint
    return PastJob(
        id=str(written["id"]),
        name=str(written["name"]),
        state=str(written["state"]).lower() if ended_ms is not None else "killed",
        started_ms=int(written["started_ms"]),
        ended_ms=None if ended_ms is None else int(ended_ms),
        last_checkpoint=int(last_checkpoint) if last_checkpoint else None,  # 0: none yet
        savepoint=written.get("savepoint"),
        failure=written.get("failure"),
    )
