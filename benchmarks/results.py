"""What was measured, in memory and in benchmarks/results.json."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

FILE: Final = Path(__file__).parent / "results.json"


@dataclass(slots=True)
class Measured:
    """The runs of one engine on one workload and one kind of file."""

    workload: str
    format: str
    """How the file's name ends: parquet or jsonl."""
    engine: str
    rows: int
    cpu_s: list[float] = field(default_factory=list)
    """One per round."""
    startup_s: list[float] = field(default_factory=list)
    """The same program on a file of a thousand bids."""
    wall_s: list[float] = field(default_factory=list)
    """One per round, start-up included. Far more than CPU time: the machine was busy, and there
    were more checkpoints for the same bids."""
    answer: list[int] | None = None
    """How many results there were, and the sum of one number of each."""
    absent: str | None = None
    """Why there is no figure."""

    def row_s(self) -> float:
        """CPU seconds per bid, start-up taken off."""
        return max(median(self.cpu_s) - median(self.startup_s), 1e-3) / self.rows

    def millions(self) -> float:
        """Bids per CPU second, in millions."""
        return 1e-6 / self.row_s()


@dataclass(frozen=True, slots=True)
class Results:
    """All that one run of `make bench` measured."""

    rows: int
    rounds: int
    measured: list[Measured]

    def find(self, workload: str, format: str, engine: str) -> Measured | None:  # noqa: A002
        """The figure of one cell; None if there is none."""
        for one in self.measured:
            if (one.workload, one.format, one.engine) == (workload, format, engine):
                return one if one.absent is None and one.cpu_s else None
        return None

    def save(self, path: Path = FILE) -> None:
        """As JSON, with what is needed to read the figures."""
        told: dict[str, Any] = {
            "rows": self.rows,
            "rounds": self.rounds,
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "measured": [asdict(one) for one in self.measured],
        }
        path.write_text(json.dumps(told, indent=1) + "\n")


def load(path: Path = FILE) -> Results:
    """What `save` wrote."""
    told = json.loads(path.read_text())
    return Results(told["rows"], told["rounds"], [Measured(**one) for one in told["measured"]])
