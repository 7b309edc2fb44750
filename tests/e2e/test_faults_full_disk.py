"""A disk that is full while a job runs: it goes on, or resumes, when there is room again."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine
from tests.e2e.followed import (
    CHECKPOINTED,
    GIVING_UP,
    MAX_LINES,
    NAME,
    UNTIRING,
    Logs,
    resumed,
    running,
    told,
    wait_for_output,
)
from tests.e2e.golden import ROOT, Rows, rows, written
from tests.e2e.small_disk import small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DELAYED = ROOT / "tests" / "e2e" / "jobs" / "delayed.py"
PLACES = ["checkpoints", "out", "home"]


def settings(streamlet: CommandLine, place: str) -> list[str | Path]:
    """With "home" its checkpoints are full too, else they lie in a directory of their own."""
    if place == "home":
        return [*CHECKPOINTED]
    directory = streamlet.directory / "checkpoints"
    return [*CHECKPOINTED, "-D", f"execution.checkpointing.dir={directory}"]


@pytest.mark.parametrize("place", PLACES)
def test_a_job_whose_disk_is_full_goes_on_when_there_is_room(
    streamlet: CommandLine, logs: Logs, golden: Rows, place: str
) -> None:
    logs.grow(0, 4_000)
    with (
        small_disk(streamlet.directory / place) as disk,
        running(streamlet, logs, *settings(streamlet, place), *UNTIRING) as job,
    ):
        streamlet.wait_for_checkpoint(NAME, job)
        disk.fill()
        logs.grow(4_000, 6_000)
        streamlet.wait_for_attempt(NAME, job, 2)
        disk.free()
        logs.grow_to_the_end(6_000)
        wait_for_output(streamlet, logs, job, golden)
        assert streamlet("stop", NAME).code == 0
        _, err = job.communicate(timeout=TIMEOUT_S)
    assert job.returncode == 0, err
    assert "No space left on device" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("place", PLACES)
def test_a_job_that_ended_of_a_full_disk_resumes_when_there_is_room(
    streamlet: CommandLine, logs: Logs, golden: Rows, place: str
) -> None:
    logs.grow(0, 4_000)
    words = [*settings(streamlet, place), *GIVING_UP]
    with small_disk(streamlet.directory / place) as disk:
        with running(streamlet, logs, *words) as job:
            streamlet.wait_for_checkpoint(NAME, job)
            disk.fill()
            logs.grow_to_the_end(4_000)
            err = told(job)
        assert job.returncode == 1
        assert f"{disk.path}" in err
        assert "No space left on device" in err
        assert "go on with: streamlet run --resume" in err
        disk.free()
        resumed(streamlet, logs, golden, *words)


def test_a_job_is_not_started_or_says_why_while_the_disk_is_full(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    """Nothing of the attempt may keep the next one from beginning."""
    logs.grow_to_the_end(0)
    with small_disk(streamlet.home) as disk:
        disk.fill()
        with running(streamlet, logs, *CHECKPOINTED, *GIVING_UP) as job:
            err = told(job)
        assert "No space left on device" in err
        disk.free()
        with running(streamlet, logs, *CHECKPOINTED) as job:
            wait_for_output(streamlet, logs, job, golden)


def test_job_whose_rocksdb_finds_no_room_says_so_and_resumes_elsewhere(
    streamlet: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = Random(1)
    events = [{"ts": number, "held": rng.randbytes(1_000).hex()} for number in range(15_000)]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (streamlet.directory / "events.jsonl").write_text(lines)
    words: list[str | Path] = [
        *CHECKPOINTED,
        *("-D", "state.backend.type=rocksdb", "-D", "state.backend.memory=1mb"),
        *(DELAYED, "--", "events.jsonl", "out", "100000000"),
    ]
    with small_disk(streamlet.directory / "work") as disk:
        monkeypatch.setenv("TMPDIR", str(disk.path))
        done = streamlet("run", *GIVING_UP, *words)
        assert done.code == 1, done.err
        assert "No space left on device" in done.err
        assert str(disk.path) in done.err
        assert len(done.err.splitlines()) <= MAX_LINES
    monkeypatch.delenv("TMPDIR")
    done = streamlet("run", "--resume", *words)
    assert done.code == 0, done.err
    assert written(streamlet.directory / "out") == rows(events)


@pytest.mark.parametrize("command", ["savepoint", "stop"])
def test_a_savepoint_for_which_there_is_no_room_harms_nothing(
    streamlet: CommandLine, logs: Logs, golden: Rows, command: str
) -> None:
    directory = streamlet.directory / "kept"
    words = [directory] if command == "savepoint" else ["--savepoint-dir", directory]
    logs.grow(0, 4_000)
    with (
        small_disk(directory) as disk,
        running(streamlet, logs, *CHECKPOINTED, *UNTIRING) as job,
    ):
        streamlet.wait_for(NAME, job, read=4_000)
        disk.fill()
        failed = streamlet(command, NAME, *words)
        assert failed.code == 1
        assert "No space left on device" in failed.err
        logs.grow_to_the_end(4_000)
        wait_for_output(streamlet, logs, job, golden)
        disk.free()
        assert streamlet("stop", NAME, "--savepoint-dir", directory).code == 0
        assert job.wait(TIMEOUT_S) == 0
