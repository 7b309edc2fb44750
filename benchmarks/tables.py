"""The tables of docs/performance.md, made of benchmarks/results.json.

python -m benchmarks.tables
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.results import Measured, Results, load

PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN: Final = "<!-- make bench writes what follows -->"
END: Final = "<!-- end of what make bench writes -->"
FORMATS: Final = {"parquet": "Parquet", "jsonl": "JSON lines"}
WORKLOADS: Final = ("W1", "W2", "W3", "W4", "W5")


@dataclass(frozen=True, slots=True)
class Target:
    """What the project promises: how two engines compare on files of one kind."""

    name: str
    engine: str
    other: str
    format: str
    bounds: tuple[float, ...]
    """One per workload."""
    is_slower: bool = True
    """Whether the bounds say how much slower the engine may be; else how much faster it must be."""

    def ratio(self, results: Results, workload: str) -> float | None:
        """None where one of the two has no figure."""
        engine = results.find(workload, self.format, self.engine)
        other = results.find(workload, self.format, self.other)
        if engine is None or other is None:
            return None
        ratio = engine.row_s() / other.row_s()
        return ratio if self.is_slower else 1 / ratio

    def is_reached(self, ratio: float, bound: float) -> bool:
        """Whether the ratio is what was promised."""
        return ratio <= bound if self.is_slower else ratio >= bound


ROWS, COLUMNS = "streamlet rows", "streamlet columns"
TARGETS: Final = (
    Target("rows, against the dict loop", ROWS, "dict loop", "parquet", (1.5, 2, 1.5, 1.5, 2)),
    Target("columns, against numpy", COLUMNS, "numpy loop", "parquet", (2.5, 2.5, 2.5, 3, 3)),
    Target("columns, against bytewax", COLUMNS, "bytewax", "parquet", (10, 10, 50, 50, 50), False),
    Target("columns, against bytewax", COLUMNS, "bytewax", "jsonl", (10, 10, 50, 50, 50), False),
    Target(
        "columns, against Flink SQL", COLUMNS, "Flink SQL", "jsonl", (10, 10, 10, 20, 20), False
    ),
    Target("rows with checkpoints", "rows, checkpoints", ROWS, "parquet", (1.3,) * 5),
    Target("columns with checkpoints", "columns, checkpoints", COLUMNS, "parquet", (1.3,) * 5),
)


def all_tables(results: Results) -> str:
    """As Markdown: throughput for each kind of file, then the targets."""
    parts = [throughput(results, format_name) for format_name in FORMATS]
    return "\n\n".join([*parts, targets(results), *absent(results)])


def throughput(results: Results, format_name: str) -> str:
    """Millions of bids per CPU second, engines by workloads."""
    here = [one for one in results.measured if one.format == format_name]
    engines = dict.fromkeys(one.engine for one in here)
    title = f"{results.rows:,} bids from {FORMATS[format_name]}"
    lines = _head(title)
    for engine in engines:
        of_engine = {one.workload: one for one in here if one.engine == engine}
        cells = (_cell(of_engine.get(workload), results.rows) for workload in WORKLOADS)
        lines.append(f"| {engine} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _head(title: str) -> list[str]:
    return [f"| {title} | {' | '.join(WORKLOADS)} |", "|" + " --- |" * (len(WORKLOADS) + 1)]


def _cell(measured: Measured | None, rows: int) -> str:
    if measured is None or measured.absent is not None or not measured.cpu_s:
        return "-"
    fewer = f" ({measured.rows:,})" if measured.rows < rows else ""
    return f"{measured.millions():.3g}{fewer}"


def targets(results: Results) -> str:
    """Ratios of CPU time against what is promised."""
    lines = _head("target")
    for target in TARGETS:
        cells = []
        for workload, bound in zip(WORKLOADS, target.bounds, strict=True):
            ratio = target.ratio(results, workload)
            wanted = f"{'<=' if target.is_slower else '>='} {bound:g}"
            if ratio is None:
                cells.append(f"- ({wanted})")
            else:
                missed = "" if target.is_reached(ratio, bound) else ", missed"
                cells.append(f"{ratio:.3g} ({wanted}{missed})")
        words = "times the CPU time" if target.is_slower else "times faster"
        name = f"{target.name}, {FORMATS[target.format]}: {words}"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def absent(results: Results) -> list[str]:
    """A line for each engine without a figure, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in results.measured:
        if one.absent is not None:
            reasons.setdefault((one.engine, one.absent), []).append(f"{one.workload} {one.format}")
    lines = [f"- {engine} ({', '.join(of)}): {why}" for (engine, why), of in reasons.items()]
    return ["No figure:\n\n" + "\n".join(lines)] if lines else []


def publish(results: Results, page: Path = PAGE) -> None:
    """Writes the tables into the page, between its marks."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{all_tables(results)}\n\n{END}{after}")


if __name__ == "__main__":
    publish(load())
    sys.stdout.write(all_tables(load()) + "\n")
