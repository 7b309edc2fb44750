"""SIGKILL at random moments: what was finished stays, what was not is done again, once."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from random import Random

import pytest

from tests.e2e.command import CommandLine
from tests.e2e.golden import ROOT, Rows, written

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

JOB = ROOT / "examples" / "click_sessions.py"
KILLS = 20
# One record at a time and checkpoints without a pause: a run lasts seconds, and most kills come
# while a checkpoint is being written or committed.
SLOW = {
    "execution.batch-size": "1",
    "execution.checkpointing.interval": "10ms",
    "pipeline.auto-watermark-interval": "10ms",
}


@pytest.mark.parametrize(("backend", "seed"), [("heap", 1), ("rocksdb", 2)])
def test_output_is_golden_whenever_the_job_is_killed(
    tmp_path: Path, log: Path, golden: Rows, backend: str, seed: int
) -> None:
    rng, kills, story = Random(seed), 0, [f"seed {seed}"]
    while kills < KILLS:
        directory = tmp_path / f"after-{kills}-kills"
        directory.mkdir()
        kills += _kill_until_it_finishes(
            CommandLine(directory), log, golden, rng, {**SLOW, "state.backend.type": backend}, story
        )
    print("\n".join(story))


def _kill_until_it_finishes(  # noqa: PLR0913
    streamlet: CommandLine,
    log: Path,
    golden: Rows,
    rng: Random,
    settings: dict[str, str],
    story: list[str],
) -> int:
    """Kills and resumes one job, each time at another parallelism; gives how often it was killed.

    After each kill the visible files must be whole, and none of their sessions a wrong one.
    """
    out, kills = streamlet.directory / "out", 0
    words = [word for name, value in settings.items() for word in ("-D", f"{name}={value}")]
    while True:
        parallelism = rng.randint(1, 4)
        has_run = any(streamlet.home.glob("checkpoints/*/*/run.json"))
        running = streamlet.start(
            *("run", JOB, *(["--resume"] if has_run else []), "-p", str(parallelism)),
            *(*words, "--", log, out),
        )
        is_early, delay_s = rng.random() < 0.2, rng.uniform(0, 0.6)
        if not is_early:
            _wait_until_registered(streamlet, running)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(delay_s)
        running.kill()  # does nothing to one that has ended
        _, err = running.communicate()
        visible = written(out)
        story.append(
            f"kill {kills}: -p {parallelism}, {delay_s:.3f} s after "
            f"{'the start' if is_early else 'it was registered'}: exit {running.returncode}, "
            f"{visible.total()} sessions visible"
        )
        told = "\n".join([*story, err])
        assert visible <= golden, told
        if running.returncode == 0:
            assert visible == golden, told
            return kills
        assert running.returncode == -9, told
        kills += 1


def _wait_until_registered(streamlet: CommandLine, running: subprocess.Popen[str]) -> None:
    entries = set(streamlet.home.glob("jobs/*.json"))
    while running.poll() is None and set(streamlet.home.glob("jobs/*.json")) <= entries:
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.005)
