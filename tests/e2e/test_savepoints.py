"""Savepoints through the command line: other parallelism, other backend, the same sessions."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.followed import JOB, NAME, Logs, out_of, running
from tests.e2e.golden import Rows, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def settings(backend: str, parallelism: int) -> list[str]:
    return ["-p", str(parallelism), "-D", f"state.backend.type={backend}"]


@pytest.mark.parametrize(("before", "after"), [("heap", "rocksdb"), ("rocksdb", "heap")])
def test_stopped_at_two_and_restored_at_three_on_the_other_backend(
    streamlet: CommandLine, logs: Logs, golden: Rows, before: str, after: str
) -> None:
    logs.grow(0, 5_000)
    with running(streamlet, logs, *settings(before, 2)) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        stopped = streamlet("stop", NAME, "--savepoint-dir", "kept")
        assert stopped.code == 0, stopped.err
        assert job.wait(60) == 0
    savepoint = Path(stopped.out.strip())
    assert savepoint.parent == streamlet.directory / "kept"
    assert Rows() < written(out_of(streamlet)) < golden
    logs.grow(5_000, logs.count)
    with running(streamlet, logs, "-s", savepoint, *settings(after, 3)) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(60) == 0
    assert written(out_of(streamlet)) == golden


def test_going_back_to_a_savepoint_discards_the_output_written_since(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 5_000)
    with running(streamlet, logs, *settings("heap", 2)) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        savepoint = streamlet("savepoint", NAME).out.strip()
        in_savepoint = streamlet.status(NAME)["operators"][-1]["records_in"]
        logs.grow(5_000, 6_000)
        # Sessions end with a watermark, which comes some time after the records.
        streamlet.wait_for(NAME, job, read=6_000, written=in_savepoint + 1)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(60) == 0
    logs.grow(6_000, logs.count)

    refused = streamlet("run", JOB, "-s", savepoint, "--", logs.directory, out_of(streamlet))
    assert refused.code == 3
    assert "--discard-later-output" in refused.err
    assert len(refused.err.splitlines()) <= 15

    words = ["-s", savepoint, "--discard-later-output", *settings("rocksdb", 3)]
    with running(streamlet, logs, *words) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(60) == 0
    assert written(out_of(streamlet)) == golden


def test_resume_goes_on_from_the_savepoint_with_which_the_job_was_stopped(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 5_000)
    with running(streamlet, logs, *settings("heap", 1)) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(60) == 0
    logs.grow(5_000, logs.count)
    with running(streamlet, logs, "--resume", *settings("heap", 4)) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(60) == 0
    assert written(out_of(streamlet)) == golden


def test_a_failed_job_goes_on_when_its_cause_is_mended(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 5_000)
    words = [*settings("heap", 1), "-D", "execution.checkpointing.interval=10ms"]
    words += ["-D", "restart-strategy.type=none"]
    with running(streamlet, logs, *words) as job:
        streamlet.wait_for(NAME, job, read=5_000)
        streamlet.wait_for_checkpoint(NAME, job)
        logs.grow_with_a_mistake(5_000, logs.count)
        _, err = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "does not match format" in err
    assert "_strptime.py" not in err, "the lines of libraries are not the user's"
    assert "go on with: streamlet run --resume" in err
    told = streamlet("status", NAME).out
    assert "failed at" in told
    assert "does not match format" in told
    logs.mend()
    with running(streamlet, logs, "--resume", *words) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        _, err = job.communicate(timeout=60)
    assert job.returncode == 0, err
    assert "resuming from checkpoint" in err
    assert written(out_of(streamlet)) == golden


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_job_says_how_to_resume_and_does(
    streamlet: CommandLine, logs: Logs, golden: Rows, number: signal.Signals
) -> None:
    logs.grow(0, 5_000)
    with running(streamlet, logs, *settings("heap", 2)) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        job.send_signal(number)
        _, err = job.communicate(timeout=60)
        assert job.returncode == 130, err
    assert "go on with: streamlet run --resume" in err
    assert 0 < len(written(out_of(streamlet))) < len(golden)
    logs.grow(5_000, logs.count)
    with running(streamlet, logs, "--resume", *settings("heap", 2)) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(60) == 0
    assert written(out_of(streamlet)) == golden


def test_a_cancelled_job_keeps_its_checkpoints_and_resumes(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 5_000)
    interval = ["-D", "execution.checkpointing.interval=50ms"]
    with running(streamlet, logs, *settings("rocksdb", 2), *interval) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        assert streamlet("cancel", NAME).code == 0
        _, err = job.communicate(timeout=60)
    assert "canceled" in err
    logs.grow(5_000, logs.count)
    with running(streamlet, logs, "--resume", *settings("heap", 2), *interval) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(60) == 0
    assert written(out_of(streamlet)) == golden


def test_an_interrupted_job_that_python_runs_says_how_to_resume_too(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 5_000)
    job = streamlet.start_python(JOB, logs.directory, out_of(streamlet))
    try:
        streamlet.wait_for(NAME, job, read=5_000)
        job.send_signal(signal.SIGINT)
        _, err = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == -signal.SIGINT, "python ends as after any KeyboardInterrupt"
    command = err.partition("go on with: streamlet ")[2].splitlines()[0]
    assert command == f"run --resume {JOB} -- {logs.directory} {out_of(streamlet)}"
    logs.grow(5_000, logs.count)
    with running(streamlet, logs, "--resume") as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(60) == 0
    assert written(out_of(streamlet)) == golden
