"""A process that stands still for a time, as under SIGSTOP or in a machine that is suspended."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine, Running
from tests.e2e.followed import (
    CHECKPOINTED,
    NAME,
    UNTIRING,
    Logs,
    out_of,
    resumed,
    running,
    wait_for_output,
)
from tests.e2e.golden import Rows, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SHORT = [*CHECKPOINTED, "-D", "execution.checkpointing.timeout=100ms", *UNTIRING]
STILL_S = 0.3
"""Longer than a checkpoint may take."""


def stop(job: Running) -> None:
    """The process stands still when this returns."""
    job.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, job.pid, os.WSTOPPED | os.WNOWAIT)


def test_job_that_stood_still_longer_than_its_checkpoints_may_take_goes_on(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 4_000)
    with running(streamlet, logs, *SHORT) as job:
        streamlet.wait_for_checkpoint(NAME, job)
        for start in range(4_000, 8_000, 1_000):
            logs.grow(start, start + 1_000)
            stop(job)
            time.sleep(STILL_S)
            job.send_signal(signal.SIGCONT)
        logs.grow_to_the_end(8_000)
        wait_for_output(streamlet, logs, job, golden)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(TIMEOUT_S) == 0
    assert written(out_of(streamlet)) == golden


def test_job_that_stands_still_keeps_its_name_and_output_until_it_is_killed(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    """Whoever takes it for dead is refused: it might wake up and go on writing."""
    logs.grow(0, 4_000)
    with running(streamlet, logs, *SHORT) as job:
        streamlet.wait_for_checkpoint(NAME, job)
        stop(job)
        with running(streamlet, logs, "--resume", *SHORT) as second:
            _, err = second.communicate(timeout=TIMEOUT_S)
        assert second.returncode == 2
        assert "already running" in err
        job.kill()
        assert job.wait(TIMEOUT_S) == -signal.SIGKILL
    logs.grow_to_the_end(4_000)
    resumed(streamlet, logs, golden, *SHORT)


def test_signal_to_a_job_that_stands_still_counts_when_it_goes_on(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    logs.grow(0, 4_000)
    with running(streamlet, logs, *CHECKPOINTED) as job:
        streamlet.wait_for_checkpoint(NAME, job)
        stop(job)
        job.send_signal(signal.SIGTERM)
        job.send_signal(signal.SIGCONT)
        _, err = job.communicate(timeout=TIMEOUT_S)
    assert job.returncode == 130, err
    logs.grow_to_the_end(4_000)
    resumed(streamlet, logs, golden, *CHECKPOINTED)
