"""A wall clock that jumps: a real process, in which `time.time` is off by what a file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine
from tests.e2e.followed import (
    CHECKPOINTED,
    NAME,
    Logs,
    resumed,
    running,
    wait_for_output,
)
from tests.e2e.golden import Rows

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

HOUR_MS = 3_600_000
JUMPS = [-HOUR_MS, HOUR_MS]


class WallClock:
    """The wall clock of the processes that a test starts."""

    def __init__(self, offset: Path) -> None:
        self._offset = offset
        self.jump(0)

    def jump(self, offset_ms: int) -> None:
        """So far from the true time; whoever reads meanwhile reads either the old or the new."""
        new = self._offset.with_suffix(".new")
        new.write_text(str(offset_ms))
        new.rename(self._offset)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WallClock:
    offset = tmp_path / "offset"
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "jumping_clock"))
    monkeypatch.setenv("CLOCK_OFFSET_FILE", str(offset))
    return WallClock(offset)


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_job_goes_on_reading_and_taking_checkpoints_when_the_clock_jumps(
    streamlet: CommandLine, logs: Logs, golden: Rows, clock: WallClock, jump_ms: int
) -> None:
    """Back by an hour, it once did nothing for an hour."""
    logs.grow(0, 4_000)
    with running(streamlet, logs, *CHECKPOINTED) as job:
        streamlet.wait_for_checkpoint(NAME, job)
        clock.jump(jump_ms)
        logs.grow_to_the_end(4_000)
        wait_for_output(streamlet, logs, job, golden)
        assert streamlet("stop", NAME).code == 0
        assert job.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_resume_goes_on_from_the_latest_run_although_the_clock_jumped(
    streamlet: CommandLine, logs: Logs, golden: Rows, clock: WallClock, jump_ms: int
) -> None:
    """Runs are ordered by when they began; each begins after the one before."""
    logs.grow(0, 2_000)
    for number in range(3):
        words = ["--resume"] if number else []
        with running(streamlet, logs, *words, *CHECKPOINTED) as job:
            streamlet.wait_for_checkpoint(NAME, job)
            job.kill()
            job.wait(TIMEOUT_S)
        clock.jump(jump_ms * (number + 1))
        logs.grow(2_000 + 1_000 * number, 3_000 + 1_000 * number)
    logs.grow_to_the_end(5_000)
    resumed(streamlet, logs, golden, *CHECKPOINTED)
