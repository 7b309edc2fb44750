"""`make bench-quick`: the engine against plain dict loops, as ratios of CPU time in one run.

Loop and pipeline take turns, so that a machine that slows down slows both. CPU time is that of the
whole process, threads included; what is printed is the ratio of the medians. Every pipeline's
answer is compared with the loop's.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import workloads
from streamlet.state.log import StateLog, open_store

CHECKPOINTS = {"execution.checkpointing.interval": "1s"}
HEAP = {**CHECKPOINTS, "state.backend.type": "heap"}
MAX_STALL_MS = 5
ROCKSDB = {**CHECKPOINTS, "state.backend.type": "rocksdb"}


@dataclass(frozen=True, slots=True)
class Contest:
    """A pipeline against a loop that gives the same answer."""

    name: str
    loop: Callable[[], Any]
    pipeline: Callable[[], Any]
    at_most: float
    """The ratio that the project promises."""


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """The CPU time of the process while `work` ran, and what it gave."""
    gc.collect()
    started = time.process_time()
    answer = work()
    return time.process_time() - started, answer


def run(contest: Contest, rounds: int) -> float:
    """Prints and gives the ratio."""
    contest.pipeline()  # imports and first-time costs are start-up, not throughput
    loops, pipelines = [], []
    for _ in range(rounds):
        loop_s, expected = cpu_seconds(contest.loop)
        pipeline_s, answer = cpu_seconds(contest.pipeline)
        if answer != expected:
            raise SystemExit(f"{contest.name}: the pipeline gave {answer}, the loop {expected}")
        loops.append(loop_s)
        pipelines.append(pipeline_s)
    ratio = median(pipelines) / median(loops)
    verdict = "ok" if ratio <= contest.at_most else "MISSED"
    print(
        f"{contest.name:42} loop {median(loops):5.2f} s  pipeline {median(pipelines):5.2f} s  "
        f"ratio {ratio:4.1f}  (at most {contest.at_most:g}: {verdict})"
    )
    return ratio


def run_barrier(keys: int) -> float:
    """Prints and gives how long the loop stands still at a barrier, in ms."""
    log = StateLog(open_store("heap", None, 0), range(128), 128)
    table = log.flat("count")
    for key in range(keys):
        table.put(key, 1)
    started = time.perf_counter()
    log.freeze()
    stall_ms = (time.perf_counter() - started) * 1_000
    verdict = "ok" if stall_ms <= MAX_STALL_MS else "MISSED"
    print(
        f"barrier with {keys:,} dirty keys: the loop stands still for {stall_ms:.3f} ms  "
        f"(at most {MAX_STALL_MS} ms: {verdict})"
    )
    return stall_ms


def contests(count: int, directory: Path) -> list[Contest]:
    """All contests on `count` records."""
    records = workloads.keyed_records(count, 10_000)
    bids = directory / "bids.parquet"
    workloads.write_bids(bids, count)
    return [
        Contest(
            "running count, 10k keys, heap",
            lambda: workloads.count_by_dict(records),
            lambda: workloads.count_by_pipeline(records, HEAP),
            4,
        ),
        Contest(
            "running count, 10k keys, rocksdb",
            lambda: workloads.count_by_dict(records),
            lambda: workloads.count_by_pipeline(records, ROCKSDB),
            6,
        ),
        Contest(
            "tumbling count and sum from Parquet, heap",
            lambda: workloads.tumble_by_dict(bids),
            lambda: workloads.tumble_by_pipeline(bids, HEAP),
            2,
        ),
    ]


def main() -> int:
    """Runs all contests; 1 if a promise was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["STREAMLET_HOME"] = home
        chosen = contests(arguments.records, Path(home))
        ratios = [(contest, run(contest, arguments.rounds)) for contest in chosen]
    stall_ms = run_barrier(1_000_000)
    return int(stall_ms > MAX_STALL_MS or any(ratio > c.at_most for c, ratio in ratios))


if __name__ == "__main__":
    sys.exit(main())
