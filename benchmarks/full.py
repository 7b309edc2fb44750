"""`make bench`: every engine on the same bids, in turn; answers compared; a table of throughput.

    python -m benchmarks.full --rows 2000000 --rounds 3

Each run is a process of its own. What counts is the CPU time of all its processes, less what the
same program needs for a file of a thousand bids: start-up. Peers run in environments of their own,
made on first use; an engine that cannot be had is skipped, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks import bids
from benchmarks.environments import ENGINES, Engine, python_of

ROOT: Final = Path(__file__).parents[1]
WORKLOADS: Final = {
    "W1": "filter and map",
    "W2": "running count per auction, one result per record",
    "W3": "tumbling 10 s: count and sum per auction",
    "W4": "sessions per bidder, gap 30 s",
    "W5": "sliding 10 s / 2 s: counts per auction, then the most per window",
}
STARTUP_ROWS: Final = 1_000
TIMEOUT_S: Final = 900


@dataclass(slots=True)
class Measured:
    """The runs of one engine on one workload."""

    cpu_s: list[float] = field(default_factory=list)
    startup_s: list[float] = field(default_factory=list)
    answer: Any = None
    absent: str | None = None
    """Why there is no figure."""

    def net_s(self) -> float:
        """CPU seconds for the records alone."""
        return max(median(self.cpu_s) - median(self.startup_s), 1e-3)


def main() -> int:
    """Measures, prints and writes benchmarks/results.json; 1 if two answers differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--workloads", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--directory", type=Path, default=ROOT / ".bench")
    options = parser.parse_args()
    files = _files(options.directory, options.rows)
    results = {
        (workload, name): Measured() for workload in options.workloads for name in options.engines
    }
    for _ in range(options.rounds):
        for (workload, name), measured in results.items():
            if measured.absent is None:
                _measure(ENGINES[name], workload, files, options.directory, measured)
                _tell(workload, name, measured, options.rows)
    print(table(results, options.rows))
    _write(results, options.rows)
    return int(not _agree(results))


def _files(directory: Path, rows: int) -> dict[int, Path]:
    """The bids and the few for start-up; made once."""
    directory.mkdir(exist_ok=True)
    files = {count: directory / f"bids-{count}.parquet" for count in (rows, STARTUP_ROWS)}
    for count, path in files.items():
        if not path.exists():
            bids.write_parquet(path, count)
    return files


def _measure(
    engine: Engine, workload: str, files: dict[int, Path], directory: Path, measured: Measured
) -> None:
    """One run on the few bids and one on all."""
    rows, startup = files.values()
    for path, seconds in ((startup, measured.startup_s), (rows, measured.cpu_s)):
        cpu_s, told = _run(engine, workload, path, directory)
        if "answer" not in told:
            measured.absent = told.get("absent", "no answer")
            return
        seconds.append(cpu_s)
        measured.answer = told["answer"]


def _run(
    engine: Engine, workload: str, path: Path, directory: Path
) -> tuple[float, dict[str, Any]]:
    """The CPU seconds of the process and all its children, and what it told."""
    python = python_of(engine, directory)
    if python is None:
        return 0.0, {"absent": f"{engine.requirement} cannot be installed here"}
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "STREAMLET_HOME": str(directory / "home"),
        **engine.environment,
    }
    words = [python, "-m", engine.module, workload, str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        ended = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return 0.0, {"absent": f"not done after {TIMEOUT_S} s"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if ended.returncode != 0:
        return 0.0, {"absent": "it failed: " + ended.stderr.strip().splitlines()[-1][:200]}
    told: dict[str, Any] = json.loads(ended.stdout.strip().splitlines()[-1])
    return cpu_s, told


def _tell(workload: str, name: str, measured: Measured, rows: int) -> None:
    figure = measured.absent or f"{rows / measured.net_s() / 1e6:8.3f} M bids per CPU second"
    sys.stderr.write(f"{workload} {name:22} {figure}\n")


def table(results: dict[tuple[str, str], Measured], rows: int) -> str:
    """Millions of bids per CPU second, engines by workloads, as Markdown."""
    workloads = list(dict.fromkeys(workload for workload, _ in results))
    engines = list(dict.fromkeys(name for _, name in results))
    lines = [f"| {rows:,} bids | {' | '.join(workloads)} |", "|" + " --- |" * (len(workloads) + 1)]
    for name in engines:
        cells = (_cell(results[workload, name], rows) for workload in workloads)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    absent = {f"{name}: {m.absent}" for (_, name), m in results.items() if m.absent}
    return "\n".join([*lines, "", *sorted(absent)])


def _cell(measured: Measured, rows: int) -> str:
    return "-" if measured.absent else f"{rows / measured.net_s() / 1e6:.3g}"


def _write(results: dict[tuple[str, str], Measured], rows: int) -> None:
    told = [
        {
            "workload": workload,
            "engine": name,
            "rows": rows,
            "cpu_s": measured.cpu_s,
            "startup_s": measured.startup_s,
            "absent": measured.absent,
        }
        for (workload, name), measured in results.items()
    ]
    (ROOT / "benchmarks" / "results.json").write_text(json.dumps(told, indent=1) + "\n")


def _agree(results: dict[tuple[str, str], Measured]) -> bool:
    answers: dict[str, dict[str, Any]] = {}
    for (workload, name), measured in results.items():
        if measured.absent is None:
            answers.setdefault(workload, {})[name] = tuple(measured.answer)
    differ = {w: given for w, given in answers.items() if len(set(given.values())) > 1}
    for workload, given in differ.items():
        print(f"{workload}: the answers differ: {given}")
    return not differ


if __name__ == "__main__":
    sys.exit(main())
