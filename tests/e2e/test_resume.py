"""`--resume` after each way a job can end: finished, never run, refused, failed, killed early."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import CommandLine, Result
from tests.e2e.golden import ROOT, Rows, generated_log, sessions, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOB = ROOT / "examples" / "click_sessions.py"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return generated_log(tmp_path / "access.log", 1_000)


@pytest.fixture
def golden(log: Path) -> Rows:
    return sessions(log.read_text().splitlines())


def run(streamlet: CommandLine, log: Path, *words: str) -> Result:
    return streamlet("run", JOB, *words, "--", log, "out")


def test_a_finished_job_says_so_and_does_nothing(
    streamlet: CommandLine, log: Path, golden: Rows
) -> None:
    assert run(streamlet, log).code == 0
    again = run(streamlet, log, "--resume")
    assert again.code == 0, again.err
    assert "has finished: there is nothing to resume" in again.err
    assert written(streamlet.directory / "out") == golden


def test_a_job_that_never_ran_is_refused(streamlet: CommandLine, log: Path) -> None:
    refused = run(streamlet, log, "--resume")
    assert refused.code == 3
    assert "nothing to resume" in refused.err
    assert not (streamlet.directory / "out").exists()


def test_starting_over_where_output_lies_is_refused_and_then_leaves_no_trace(
    streamlet: CommandLine, log: Path, golden: Rows
) -> None:
    """A refused start once hid the finished run from --resume."""
    assert run(streamlet, log).code == 0
    refused = run(streamlet, log)
    assert refused.code == 3
    assert "already holds output of this job: 1 file of its earlier runs" in refused.err
    assert len(streamlet("list").out.splitlines()) == 2
    assert "has finished" in run(streamlet, log, "--resume").err
    assert written(streamlet.directory / "out") == golden


@pytest.mark.parametrize(
    ("choice", "times"), [("--discard-later-output", 1), ("--keep-later-output", 2)]
)
def test_starting_over_on_purpose(
    streamlet: CommandLine, log: Path, golden: Rows, choice: str, times: int
) -> None:
    assert run(streamlet, log).code == 0
    assert run(streamlet, log, choice).code == 0
    assert written(streamlet.directory / "out") == Rows(
        {session: count * times for session, count in golden.items()}
    )
