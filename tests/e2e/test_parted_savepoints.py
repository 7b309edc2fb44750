"""Two savepoints of histories that parted, restored one after the other: once, or refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.command import TIMEOUT_S, CommandLine, Result
from tests.e2e.followed import CHECKPOINTED, JOB, MAX_LINES, NAME, Logs, out_of, running
from tests.e2e.golden import Rows, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RARELY = ["-D", "execution.checkpointing.interval=1h"]


def saved_and_killed(streamlet: CommandLine, logs: Logs, *words: str | Path) -> Path:
    """A savepoint of a process that dies right after it."""
    with running(streamlet, logs, *words) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        return Path(streamlet("savepoint", NAME).out.strip())


def restored_and_killed(streamlet: CommandLine, logs: Logs, *words: str | Path) -> None:
    """A process that goes back, makes what the savepoint prepared visible, and dies."""
    with running(streamlet, logs, *words) as job:
        deadline_s = time.monotonic() + TIMEOUT_S
        while streamlet.status(NAME).get("state") != "RUNNING":
            assert job.poll() is None, job.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.02)


def refused(streamlet: CommandLine, logs: Logs, *words: str | Path) -> Result:
    before = written(out_of(streamlet))
    ended = streamlet("run", JOB, *words, "--", logs.directory, out_of(streamlet))
    assert ended.code == 3, ended.err
    assert len(ended.err[ended.err.index("error: ") :].splitlines()) <= MAX_LINES
    assert written(out_of(streamlet)) == before
    return ended


def to_the_end(streamlet: CommandLine, logs: Logs, golden: Rows, *words: str | Path) -> None:
    with running(streamlet, logs, *words) as job:
        streamlet.wait_for(NAME, job, read=logs.count - 5_000)
        assert streamlet("stop", NAME, "--drain").code == 0
        assert job.wait(TIMEOUT_S) == 0
    assert written(out_of(streamlet)) == golden


def test_output_of_another_savepoint_is_refused_although_it_has_a_lower_number(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    """Both begin at the beginning of the logs: what the first one shows the second has too."""
    logs.grow(0, 5_000)
    first = saved_and_killed(streamlet, logs, *RARELY)
    second = saved_and_killed(streamlet, logs, "--resume", *RARELY)
    restored_and_killed(streamlet, logs, "-s", first, *RARELY)
    assert written(out_of(streamlet))
    logs.grow(5_000, logs.count)
    assert "--discard-later-output" in refused(streamlet, logs, "-s", second, *RARELY).err
    to_the_end(streamlet, logs, golden, "-s", second, "--discard-later-output", *RARELY)


def test_savepoint_that_counts_on_discarded_output_is_refused(
    streamlet: CommandLine, logs: Logs, golden: Rows
) -> None:
    """It would not write these records again; who has gone back can be resumed."""
    logs.grow(0, 5_000)
    with running(streamlet, logs, *CHECKPOINTED) as job:
        streamlet.wait_for(NAME, job, read=5_000, written=1)
        first = Path(streamlet("savepoint", NAME).out.strip())
        logs.grow(5_000, 6_000)
        streamlet.wait_for(NAME, job, read=6_000)
        streamlet.wait_for_checkpoint(NAME, job)
        second = Path(streamlet("savepoint", NAME).out.strip())
    # Without checkpoints of its own: whoever resumes reads all that comes after the savepoint.
    discard = ["--discard-later-output", *RARELY]
    restored_and_killed(streamlet, logs, "-s", first, *discard)
    told = refused(streamlet, logs, "-s", second, *discard)
    assert "counts on output that was discarded" in told.err
    logs.grow(6_000, logs.count)
    to_the_end(streamlet, logs, golden, "--resume", *RARELY)
