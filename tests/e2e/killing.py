"""Jobs that are killed at chosen moments and resumed until they finish, and what must hold then."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.e2e.command import TIMEOUT_S, CommandLine, Running
from tests.e2e.golden import Rows, written

# One record at a time and checkpoints almost without a pause: a run lasts seconds.
SLOW = {
    "execution.batch-size": "1",
    "execution.checkpointing.interval": "10ms",
    "pipeline.auto-watermark-interval": "10ms",
}


class HungError(AssertionError):
    """What should have happened did not happen in time."""


@dataclass
class KilledJob:
    """One job that is killed and resumed, each time at another parallelism, until it finishes."""

    streamlet: CommandLine
    words: list[str | Path]
    golden: Rows
    rng: Random
    story: list[str]
    """What was done so far, told when something is wrong."""
    kills: int = 0
    """How often the job was alive until it was killed."""
    visible: Rows = field(default_factory=Rows)
    """The output after the latest run."""
    out: Path = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.streamlet.directory / "out"

    def run(self, wait: Moment) -> bool:
        """Starts or resumes the job, kills it when `wait` comes back; whether it has finished.

        AssertionError with the story when the output, or how the job ended, is wrong.
        """
        has_run = any(self.streamlet.home.glob("checkpoints/*/*/run.json"))
        words = ["--resume"] if has_run else []
        words += ["-p", str(self.rng.randint(1, 4))]
        running = self.streamlet.start("run", *words, *self.words, self.out)
        try:
            moment = wait(self, running)
        except HungError as error:
            running.kill()
            _, err = running.communicate()
            raise HungError("\n".join([*self.story, f"{' '.join(words)}: {error}", err])) from error
        running.kill()  # does nothing to one that has ended
        _, err = running.communicate()
        self.visible = written(self.out)  # whole files
        self.story.append(
            f"{' '.join(words)}, killed {moment}: exit {running.returncode}, "
            f"{self.visible.total()} records visible"
        )
        told = "\n".join([*self.story, err])
        assert self.visible <= self.golden, told
        assert running.returncode in (0, -9), told
        assert running.returncode or self.visible == self.golden, told
        self.kills += running.returncode == -9
        return running.returncode == 0


Moment: TypeAlias = Callable[[KilledJob, Running], str]
"""Comes back when the job is to be killed, and says when that was."""


def at_any_moment(job: KilledJob, running: Running) -> str:
    """One in five while python starts, the others while the job runs."""
    delay_s, since = job.rng.uniform(0, 0.6), "its start"
    if job.rng.random() >= 0.2:
        since = "its registration"
        wait_for_new(job.streamlet.home, "jobs/*.json", running)
    wait_for_end(running, delay_s)
    return f"{delay_s:.3f} s after {since}"


def while_it_writes(job: KilledJob, running: Running) -> str:
    """Files of a checkpoint appear whose manifest is not there yet."""
    wait_for_new(job.streamlet.home, "checkpoints/*/*/chk-*", running, job.rng.randint(1, 8))
    delay_s = job.rng.uniform(0, 0.005)
    wait_for_end(running, delay_s)
    return f"{delay_s:.4f} s after a checkpoint was begun"


def while_it_commits(job: KilledJob, running: Running, latest: int = 8) -> str:
    """A checkpoint is complete with its manifest; after that files become visible one by one.

    It is one of the first `latest` of a run: a job may have no more before its end.
    """
    manifests = "checkpoints/*/*/chk-*/manifest.json"
    wait_for_new(job.streamlet.home, manifests, running, job.rng.randint(1, latest))
    delay_s = job.rng.choice([0, 0.001, 0.01]) * job.rng.random()
    wait_for_end(running, delay_s)
    return f"{delay_s:.4f} s after a manifest was written"


def at_its_end(job: KilledJob, running: Running) -> str:
    """Not at all: the job runs to its end."""
    wait_for_end(running, TIMEOUT_S)
    if running.poll() is None:
        raise HungError(f"it did not end in {TIMEOUT_S} s")
    return "at its end"


def wait_for_end(running: Running, timeout_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(timeout_s)


def wait_for_new(directory: Path, pattern: str, running: Running, times: int = 1) -> None:
    """Until a file has appeared so many times, or the process has ended."""
    deadline_s, known = time.monotonic() + TIMEOUT_S, set(directory.glob(pattern))
    while running.poll() is None and times:
        if time.monotonic() > deadline_s:
            raise HungError(f"nothing new at {pattern} in {TIMEOUT_S} s")
        wait_for_end(running, 0.001)
        found = set(directory.glob(pattern))
        times -= not found <= known
        known |= found


def set_to(settings: dict[str, str]) -> list[str]:
    """Settings as words of the command line."""
    return [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]
