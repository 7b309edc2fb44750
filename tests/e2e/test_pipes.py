"""Readers of the output that go away, and outputs that are full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOB = ROOT / "examples" / "word_count.py"
LINES = 40_000
"""More than fits into a pipe."""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("word\n" * LINES)
    return path


def test_job_whose_results_nobody_reads_fails_in_few_words(
    streamlet: CommandLine, words: Path
) -> None:
    """As under `| head -1`; Python's own complaint at exit, and its code 120, are avoided."""
    with streamlet.start("run", JOB, "--", words) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        assert job.stdout.readline() == "('word', 1)\n"
        job.stdout.close()
        said = job.stderr.read()
        assert job.wait(20) == 1
        assert "nobody reads" in said
        assert "Exception ignored" not in said
        assert "restarting" not in said


def test_job_whose_messages_nobody_reads_goes_on(streamlet: CommandLine, words: Path) -> None:
    with streamlet.start("run", JOB, "--", words) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        job.stderr.close()
        assert len(job.stdout.readlines()) == LINES
        assert job.wait(20) == 0


def test_list_into_a_closed_pipe_is_no_failure(streamlet: CommandLine) -> None:
    with streamlet.start("config") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == ""
        assert command.wait(20) == 0
