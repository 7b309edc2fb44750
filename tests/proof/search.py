"""Searches for lost and doubled records: every pipeline under many fresh seeds with crashes.

    python -m tests.proof.search --seeds 10000

A seed that fails is printed with its schedule cut to the minimum; the exit code is 1 then.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Final

from streamlet.testing.simulation import (
    CRASH_POINTS,
    SimulationFailure,
    SimulationHang,
    SimulationReport,
)
from tests.testing.simulation.pipelines import PIPELINES

SEEDS_PER_STEP: Final = 50


@dataclass(slots=True)
class Found:
    """What a search went through, and what it found."""

    first_seed: int
    reports: dict[str, SimulationReport] = field(default_factory=dict)
    """By pipeline."""
    divergences: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)

    @property
    def total(self) -> SimulationReport:
        total = SimulationReport()
        for report in self.reports.values():
            total.add(report)
        return total

    @property
    def points_not_died_at(self) -> set[str]:
        return set(CRASH_POINTS) - set(self.total.crashes)

    @property
    def is_clean(self) -> bool:
        return not self.divergences and not self.hangs

    def add(self, step: Step) -> None:
        self.reports.setdefault(step.pipeline, SimulationReport()).add(step.report)
        self.divergences += step.divergences
        self.hangs += step.hangs


@dataclass(slots=True)
class Step:
    """A part of the search, for one process."""

    pipeline: str
    report: SimulationReport = field(default_factory=SimulationReport)
    divergences: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)


def search(seeds: int, first_seed: int, workers: int) -> Found:
    """At least so many seeds over all pipelines, in so many processes; tells its progress."""
    found = Found(first_seed)
    steps = list(_steps(seeds, first_seed))
    with ProcessPoolExecutor(workers) as pool:
        running = [
            pool.submit(run_step, index, of_step, of_step.start == first_seed)
            for index, of_step in steps
        ]
        for done, step in enumerate(as_completed(running), 1):
            found.add(step.result())
            if done % 20 == 0 or done == len(running):
                sys.stderr.write(f"{done * SEEDS_PER_STEP:,} seeds: {found.total}\n")
    return found


def _steps(seeds: int, first_seed: int) -> Iterator[tuple[int, range]]:
    """(index of the pipeline, seeds), so that all pipelines come along together."""
    per_pipeline = -(-seeds // (len(PIPELINES) * SEEDS_PER_STEP))
    for number in range(per_pipeline):
        first = first_seed + number * SEEDS_PER_STEP
        for index in range(len(PIPELINES)):
            yield index, range(first, first + SEEDS_PER_STEP)


def run_step(index: int, seeds: range, sweep: bool) -> Step:
    """Seed after seed; one that fails does not keep the others from being tried.

    With `sweep` it also dies once at every crash point that the pipeline passes.
    """
    pipeline = PIPELINES[index]
    step, simulated = Step(pipeline.__name__), pipeline()
    while seeds:
        try:
            step.report = simulated.simulate(seeds, sweep=sweep)
        except SimulationFailure as failure:
            is_hang = isinstance(failure.__cause__, SimulationHang)
            (step.hangs if is_hang else step.divergences).append(f"{step.pipeline}: {failure}")
            if failure.seed not in seeds:
                break  # the rehearsal or the sweep failed, and would again
            sweep = False
            seeds = seeds[seeds.index(failure.seed) + 1 :]
        else:
            break
    return step


def told(found: Found) -> str:
    """The result in a few lines."""
    lines = [str(found.total)]
    if found.points_not_died_at:
        lines.append(f"no process died at {', '.join(sorted(found.points_not_died_at))}")
    lines += [*found.divergences, *found.hangs]
    lines.append(
        f"seeds from {found.first_seed}: {len(found.divergences)} divergences, "
        f"{len(found.hangs)} hangs"
    )
    return "\n".join(lines)


def _options() -> Namespace:
    """A fresh first seed unless one is given."""
    parser = ArgumentParser(description="search for lost and doubled records")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many at least, in all")
    parser.add_argument("--first-seed", type=int, help="default: a fresh one, printed")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    options = parser.parse_args()
    if options.first_seed is None:
        options.first_seed = time.time_ns() % 10**9
    return options


def main() -> int:
    """Searches; gives the exit code."""
    options = _options()
    sys.stderr.write(f"seeds from {options.first_seed}\n")
    found = search(options.seeds, options.first_seed, options.workers)
    sys.stdout.write(told(found) + "\n")
    return 0 if found.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
