"""Running and past jobs, as they are found in the home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlet.cli.registry import PastJob, find, is_alive, past_jobs, running_jobs
from streamlet.errors import ConfigError

WriteEntry = Callable[..., Path]


@pytest.fixture(scope="module")
def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write_record(checkpoints: Path, **record: Any) -> None:
    directory = checkpoints / record["name"] / record["id"]
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps(record))


def test_living_jobs_are_listed_oldest_first(home: Path, write_entry: WriteEntry) -> None:
    write_entry("younger", started_ms=2)
    write_entry("older", started_ms=1)
    assert [job.id for job in running_jobs(home)] == ["older", "younger"]


def test_entry_of_a_dead_process_is_removed(
    home: Path, write_entry: WriteEntry, dead_pid: int
) -> None:
    stale = write_entry("stale", pid=dead_pid)
    alive = write_entry("alive")
    assert [job.id for job in running_jobs(home)] == ["alive"]
    assert not stale.exists()
    assert alive.exists()


@pytest.mark.parametrize(
    "text", ["", '{"id": "x"', "[]", '{"id": "x"}', '{"id": null, "pid": "p"}']
)
def test_unreadable_entry_is_left_alone(home: Path, text: str) -> None:
    entry = home / "jobs" / "half.json"
    entry.parent.mkdir()
    entry.write_text(text)
    assert running_jobs(home) == []
    assert entry.exists()


def test_home_without_jobs_has_none(home: Path) -> None:
    assert running_jobs(home) == []
    assert past_jobs(home / "checkpoints", []) == []


def test_past_jobs_are_listed_newest_first_without_the_running_one(
    home: Path, write_entry: WriteEntry
) -> None:
    write_entry("now")
    checkpoints = home / "checkpoints"
    run = {"name": "clicks", "state": "FINISHED", "last_checkpoint": 4}
    write_record(checkpoints, id="old", started_ms=1, ended_ms=5, **run)
    write_record(checkpoints, id="new", started_ms=6, ended_ms=9, **run)
    write_record(checkpoints, id="now", started_ms=10, ended_ms=None, **run)
    past = past_jobs(checkpoints, running_jobs(home))
    assert past == [
        PastJob("new", "clicks", "finished", 6, 9, 4),
        PastJob("old", "clicks", "finished", 1, 5, 4),
    ]


def test_run_that_never_wrote_its_end_was_killed(home: Path) -> None:
    record = {"name": "clicks", "state": "RUNNING", "last_checkpoint": None}
    write_record(home / "checkpoints", id="gone", started_ms=1, ended_ms=None, **record)
    (job,) = past_jobs(home / "checkpoints", [])
    assert job.state == "killed"


def test_killed_run_is_told_by_the_newest_checkpoint_that_is_whole(home: Path) -> None:
    """Its record knows only the first: records are not written at every checkpoint."""
    record = {"name": "clicks", "state": "RUNNING", "last_checkpoint": 8}
    write_record(home / "checkpoints", id="gone", started_ms=1, ended_ms=None, **record)
    run = home / "checkpoints" / "clicks" / "gone"
    for name in ("chk-9", "chk-10", "chk-11"):
        (run / name).mkdir()
    for name in ("chk-9", "chk-10"):
        (run / name / "manifest.json").touch()
    (job,) = past_jobs(home / "checkpoints", [])
    assert job.last_checkpoint == 10


def test_job_is_found_by_id_name_or_unique_prefix(home: Path, write_entry: WriteEntry) -> None:
    write_entry("abc1", name="clicks", started_ms=1)
    write_entry("abd2", name="bids", started_ms=2)
    write_entry("xyz3", name="clicks", started_ms=3)
    jobs = running_jobs(home)

    def found(reference: str) -> str | None:
        job = find(jobs, reference)
        return job.id if job else None

    assert found("abd2") == found("abd") == found("bids") == "abd2"
    assert found("clicks") == "xyz3"
    assert found("nobody") is None
    assert found("") is None
    with pytest.raises(ConfigError, match=r"abc1.*abd2"):
        found("ab")


def test_name_that_is_also_a_prefix_means_the_name(home: Path, write_entry: WriteEntry) -> None:
    write_entry("abc1", name="other")
    write_entry("zzz9", name="abc")
    job = find(running_jobs(home), "abc")
    assert job is not None
    assert job.id == "zzz9"


def test_own_process_is_alive(dead_pid: int) -> None:
    assert is_alive(os.getpid())
    assert is_alive(1)
    assert not is_alive(dead_pid)
