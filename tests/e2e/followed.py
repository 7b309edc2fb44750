"""A job that follows growing logs: tests decide what it has read when something happens to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import TIMEOUT_S, CommandLine, Running
from tests.e2e.golden import ROOT, Rows, written

JOB = ROOT / "tests" / "e2e" / "jobs" / "followed_sessions.py"
NAME = "followed-sessions"
CHECKPOINTED = ["-D", "execution.checkpointing.interval=50ms"]
UNTIRING = [
    *("-D", "restart-strategy.type=fixed-delay"),
    *("-D", "restart-strategy.fixed-delay.attempts=100000"),
    *("-D", "restart-strategy.fixed-delay.delay=20ms"),
]
GIVING_UP = ["-D", "restart-strategy.type=none"]
LATER = '10.9.9.9 - - [28/Jun/2015:00:00:00 +0000] "GET / HTTP/1.1" 200 5\n'
MAX_LINES = 15
LATER_EVERY_S = 2


class Logs:
    """A directory with two logs, that grow by every second line each."""

    def __init__(self, directory: Path, log: Path) -> None:
        self.directory = directory
        self._lines = log.read_text().splitlines(keepends=True)
        directory.mkdir()

    @property
    def count(self) -> int:
        return len(self._lines)

    def grow(self, start: int, stop: int) -> None:
        for number in range(2):
            with (self.directory / f"{number}.log").open("a") as log:
                log.writelines(self._lines[start + number : stop : 2])

    def grow_to_the_end(self, start: int) -> None:
        """The rest, and a line so late in each log that every session before it is over."""
        self.grow(start, self.count)
        self.grow_later()

    def grow_later(self) -> None:
        """A line that brings event time to the end, again after a restore (WM-54)."""
        for number in range(2):
            with (self.directory / f"{number}.log").open("a") as log:
                log.write(LATER)

    def grow_with_a_mistake(self, start: int, stop: int) -> None:
        self._lines = [line.replace("/May/", "/Mai/") for line in self._lines]
        self.grow(start, stop)

    def mend(self) -> None:
        for log in self.directory.iterdir():
            log.write_text(log.read_text().replace("/Mai/", "/May/"))


@contextmanager
def running(streamlet: CommandLine, logs: Logs, *words: str | Path) -> Iterator[Running]:
    """The job in the background; killed if the test fails before it has ended."""
    process = streamlet.start("run", JOB, *words, "--", logs.directory, out_of(streamlet))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def out_of(streamlet: CommandLine) -> Path:
    return streamlet.directory / "out"


def wait_for_output(streamlet: CommandLine, logs: Logs, job: Running, golden: Rows) -> None:
    """Comes back when the running job has written all, and never a thing too much."""
    began_s = time.monotonic()
    later_s = began_s + LATER_EVERY_S
    while (visible := written(out_of(streamlet))) != golden:
        assert visible <= golden, visible - golden
        if job.poll() is not None:
            raise AssertionError(f"the job has ended: {job.communicate()}")
        if time.monotonic() > later_s:
            later_s += LATER_EVERY_S
            logs.grow_later()
        if time.monotonic() > began_s + TIMEOUT_S:
            raise AssertionError(
                f"{visible.total()} of {golden.total()} sessions in {TIMEOUT_S} s; "
                f"{streamlet('status', NAME)}"
            )
        time.sleep(0.02)


def told(job: Running) -> str:
    """What a job said that ends now with a failure: few lines, and none of the engine's code."""
    _, err = job.communicate(timeout=TIMEOUT_S)
    error = err[err.find("error: ") :]
    assert job.returncode not in (0, None), err
    assert "error: " in err
    assert len(error.splitlines()) <= MAX_LINES, err
    assert "Traceback" not in err
    return err


def resumed(streamlet: CommandLine, logs: Logs, golden: Rows, *words: str | Path) -> None:
    """The job goes on after its end, and its output is golden."""
    with running(streamlet, logs, "--resume", *words) as job:
        logs.grow_later()
        wait_for_output(streamlet, logs, job, golden)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(TIMEOUT_S) == 0
    assert written(out_of(streamlet)) == golden
