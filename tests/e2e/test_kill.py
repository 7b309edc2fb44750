"""SIGKILL at random moments: what was finished stays, what was not is done again, once."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.golden import ROOT, Rows, tasks
from tests.e2e.killing import (
    SLOW,
    KilledJob,
    Moment,
    at_any_moment,
    at_its_end,
    set_to,
    while_it_commits,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

SESSIONS = ROOT / "examples" / "click_sessions.py"
DURATIONS = ROOT / "tests" / "e2e" / "jobs" / "durations.py"
PARTITIONED = ROOT / "tests" / "e2e" / "jobs" / "partitioned_sessions.py"


def kill_often(
    tmp_path: Path, words: list[str | Path], golden: Rows, seed: int, wait: Moment, times: int
) -> None:
    """Job after job, until so many kills have come to pass."""
    rng, story, kills = Random(seed), [f"seed {seed}"], 0
    for number in itertools.count():
        directory = tmp_path / f"job-{number}"
        directory.mkdir()
        job = KilledJob(CommandLine(directory), words, golden, rng, story)
        while not job.run(wait if kills + job.kills < times else at_its_end):
            pass
        kills += job.kills
        if kills == times:
            return


@pytest.mark.parametrize(("backend", "seed"), [("heap", 1), ("rocksdb", 2)])
def test_output_is_golden_whenever_the_job_is_killed(
    tmp_path: Path, log: Path, golden: Rows, backend: str, seed: int
) -> None:
    settings = set_to({**SLOW, "state.backend.type": backend})
    words: list[str | Path] = [*settings, SESSIONS, "--", log]
    kill_often(tmp_path, words, golden, seed, at_any_moment, times=10)


def test_output_is_golden_when_the_job_is_killed_in_the_middle_of_commits(
    tmp_path: Path, log: Path, golden: Rows
) -> None:
    """The restored checkpoint's files are made visible before anything is written anew."""
    settings = {**SLOW, "execution.checkpointing.interval": "100ms"}
    words: list[str | Path] = [*set_to(settings), PARTITIONED, "--", log]
    kill_often(tmp_path, words, golden, 3, partial(while_it_commits, latest=3), times=10)


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
