"""`make bench`: every engine on the same bids, in turn; answers compared; tables of throughput.

    python -m benchmarks.full --rows 1000000 --rounds 1

Each run is a process of its own. What counts is the CPU time of all its processes, less what the
same program needs for a file of a thousand bids: start-up. Peers run in environments of their own,
made on first use; an engine that cannot be had is skipped, and the tables say so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import bids
from benchmarks.environments import BOTH, ENGINES, Engine, python_of
from benchmarks.processes import adopt_orphans, run
from benchmarks.results import Measured, Results
from benchmarks.tables import WORKLOADS, all_tables, publish

ROOT: Final = Path(__file__).parents[1]
STARTUP_ROWS: Final = 1_000
WRITERS: Final = {"parquet": bids.write_parquet, "jsonl": bids.write_json_lines}


@dataclass(slots=True)
class Bench:
    """Where the files are, how long a run may take, and the answers that are right."""

    directory: Path
    limit_s: float
    _expected: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def measure(self, measured: Measured) -> None:
        """One run on a few bids and one on all; an engine that fails once is not asked again."""
        few = self._run(measured, STARTUP_ROWS)
        told = self._run(measured, measured.rows) if "answer" in few else few
        if "answer" not in told:
            measured.absent = told.get("absent", "it gave no answer")
            return
        measured.startup_s.append(few["cpu_s"])
        measured.cpu_s.append(told["cpu_s"])
        measured.wall_s.append(told["wall_s"])
        measured.answer = told["answer"]

    def is_right(self, measured: Measured) -> bool:
        """Whether the answer is the numpy loop's."""
        if measured.absent is not None:
            return True
        asked = (measured.workload, measured.rows)
        if asked not in self._expected:
            judge = Measured(measured.workload, "parquet", "numpy loop", measured.rows)
            self._expected[asked] = self._run(judge, measured.rows)["answer"]
        return measured.answer == self._expected[asked]

    def _run(self, measured: Measured, rows: int) -> dict[str, Any]:
        """What the engine told, and what it took; or why there is no answer."""
        engine = ENGINES[measured.engine]
        python, why_not = python_of(engine, self.directory)
        if python is None:
            return {"absent": why_not}
        path = self._file(rows, measured.format)
        words = [python, "-m", f"benchmarks.engines.{engine.module}", measured.workload, str(path)]
        ended = run(words, ROOT, self._environment(engine), self.limit_s)
        if ended.code is None:
            return {"absent": f"not done after {self.limit_s:g} s"}
        lines = [line for line in ended.output.splitlines() if line.startswith("{")]
        if ended.code != 0 or not lines:
            why = (ended.errors.strip() or "it said nothing").splitlines()[-1]
            return {"absent": f"it failed: {why[:200]}"}
        return {"cpu_s": ended.cpu_s, "wall_s": ended.wall_s, **json.loads(lines[-1])}

    def _environment(self, engine: Engine) -> dict[str, str]:
        home = str(self.directory / "home")
        ours = {"PYTHONPATH": str(ROOT), "STREAMLET_HOME": home}
        return {**os.environ, **ours, **engine.environment}

    def _file(self, rows: int, format_name: str) -> Path:
        """The first so many bids; made once."""
        path = self.directory / f"bids-{rows}.{format_name}"
        if not path.exists():
            WRITERS[format_name](path, rows)
        return path


def main() -> int:
    """Measures, prints and publishes; 1 if an answer is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--formats", nargs="*", default=list(BOTH), choices=BOTH)
    parser.add_argument("--directory", type=Path, default=ROOT / ".bench")
    parser.add_argument("--limit", type=float, default=600, help="seconds that a run may take")
    parser.add_argument(
        "--publish", action="store_true", help="write results.json and docs/performance.md"
    )
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    adopt_orphans()
    bench = Bench(options.directory, options.limit)
    results = Results(options.rows, options.rounds, _contests(options))
    for _ in range(options.rounds):
        for measured in results.measured:
            if measured.absent is None:
                bench.measure(measured)
                _tell(measured)
                results.save(options.directory / "results.json")
    print(all_tables(results))
    if options.publish:
        results.save()
        publish(results)
    wrong = [measured for measured in results.measured if not bench.is_right(measured)]
    for measured in wrong:
        print(f"a wrong answer: {measured}")
    return int(bool(wrong))


def _contests(options: argparse.Namespace) -> list[Measured]:
    """Those to be compared stand side by side."""
    return [
        Measured(workload, format_name, name, min(options.rows, most))
        for workload in options.workloads
        for format_name in options.formats
        for name in options.engines
        if format_name in ENGINES[name].formats
        for most in (ENGINES[name].most_rows.get(workload, options.rows),)
    ]


def _tell(measured: Measured) -> None:
    figure = measured.absent or f"{measured.millions():8.3f} M bids per CPU second"
    sys.stderr.write(f"{measured.workload} {measured.format:7} {measured.engine:22} {figure}\n")


if __name__ == "__main__":
    sys.exit(main())
