"""`list status logs savepoint stop cancel`: commands about jobs that run or ran."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Any

from streamlet.cli.client import JobGoneError, ask
from streamlet.cli.failures import say
from streamlet.cli.registry import (
    PastJob,
    RunningJob,
    find,
    is_alive,
    newest_checkpoint,
    past_jobs,
    running_jobs,
)
from streamlet.cli.status import status_text
from streamlet.cli.tables import as_json, columns, duration, moment
from streamlet.clock import Clock
from streamlet.config import Configuration
from streamlet.errors import ConfigError

WATCH_S = 1.0
FOLLOW_S = 0.2
_CLEAR_SCREEN = "\x1b[H\x1b[2J"


def list_jobs(arguments: Namespace, config: Configuration, clock: Clock) -> int:
    """Prints running jobs, then past ones."""
    running, past = _jobs(config)
    checkpoints: Path = config["execution.checkpointing.dir"]
    described = [_running_entry(job, clock.now_ms(), checkpoints) for job in running]
    described += [_past_entry(job) for job in past]
    if arguments.format == "json":
        print(as_json(described))
    elif described:
        rows = [
            (
                entry["id"],
                entry["name"],
                entry["state"],
                moment(entry["started_ms"]),
                duration(entry["duration_ms"]),
                "-" if entry["last_checkpoint"] is None else str(entry["last_checkpoint"]),
            )
            for entry in described
        ]
        print(columns(("id", "name", "state", "started", "ran", "checkpoint"), rows))
    else:
        say(f"no job has run here yet (home: {config.home})")
    return 0


def status(arguments: Namespace, config: Configuration) -> int:
    """Prints what a job is doing, or how it ended."""
    job = _running_or_past(config, arguments.job)
    if isinstance(job, PastJob):
        _print_result(arguments, _past_entry(job), _past_text(job))
        return 0
    _print_status(arguments, ask(job, "status"))
    while arguments.watch:
        time.sleep(WATCH_S)
        try:
            current = ask(job, "status")
        except JobGoneError:
            say(f"job {job.id} ({job.name}) has ended")
            break
        if sys.stdout.isatty() and arguments.format == "text":
            sys.stdout.write(_CLEAR_SCREEN)
        _print_status(arguments, current)
    return 0


def logs(arguments: Namespace, config: Configuration) -> int:
    """Prints the log of a job; with -f goes on until the job ends."""
    job = _running_or_past(config, arguments.job)
    path = config.home / "logs" / job.name / f"{job.id}.log"
    if not path.is_file():
        raise ConfigError(f"job {job.id} ({job.name}) has no log at {path}")

    def may_grow() -> bool:
        is_running = isinstance(job, RunningJob) and is_alive(job.pid) and job.entry.exists()
        return bool(arguments.follow) and is_running

    lines: list[str] = []
    for text in follow(path, may_grow, time.sleep):
        if arguments.format == "json":
            lines += text.splitlines()
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    if arguments.format == "json":
        print(as_json(lines))
    return 0


def follow(
    path: Path, may_grow: Callable[[], bool], sleep: Callable[[float], None]
) -> Iterator[str]:
    """The text of the file, and what is added as long as `may_grow`."""
    with path.open(encoding="utf-8", errors="replace") as log:
        while True:
            # Asked before reading: what was written before the end is then read after it.
            goes_on = may_grow()
            if text := log.read():
                yield text
            if not goes_on:
                return
            sleep(FOLLOW_S)


def savepoint(arguments: Namespace, config: Configuration) -> int:
    """Takes a savepoint and prints its path."""
    request = {"directory": _absolute(arguments.directory)}
    # No limit of ours: the job knows when a savepoint takes too long, and says so.
    result = ask(_running(config, arguments.job), "savepoint", request, reply_timeout_s=None)
    _print_result(arguments, result, str(result["path"]))
    return 0


def stop(arguments: Namespace, config: Configuration) -> int:
    """Stops a job with a savepoint and prints its path."""
    request = {"directory": _absolute(arguments.directory), "drain": arguments.drain}
    result = ask(_running(config, arguments.job), "stop", request, reply_timeout_s=None)
    _print_result(arguments, result, str(result["path"]))
    return 0


def cancel(arguments: Namespace, config: Configuration) -> int:
    """Cancels a job."""
    job = _running(config, arguments.job)
    ask(job, "cancel")
    say(f"job {job.id} ({job.name}) is being cancelled")
    if arguments.format == "json":
        print(as_json({"id": job.id, "name": job.name}))
    return 0


def _jobs(config: Configuration) -> tuple[list[RunningJob], list[PastJob]]:
    running = running_jobs(config.home)
    return running, past_jobs(config["execution.checkpointing.dir"], running)


def _running(config: Configuration, reference: str) -> RunningJob:
    running, past = _jobs(config)
    if job := find(running, reference):
        return job
    if ended := find(past, reference):
        raise ConfigError(f"job {ended.id} ({ended.name}) does not run any more: {ended.state}")
    raise ConfigError(_unknown_job(reference, running))


def _running_or_past(config: Configuration, reference: str) -> RunningJob | PastJob:
    running, past = _jobs(config)
    job = find(running, reference) or find(past, reference)
    if job is None:
        raise ConfigError(_unknown_job(reference, running))
    return job


def _unknown_job(reference: str, running: list[RunningJob]) -> str:
    names = ", ".join(f"{job.name} ({job.id})" for job in running) or "none"
    return f"there is no job {reference!r}; running jobs: {names}"


def _absolute(directory: Path | None) -> str | None:
    """The job runs elsewhere: a relative path means what it means here."""
    return None if directory is None else str(directory.expanduser().absolute())


def _print_status(arguments: Namespace, current: dict[str, Any]) -> None:
    text = as_json(current) if arguments.format == "json" else status_text(current)
    print(text, flush=True)


def _print_result(arguments: Namespace, result: dict[str, Any], text: str) -> None:
    print(as_json(result) if arguments.format == "json" else text)


def _running_entry(job: RunningJob, now_ms: int, checkpoints: Path) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "state": "running",
        "started_ms": job.started_ms,
        "ended_ms": None,
        "duration_ms": max(0, now_ms - job.started_ms),
        "last_checkpoint": newest_checkpoint(checkpoints / job.name / job.id),
        "script": job.script,
    }


def _past_entry(job: PastJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "duration_ms": None if job.ended_ms is None else job.ended_ms - job.started_ms,
        "last_checkpoint": job.last_checkpoint,
        "savepoint": job.savepoint,
        "failure": job.failure,
    }


def _past_text(job: PastJob) -> str:
    ended = "without a record of its end" if job.ended_ms is None else f"at {moment(job.ended_ms)}"
    checkpoint = "none" if job.last_checkpoint is None else str(job.last_checkpoint)
    savepoint = "" if job.savepoint is None else f", savepoint {job.savepoint}"
    failure = "" if job.failure is None else f"\n{indent(job.failure, '  ')}"
    line = f"{job.name} ({job.id}): {job.state} {ended}, last checkpoint {checkpoint}{savepoint}"
    return line + failure
