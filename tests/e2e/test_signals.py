"""Ctrl-C and SIGTERM where something blocks, and what is left of the job then."""

from __future__ import annotations

import signal
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine, Running
from tests.e2e.golden import ROOT
from tests.e2e.killing import wait_for_end

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOBS = ROOT / "tests" / "e2e" / "jobs"


def signal_until_it_ends(job: Running, number: signal.Signals) -> int:
    """How many it took; two that come at once count as one."""
    for sent in range(1, 51):
        job.send_signal(number)
        wait_for_end(job, 0.1)
        if job.poll() is not None:
            return sent
    raise AssertionError(f"{number.name} does not end the job")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("script", ["blocked.py", "blocked_poll.py"])
def test_second_signal_kills_although_user_code_blocks(
    streamlet: CommandLine, script: str, number: signal.Signals
) -> None:
    """In a function it blocks the loop; in a poll it blocks the thread that the end waits for."""
    with streamlet.start("run", JOBS / script) as job:
        try:
            assert job.stdout is not None
            assert job.stdout.readline() == "hanging\n"
            assert signal_until_it_ends(job, number) > 1
        finally:
            job.kill()
    assert job.returncode == -number


def test_job_that_was_killed_while_a_poll_blocked_can_be_resumed(streamlet: CommandLine) -> None:
    """The first signal's checkpoint is whole although the thread never came back."""
    words: list[str | Path] = ["run", JOBS / "blocked_poll.py"]
    words += ["-D", "execution.checkpointing.interval=1h"]
    for count in (1, 2):
        with streamlet.start(*words) as job:
            try:
                assert job.stdout is not None
                assert job.stdout.readline() == "hanging\n"
                job.send_signal(signal.SIGINT)
                manifests = "checkpoints/*/*/chk-*/manifest.json"
                wait_for_checkpoints(streamlet, manifests, count)
                assert job.poll() is None
                job.send_signal(signal.SIGINT)
                assert job.wait(TIMEOUT_S) == -signal.SIGINT
            finally:
                job.kill()
        words.append("--resume")


def wait_for_checkpoints(streamlet: CommandLine, pattern: str, count: int) -> None:
    deadline_s = monotonic() + TIMEOUT_S
    while len(list(streamlet.home.glob(pattern))) < count:
        assert monotonic() < deadline_s, f"no {count} checkpoints"
        sleep(0.01)


ENDLESS = """
from streamlet import StreamExecutionEnvironment
from streamlet.connectors.datagen import DataGenSource

env = StreamExecutionEnvironment.get_execution_environment()
numbers = env.from_source(DataGenSource(int, rate=1000))
{run}
print("went on")
"""
RECORDED = "numbers.print(); print('begins', flush=True); env.execute('endless')"
COLLECTED = "print('begins', flush=True); numbers.execute_and_collect(limit=10**9)"


@pytest.mark.parametrize("run", [RECORDED, COLLECTED], ids=["execute", "collect"])
@pytest.mark.parametrize("command", ["python", "streamlet run"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_script_does_not_go_on_with_half_a_result_after_an_interrupt(
    streamlet: CommandLine, command: str, run: str, number: signal.Signals
) -> None:
    """It once did, with exit code 0, as if the job had come to its end."""
    script = streamlet.directory / "endless.py"
    script.write_text(ENDLESS.format(run=run))
    with (
        streamlet.start_python(script) if command == "python" else streamlet.start("run", script)
    ) as job:
        try:
            wait_until_signals_are_caught(job)
            job.send_signal(number)
            out, err = job.communicate(timeout=TIMEOUT_S)
        finally:
            job.kill()
    assert "went on" not in out
    # A shell shows 130 for both: python ends itself by SIGINT after a KeyboardInterrupt.
    assert job.returncode == (-signal.SIGINT if command == "python" else 130), err


def wait_until_signals_are_caught(job: Running) -> None:
    """SIGTERM is caught once the job runs, as the system knows; before that it would just kill."""
    status, deadline_s = Path(f"/proc/{job.pid}/status"), monotonic() + TIMEOUT_S
    while monotonic() < deadline_s:
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("SigCgt"))
        if int(line.split()[1], 16) >> signal.SIGTERM - 1 & 1:
            return
        sleep(0.01)
    raise AssertionError("the job does not catch SIGTERM")
