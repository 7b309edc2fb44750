"""Ctrl-C in a function that blocks."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOB = ROOT / "tests" / "e2e" / "jobs" / "blocked.py"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_kills_although_a_function_blocks_the_loop(
    streamlet: CommandLine, number: signal.Signals
) -> None:
    """The loop never got to the first one, so the second did nothing either."""
    with streamlet.start("run", JOB) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "hanging\n"
        for _ in range(50):  # two that come at once count as one
            job.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                job.wait(0.1)
                break
        code = job.poll()
        job.kill()
    assert code == -number
