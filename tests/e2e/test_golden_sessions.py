"""The main job on the real log, through the real command line: the right sessions, always."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.golden import ROOT, Rows, generated_log, sessions, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

JOB = ROOT / "examples" / "click_sessions.py"


@pytest.mark.parametrize("parallelism", [1, 2, 4])
@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
def test_sessions_are_golden(
    streamlet: CommandLine, log: Path, golden: Rows, backend: str, parallelism: int
) -> None:
    out = streamlet.directory / "out"
    backend_setting = f"state.backend.type={backend}"
    done = streamlet("run", JOB, "-p", str(parallelism), "-D", backend_setting, "--", log, out)
    assert done.code == 0, done.err
    assert written(out) == golden


@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
def test_sessions_are_golden_record_by_record_between_many_checkpoints(
    streamlet: CommandLine, log: Path, golden: Rows, backend: str
) -> None:
    """State passes through every stage: dirty, frozen, written, restored from below."""
    out = streamlet.directory / "out"
    settings = {
        "state.backend.type": backend,
        "execution.batch-size": "1",
        "execution.checkpointing.interval": "10ms",
        "pipeline.auto-watermark-interval": "1ms",
        "restart-strategy.type": "none",
    }
    words = [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]
    done = streamlet("run", JOB, *words, "-p", "2", "--", log, out)
    assert done.code == 0, done.err
    assert written(out) == golden


def test_sessions_of_the_log_that_the_demo_writes_are_golden(streamlet: CommandLine) -> None:
    log = generated_log(streamlet.directory / "access.log")
    out = streamlet.directory / "out"
    done = streamlet("run", JOB, "-p", "2", "--", log, out)
    assert done.code == 0, done.err
    assert written(out) == sessions(log.read_text().splitlines())


def test_broken_lines_are_printed_and_harm_nothing(
    streamlet: CommandLine, log: Path, golden: Rows
) -> None:
    broken = streamlet.directory / "broken.log"
    lines = log.read_text().splitlines()
    broken.write_text("\n".join(["no log line", *lines[:5000], "", "\x00", *lines[5000:]]) + "\n")
    out = streamlet.directory / "out"
    done = streamlet("run", JOB, "--", broken, out)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "broken line> no log line"
    assert done.out.count("broken line> ") == 3
    assert written(out) == golden
