"""Commands about jobs: what they ask, what they print, how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from streamlet.cli.jobs import follow
from streamlet.cli.main import main

if TYPE_CHECKING:
    from tests.cli.conftest import FakeJob

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def past_job(home: Path) -> str:
    directory = home / "checkpoints" / "bids" / "e5f6"
    directory.mkdir(parents=True)
    record = {"id": "e5f6", "name": "bids", "state": "FAILED", "started_ms": 0}
    record |= {"ended_ms": 90_000, "last_checkpoint": 3}
    (directory / "run.json").write_text(json.dumps(record))
    return "e5f6"


def test_list_shows_running_and_past_jobs_and_cleans_stale_entries(
    home: Path, write_entry: Callable[..., Path], past_job: str, capsys: Captured
) -> None:
    write_entry("alive")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    stale = write_entry("stale", pid=process.pid)
    assert main(["list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "name", "state", "started", "ran", "checkpoint"]
    assert [row.split()[:3] for row in rows] == [
        ["alive", "clicks", "running"],
        [past_job, "bids", "failed"],
    ]
    assert rows[1].split()[-3:] == ["1m", "30s", "3"]
    assert not stale.exists()


def test_list_shows_the_newest_checkpoint_of_a_running_job(
    home: Path, write_entry: Callable[..., Path], capsys: Captured
) -> None:
    write_entry("alive")
    checkpoint = home / "checkpoints" / "clicks" / "alive" / "chk-7"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").touch()
    assert main(["list"]) == 0
    assert capsys.readouterr().out.split()[-1] == "7"


def test_status_of_a_stopped_job_names_its_savepoint(
    home: Path, past_job: str, capsys: Captured
) -> None:
    record = home / "checkpoints" / "bids" / past_job / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"savepoint": "/sp/e5f6-4"}))
    assert main(["status", "bids"]) == 0
    assert "savepoint /sp/e5f6-4" in capsys.readouterr().out


def test_list_of_nothing_leaves_stdout_empty(home: Path, capsys: Captured) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["list", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_list_as_json_never_tells_the_secret(
    write_entry: Callable[..., Path], capsys: Captured
) -> None:
    write_entry("alive")
    assert main(["list", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    assert json.loads(out)[0]["id"] == "alive"


def test_status_of_a_running_job(
    fake_job: FakeJob, status: dict[str, Any], capsys: Captured
) -> None:
    fake_job.will_answer(status)
    fake_job.will_answer(status)
    assert main(["status", "clicks"]) == 0
    assert "sessionize" in capsys.readouterr().out
    assert main(["status", "a1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == status


def test_status_of_a_past_job(past_job: str, capsys: Captured) -> None:
    assert main(["status", "bids"]) == 0
    assert capsys.readouterr().out == (
        "bids (e5f6): failed at 1970-01-01 00:01:30Z, last checkpoint 3\n"
    )


def test_status_of_a_failed_job_says_why(home: Path, past_job: str, capsys: Captured) -> None:
    record = home / "checkpoints" / "bids" / past_job / "run.json"
    failure = "OSError: no route\nin operator 'out'"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"failure": failure}))
    assert main(["status", "bids"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  OSError: no route",
        "  in operator 'out'",
    ]
    assert main(["status", "bids", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["failure"] == failure


def test_watching_ends_with_the_job(
    fake_job: FakeJob,
    status: dict[str, Any],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamlet.cli.jobs.WATCH_S", 0)
    fake_job.will_answer(status)
    fake_job.will_answer(status)
    assert main(["status", "clicks", "--watch"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("sessionize") == 2
    assert "has ended" in captured.err


def test_savepoint_prints_only_the_path(
    fake_job: FakeJob, tmp_path: Path, capsys: Captured
) -> None:
    fake_job.will_answer({"path": "/sp/1"})
    assert main(["savepoint", "clicks", "out"]) == 0
    assert capsys.readouterr().out == "/sp/1\n"
    (request,) = fake_job.requests
    assert request["directory"] == str(tmp_path / "out")


def test_stop_prints_only_the_path(fake_job: FakeJob, capsys: Captured) -> None:
    fake_job.will_answer({"path": "/sp/2"})
    assert main(["stop", "clicks", "--drain"]) == 0
    assert capsys.readouterr().out == "/sp/2\n"
    (request,) = fake_job.requests
    assert (request["command"], request["drain"], request["directory"]) == ("stop", True, None)


def test_refused_savepoint_fails(fake_job: FakeJob, capsys: Captured) -> None:
    fake_job.replies.append(msgpack.packb({"ok": False, "error": "the disk is full"}))
    assert main(["savepoint", "clicks"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "the disk is full" in captured.err


def test_cancel_says_nothing_on_stdout(fake_job: FakeJob, capsys: Captured) -> None:
    fake_job.will_answer({})
    assert main(["cancel", "clicks"]) == 0
    assert capsys.readouterr().out == ""
    assert fake_job.requests[0]["command"] == "cancel"


def test_unknown_job_is_a_usage_error_that_names_the_running_ones(
    write_entry: Callable[..., Path], capsys: Captured
) -> None:
    write_entry("alive")
    assert main(["cancel", "nobody"]) == 2
    assert "clicks (alive)" in capsys.readouterr().err


def test_job_that_ended_cannot_be_stopped(past_job: str, capsys: Captured) -> None:
    assert main(["stop", past_job]) == 2
    assert "failed" in capsys.readouterr().err


def test_log_of_a_past_job_is_printed(home: Path, past_job: str, capsys: Captured) -> None:
    assert main(["logs", "bids"]) == 2  # it left none
    log = home / "logs" / "bids" / f"{past_job}.log"
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\n")
    capsys.readouterr()
    assert main(["logs", "bids", "-f"]) == 0
    assert capsys.readouterr().out == "one\ntwo\n"
    assert main(["logs", "bids", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == ["one", "two"]


def test_following_a_log_misses_nothing_written_at_the_very_end(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("first\n")
    lives = iter([True, True, False])

    def may_grow() -> bool:
        goes_on = next(lives)
        if not goes_on:
            with log.open("a") as file:
                file.write("last words\n")
        return goes_on

    assert list(follow(log, may_grow, lambda seconds: None)) == ["first\n", "last words\n"]
