"""The commands about jobs, against a job that really runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import CommandLine, Running
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOB = ROOT / "tests" / "e2e" / "jobs" / "followed_sessions.py"
NAME = "followed-sessions"
LINE = '10.0.0.1 - - [17/May/2015:10:05:0{} +0000] "GET / HTTP/1.1" 200 5\n'


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    directory = tmp_path / "logs"
    directory.mkdir()
    (directory / "a.log").write_text("".join(LINE.format(second) for second in range(3)))
    return directory


@pytest.fixture
def job(streamlet: CommandLine, logs: Path) -> Iterator[Running]:
    """A job that has read all there is and waits for more."""
    process = streamlet.start(
        *("run", JOB, "-D", "execution.checkpointing.interval=20ms", "--", logs, "out")
    )
    try:
        streamlet.wait_for(NAME, process, read=3)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_list_shows_running_jobs_and_later_how_they_ended(
    streamlet: CommandLine, job: Running
) -> None:
    (listed,) = json.loads(streamlet("list", "--format", "json").out)
    assert (listed["name"], listed["state"]) == (NAME, "running")
    head, row = streamlet("list").out.splitlines()
    assert head.split() == ["id", "name", "state", "started", "ran", "checkpoint"]
    assert row.split()[:3] == [listed["id"], NAME, "running"]
    streamlet("cancel", NAME)
    job.communicate(timeout=60)
    (ended,) = json.loads(streamlet("list", "--format", "json").out)
    assert (ended["id"], ended["state"]) == (listed["id"], "canceled")


def test_list_shows_a_killed_job_as_killed(streamlet: CommandLine, job: Running) -> None:
    job.kill()
    job.communicate(timeout=60)
    (ended,) = json.loads(streamlet("list", "--format", "json").out)
    assert ended["state"] == "killed"
    assert list(streamlet.home.glob("jobs/*.json")) == []


def test_status_names_every_operator(streamlet: CommandLine, job: Running) -> None:
    status = streamlet.status(NAME)
    operators = [(op["name"], op["records_in"], op["records_out"]) for op in status["operators"]]
    assert operators == [("logs", 0, 3), ("parse", 3, 3), ("sessionize", 3, 0), ("sessions", 0, 0)]
    by_prefix = streamlet("status", str(status["id"])[:5]).out.splitlines()
    assert by_prefix[0].startswith(f"{NAME} ({status['id']}), running")
    assert [line.split()[0] for line in by_prefix[1:]] == [
        *("operator", "logs", "parse", "sessionize", "sessions")
    ]


def test_logs_tell_of_checkpoints(streamlet: CommandLine, job: Running) -> None:
    savepoint = Path(streamlet("savepoint", NAME, "kept").out.strip())
    assert savepoint.parent == streamlet.directory / "kept"
    assert f"savepoint {savepoint.name.rpartition('-')[2]} complete" in streamlet("logs", NAME).out


def test_stdout_carries_only_the_result(streamlet: CommandLine, job: Running) -> None:
    taken = json.loads(streamlet("savepoint", NAME, "--format", "json").out)
    assert Path(taken["path"], "manifest.json").is_file()
    stopped = streamlet("stop", NAME)
    out, err = job.communicate(timeout=60)
    assert out == ""
    assert f"savepoint {stopped.out.strip()}" in err
    assert job.returncode == 0


def test_a_second_job_of_the_name_is_refused_and_harms_nothing(
    streamlet: CommandLine, logs: Path, job: Running
) -> None:
    second = streamlet("run", JOB, "--", logs, "elsewhere")
    assert second.code == 2
    assert "already running" in second.err
    assert len(second.err.splitlines()) <= 15
    assert streamlet.status(NAME)["state"] == "RUNNING"
    assert [entry["state"] for entry in json.loads(streamlet("list", "--format", "json").out)] == [
        "running"
    ]


def test_another_job_may_not_write_into_the_same_directory(
    streamlet: CommandLine, logs: Path, job: Running
) -> None:
    text = JOB.read_text().replace(f'env.execute("{NAME}")', 'env.execute("other")')
    copy = streamlet.directory / "tests" / "e2e" / "jobs" / "other.py"
    copy.parent.mkdir(parents=True)
    (streamlet.directory / "examples").symlink_to(ROOT / "examples")
    copy.write_text(text)
    other = streamlet("run", copy, "--", logs, "out")
    assert other.code != 0
    assert str(streamlet.directory / "out") in other.err or "out" in other.err
    assert len(other.err.splitlines()) <= 15
    assert streamlet.status(NAME)["state"] == "RUNNING"


def test_plan_runs_nothing(streamlet: CommandLine, logs: Path) -> None:
    plan = streamlet("plan", JOB, "-p", "3", "--", logs, "out")
    assert plan.code == 0, plan.err
    assert "uid sessionize" in plan.out
    assert "parallelism 3" in plan.out
    assert streamlet("run", "--dry-run", JOB, "-p", "3", "--", logs, "out").out == plan.out
    mermaid = streamlet("plan", JOB, "--format", "mermaid", "--", logs, "out").out
    assert mermaid.startswith("flowchart")
    assert json.loads(streamlet("plan", JOB, "--format", "json", "--", logs, "out").out)
    assert not (streamlet.directory / "out").exists()
    assert not streamlet.home.exists()


def test_config_says_where_each_value_was_set(streamlet: CommandLine) -> None:
    (streamlet.directory / "mine.toml").write_text("execution.batch-size = 7\n")
    shown = streamlet("config", "--config", "mine.toml", "-p", "2").out.splitlines()
    said = {line.split()[0]: line.split()[1:] for line in shown[1:]}
    assert said["execution.batch-size"][0] == "7"
    assert "mine.toml" in said["execution.batch-size"][-1]
    assert said["parallelism.default"] == ["2", "-p"]
    assert said["state.backend.type"] == ["heap", "default"]
