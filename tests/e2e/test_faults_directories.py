"""Directories that vanish, or become read-only, under a running job: told, and nothing is lost."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine
from tests.e2e.followed import (
    CHECKPOINTED,
    GIVING_UP,
    JOB,
    NAME,
    UNTIRING,
    Logs,
    out_of,
    resumed,
    running,
    told,
    wait_for_output,
)
from tests.e2e.golden import Rows, written
from tests.e2e.small_disk import small_disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def with_checkpoints(streamlet: CommandLine) -> list[str | Path]:
    """Settings that keep checkpoints apart from the home."""
    directory = streamlet.directory / "checkpoints"
    return [*CHECKPOINTED, "-D", f"execution.checkpointing.dir={directory}"]


def test_checkpoint_directory_that_was_read_only_for_a_time_harms_nothing(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 4_000)
    with (
        small_disk(streamlet.directory / "checkpoints") as disk,
        running(streamlet, logs, *with_checkpoints(streamlet), *UNTIRING) as job,
    ):
        streamlet.wait_for_checkpoint(NAME, job)
        disk.protect()
        logs.grow(4_000, 6_000)
        streamlet.wait_for_attempt(NAME, job, 3)
        disk.unprotect()
        logs.grow_to_the_end(6_000)
        wait_for_output(streamlet, logs, job, golden)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("place", ["checkpoints", "out"])
def test_job_that_ended_of_a_read_only_directory_resumes_when_it_is_writable(
    streamlet: CommandLine, logs: Logs, golden: Rows, place: str
) -> None:
    words = [*with_checkpoints(streamlet), *GIVING_UP]
    logs.grow(0, 4_000)
    with small_disk(streamlet.directory / place) as disk:
        with running(streamlet, logs, *words) as job:
            streamlet.wait_for_checkpoint(NAME, job)
            disk.protect()
            logs.grow_to_the_end(4_000)
            err = told(job)
        assert job.returncode == 1
        assert "Read-only file system" in err
        assert str(disk.path) in err
        assert "go on with: streamlet run --resume" in err
        disk.unprotect()
        resumed(streamlet, logs, golden, *words)


def vanish(directory: Path) -> None:
    """Removes it in one step, as an unmount does: a job is writing into it."""
    shutil.rmtree(directory.rename(directory.with_name(f"{directory.name}-gone")))


def test_job_whose_checkpoints_vanish_ends_and_is_not_resumed_from_nothing(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    """Its state is gone; what is left is to start over, with what it wrote put away."""
    words = [*with_checkpoints(streamlet), *UNTIRING]
    logs.grow(0, 4_000)
    with running(streamlet, logs, *words) as job:
        streamlet.wait_for_checkpoint(NAME, job)
        vanish(streamlet.directory / "checkpoints")
        logs.grow_to_the_end(4_000)
        err = told(job)
    assert job.returncode == 3
    assert "is gone from the checkpoint directory" in err
    assert written(out_of(streamlet)) <= golden

    refused = streamlet("run", "--resume", *words, JOB, "--", logs.directory, out_of(streamlet))
    assert refused.code == 3
    assert str(streamlet.directory / "checkpoints" / NAME) in refused.err

    shutil.rmtree(out_of(streamlet))
    with running(streamlet, logs, *words) as job:
        wait_for_output(streamlet, logs, job, golden)


def test_job_whose_output_directory_vanishes_loses_only_what_was_removed(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    """Or it ends and names the file that is lost, if it had been prepared and not yet committed."""
    logs.grow(0, 4_000)
    with running(streamlet, logs, *CHECKPOINTED, *UNTIRING) as job:
        streamlet.wait_for(NAME, job, read=4_000, written=1)
        streamlet.wait_for_checkpoint(NAME, job)
        away = out_of(streamlet).rename(streamlet.directory / "moved away")
        removed = written(away)
        logs.grow_to_the_end(4_000)
        wait_for_output(streamlet, logs, job, golden - removed)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(TIMEOUT_S) == 0
    assert removed
    assert written(out_of(streamlet)) == golden - removed


def test_job_whose_home_vanishes_ends_by_a_signal_and_resumes(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    words = with_checkpoints(streamlet)
    logs.grow(0, 4_000)
    with running(streamlet, logs, *words) as job:
        streamlet.wait_for_checkpoint(NAME, job)
        vanish(streamlet.home)
        job.send_signal(signal.SIGTERM)
        _, err = job.communicate(timeout=TIMEOUT_S)
    assert job.returncode == 130, err
    assert "Traceback" not in err
    logs.grow_to_the_end(4_000)
    resumed(streamlet, logs, golden, *words)


def test_savepoint_into_a_read_only_directory_harms_nothing(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 4_000)
    with (
        small_disk(streamlet.directory / "kept") as disk,
        running(streamlet, logs, *CHECKPOINTED) as job,
    ):
        streamlet.wait_for_checkpoint(NAME, job)
        disk.protect()
        for words in (["savepoint", NAME, "kept"], ["stop", NAME, "--savepoint-dir", "kept"]):
            failed = streamlet(*words)
            assert failed.code == 1
            assert str(disk.path) in failed.err
            assert "Read-only file system" in failed.err
        disk.unprotect()
        logs.grow_to_the_end(4_000)
        wait_for_output(streamlet, logs, job, golden)
        assert streamlet("stop", NAME, "--savepoint-dir", "kept").code == 0
        assert job.wait(TIMEOUT_S) == 0
