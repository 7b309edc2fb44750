"""Kills real jobs with SIGKILL again and again, and compares what they wrote with golden answers.

    python tests/proof/kills.py --kills 1000 --seed 7

Jobs run through the command line, each in a directory of its own; each resume is at another
parallelism. The last line of stdout is the summary as JSON; the exit code is 1 when an output was
wrong or a job hung, and then the directory of that job is kept and named.
"""

from __future__ import annotations

import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import mkdtemp

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.e2e.command import CommandLine
from tests.e2e.killing import (
    SLOW,
    HungError,
    KilledJob,
    Moment,
    at_any_moment,
    at_its_end,
    set_to,
    while_it_commits,
    while_it_writes,
)
from tests.proof.killed_jobs import Subject, subjects
from tests.proof.killed_position import position_of
from tests.proof.kills_summary import Summary

MOMENTS: list[Moment] = [at_any_moment, at_any_moment, while_it_writes, while_it_commits]
INTERVALS = ["10ms", "10ms", "30ms", "100ms"]
MOST_KILLS = 30
"""Per job: one whose runs are all cut short before their first checkpoint must end, too."""


class Campaign:
    """Jobs side by side until there have been enough kills, or something was wrong."""

    def __init__(self, options: Namespace, directory: Path) -> None:
        self._options = options
        self._directory = directory
        self._subjects = subjects(directory)
        self._numbers: Iterator[int] = iter([options.only]) if options.only is not None else count()
        self._lock = threading.Lock()
        self.summary = Summary(options.seed)

    def run(self) -> None:
        """Comes back when every job that was begun has finished, or failed."""
        with ThreadPoolExecutor(self._options.workers) as workers:
            for worker in [workers.submit(self._work) for _ in range(self._options.workers)]:
                worker.result()

    def _work(self) -> None:
        while not self._is_over():
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            self._kill_one(number)

    def _is_over(self) -> bool:
        has_failed = bool(self.summary.divergences or self.summary.hangs)
        return has_failed or self.summary.kills >= self._options.kills

    def _kill_one(self, number: int) -> None:
        rng = Random(f"{self._options.seed}-{number}")
        subject = self._subjects[number % len(self._subjects)]
        directory = self._directory / f"{number}-{subject.name}"
        directory.mkdir()
        job = KilledJob(
            CommandLine(directory),
            _words(subject, rng),
            subject.golden,
            rng,
            [f"--seed {self._options.seed} --only {number}: {subject.name} in {directory}"],
        )
        try:
            self._until_finished(job)
        except HungError as error:
            self._fail("hangs", error)
        except AssertionError as error:
            self._fail("divergences", error)
        else:
            rmtree(directory)

    def _until_finished(self, job: KilledJob) -> None:
        is_finished = False
        while not is_finished:
            is_last = self._is_over() or job.kills >= MOST_KILLS
            kills = job.kills
            is_finished = job.run(at_its_end if is_last else job.rng.choice(MOMENTS))
            progress = job.visible.total() / job.golden.total()
            with self._lock:
                self.summary.runs += 1
                self.summary.records_checked += job.visible.total()
                if job.kills > kills:
                    self.summary.add_kill(position_of(job), progress)
                self._tell_progress()
        with self._lock:
            self.summary.jobs += 1

    def _tell_progress(self) -> None:
        if self.summary.runs % 25 == 0:
            sys.stderr.write(f"{self.summary.kills} kills in {self.summary.runs} runs\n")

    def _fail(self, kind: str, error: AssertionError) -> None:
        with self._lock:
            setattr(self.summary, kind, getattr(self.summary, kind) + 1)
            sys.stderr.write(f"{kind}:\n{error}\n")


def _words(subject: Subject, rng: Random) -> list[str | Path]:
    """The command line of one job, with settings of its own."""
    settings = {
        **SLOW,
        "execution.batch-size": str(rng.choice([1, 1, 3])),
        "execution.checkpointing.interval": rng.choice(INTERVALS),
        "execution.checkpointing.num-retained": str(rng.randint(1, 3)),
        "state.backend.type": rng.choice(["heap", "rocksdb"]),
    }
    return [*set_to(settings), subject.job, "--", subject.input]


def _options() -> Namespace:
    parser = ArgumentParser(description="kill real jobs and check what they wrote")
    parser.add_argument("--kills", type=int, default=1000, help="how many at least")
    parser.add_argument("--seed", type=int, default=None, help="default: a fresh one, printed")
    parser.add_argument("--workers", type=int, default=2, help="jobs at a time")
    parser.add_argument("--only", type=int, help="the number of one job to repeat")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = time.time_ns() % 1_000_000
    return options


def main() -> int:
    """Runs the campaign; gives the exit code."""
    options = _options()
    sys.stderr.write(f"seed {options.seed}\n")
    directory = Path(mkdtemp(prefix="streamlet-kills-"))
    campaign = Campaign(options, directory)
    campaign.run()
    summary = campaign.summary
    if summary.is_clean:
        rmtree(directory)
    sys.stdout.write(summary.as_json() + "\n")
    return 0 if summary.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
