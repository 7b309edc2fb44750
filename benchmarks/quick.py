"""`make bench-quick`: rows and columns against plain dict loops, as ratios of CPU time in one run.

The programs are those of `make bench`, here in one process. Loop and pipelines take turns, so that
a machine that slows down slows all. CPU time is that of the process, threads included; what is
printed is the ratio of the medians. Every answer is compared with the loop's.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import bids
from benchmarks.engines import loop, streamlet_columns, streamlet_rows
from benchmarks.engines.told import Answer, Workload

WARM_UP_ROWS: Final = 20_000
ENGINES: Final = {
    "loop": loop.WORKLOADS,
    "rows": streamlet_rows.WORKLOADS,
    "columns": streamlet_columns.WORKLOADS,
}
AT_MOST: Final = {
    "W1": {"rows": 1.5, "columns": 1.0},
    "W2": {"rows": 2.0, "columns": 1.0},
    "W3": {"rows": 1.5, "columns": 1.0},
    "W4": {"rows": 1.5, "columns": 1.0},
    "W5": {"rows": 2.0, "columns": 1.0},
}
"""The ratios that the project aims at."""
FAR_BEYOND: Final = 2.0
"""So many times its bound a ratio is a failure: something has become slow."""


def cpu_seconds(work: Workload, path: Path) -> tuple[float, Answer]:
    """The CPU time of the process while `work` ran, and what it gave."""
    gc.collect()
    started = time.process_time()
    answer = work(str(path))
    return time.process_time() - started, answer


def seconds(workload: str, path: Path, rounds: int) -> dict[str, float]:
    """The median of each engine's CPU seconds."""
    taken: dict[str, list[float]] = {name: [] for name in ENGINES}
    for _ in range(rounds):
        answers = {}
        for name, workloads in ENGINES.items():
            cpu_s, answers[name] = cpu_seconds(workloads[workload], path)
            taken[name].append(cpu_s)
        if len(set(answers.values())) > 1:
            raise SystemExit(f"{workload}: the answers differ: {answers}")
    return {name: median(of) for name, of in taken.items()}


def is_far_beyond(workload: str, taken: dict[str, float]) -> bool:
    """Prints the ratios."""
    is_far = False
    words = [f"{workload}  loop {taken['loop']:5.2f} s"]
    for name, bound in AT_MOST[workload].items():
        ratio = taken[name] / taken["loop"]
        verdict = "ok" if ratio <= bound else "missed"
        words.append(f"{name} {taken[name]:5.2f} s, ratio {ratio:4.2f} (<= {bound:g}: {verdict})")
        is_far |= ratio > FAR_BEYOND * bound
    print("   ".join(words), flush=True)
    return is_far


def main() -> int:
    """Runs all workloads; 1 if a ratio is far beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["STREAMLET_HOME"] = directory
        few, all_bids = (Path(directory, f"{name}.parquet") for name in ("few", "all"))
        bids.write_parquet(few, WARM_UP_ROWS)
        bids.write_parquet(all_bids, options.rows)
        are_far = []
        for workload in AT_MOST:
            seconds(workload, few, 1)  # imports and first-time costs are start-up, not throughput
            taken = seconds(workload, all_bids, options.rounds)
            are_far.append(is_far_beyond(workload, taken))
    return int(any(are_far))


if __name__ == "__main__":
    sys.exit(main())
