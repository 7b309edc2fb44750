"""SIGKILL at random moments: what was finished stays, what was not is done again, once."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine, Running
from tests.e2e.golden import ROOT, Rows, rows, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

SESSIONS = ROOT / "examples" / "click_sessions.py"
DURATIONS = ROOT / "tests" / "e2e" / "jobs" / "durations.py"
PARTITIONED = ROOT / "tests" / "e2e" / "jobs" / "partitioned_sessions.py"
# One record at a time and checkpoints almost without a pause: a run lasts seconds.
SLOW = {
    "execution.batch-size": "1",
    "execution.checkpointing.interval": "10ms",
    "pipeline.auto-watermark-interval": "10ms",
}


@dataclass
class Killed:
    """One job that is killed and resumed, each time at another parallelism, until it finishes."""

    streamlet: CommandLine
    words: list[str | Path]
    golden: Rows
    rng: Random
    story: list[str]
    """What was done so far, told when something is wrong."""
    kills: int = 0
    out: Path = field(init=False)

    def __post_init__(self) -> None:
        self.out = self.streamlet.directory / "out"

    def until_finished(self, wait: Callable[[Killed, Running], str], most: int) -> int:
        """Kills when `wait` comes back, `most` times at most; gives how often it did."""
        while not self._is_finished(wait if self.kills < most else at_its_end):
            self.kills += 1
        return self.kills

    def _is_finished(self, wait: Callable[[Killed, Running], str]) -> bool:
        has_run = any(self.streamlet.home.glob("checkpoints/*/*/run.json"))
        words = ["--resume"] if has_run else []
        words += ["-p", str(self.rng.randint(1, 4))]
        running = self.streamlet.start("run", *words, *self.words, self.out)
        moment = wait(self, running)
        running.kill()  # does nothing to one that has ended
        _, err = running.communicate()
        visible = written(self.out)  # whole files
        self.story.append(
            f"{' '.join(words)}, killed {moment}: exit {running.returncode}, "
            f"{visible.total()} sessions visible"
        )
        told = "\n".join([*self.story, err])
        assert visible <= self.golden, told
        assert running.returncode in (0, -9), told
        assert running.returncode or visible == self.golden, told
        return running.returncode == 0


def at_any_moment(job: Killed, running: Running) -> str:
    """One in five while python starts, the others while the job runs."""
    delay_s, since = job.rng.uniform(0, 0.6), "its start"
    if job.rng.random() >= 0.2:
        since = "its registration"
        wait_for_new(job.streamlet.home, "jobs/*.json", running)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(delay_s)
    return f"{delay_s:.3f} s after {since}"


def while_it_commits(job: Killed, running: Running) -> str:
    """A checkpoint is complete with its manifest; after that files become visible one by one."""
    wait_for_new(job.streamlet.home, "checkpoints/*/*/chk-*/manifest.json", running)
    delay_s = job.rng.uniform(0, 0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(delay_s)
    return f"{delay_s:.3f} s after a manifest was written"


def at_its_end(job: Killed, running: Running) -> str:
    running.wait(TIMEOUT_S)
    return "at its end"


def wait_for_new(directory: Path, pattern: str, running: Running) -> None:
    known = set(directory.glob(pattern))
    while running.poll() is None and set(directory.glob(pattern)) <= known:
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.001)


def kill_often(
    tmp_path: Path,
    words: list[str | Path],
    golden: Rows,
    seed: int,
    wait: Callable[[Killed, Running], str],
    times: int,
) -> None:
    """Job after job, until so many kills have come to pass."""
    rng, story, kills = Random(seed), [f"seed {seed}"], 0
    for number in itertools.count():
        directory = tmp_path / f"job-{number}"
        directory.mkdir()
        job = Killed(CommandLine(directory), words, golden, rng, story)
        kills += job.until_finished(wait, times - kills)
        if kills == times:
            return


def set_to(settings: dict[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]


@pytest.mark.parametrize(("backend", "seed"), [("heap", 1), ("rocksdb", 2)])
def test_output_is_golden_whenever_the_job_is_killed(
    tmp_path: Path, log: Path, golden: Rows, backend: str, seed: int
) -> None:
    words: list[str | Path] = [
        *set_to({**SLOW, "state.backend.type": backend}),
        SESSIONS,
        "--",
        log,
    ]
    kill_often(tmp_path, words, golden, seed, at_any_moment, times=20)


def test_output_is_golden_when_the_job_is_killed_in_the_middle_of_commits(
    tmp_path: Path, log: Path, golden: Rows
) -> None:
    """The restored checkpoint's files are made visible before anything is written anew."""
    settings = {**SLOW, "execution.checkpointing.interval": "100ms"}
    words: list[str | Path] = [*set_to(settings), PARTITIONED, "--", log]
    kill_often(tmp_path, words, golden, 3, while_it_commits, times=10)


@pytest.mark.parametrize(("backend", "seed"), [("heap", 4), ("rocksdb", 5)])
def test_state_timers_and_side_outputs_are_right_whenever_the_job_is_killed(
    tmp_path: Path, backend: str, seed: int
) -> None:
    events, golden = tasks(5_000)
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    settings = {**SLOW, "state.backend.type": backend}
    words: list[str | Path] = [*set_to(settings), DURATIONS, "--", path]
    kill_often(tmp_path, words, golden, seed, at_any_moment, times=5)


def tasks(count: int) -> tuple[list[dict[str, Any]], Rows]:
    """Starts and ends in order of time, and what must be known of each task in the end."""
    rng, events, known = Random(count), [], []
    for number in range(count):
        task, start = f"t{number}", number * 60_000
        events.append({"task": task, "kind": "START", "ts": start})
        if rng.random() < 0.8:
            duration_ms = rng.randrange(4 * 3_600_000)
            events.append({"task": task, "kind": "END", "ts": start + duration_ms})
            known.append({"task": task, "duration_ms": duration_ms})
        else:
            known.append({"task": task, "start": start})
    return sorted(events, key=itemgetter("ts")), rows(known)
