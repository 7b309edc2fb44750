"""The figures of a proof, and their place in docs/reliability.md."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streamlet import __version__
from streamlet.testing.simulation import CRASH_POINTS
from tests.proof.search import Found

BEGIN: Final = "<!-- figures: written by make proof -->"
END: Final = "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Figures:
    """What the three parts of a proof gave."""

    found: Found
    kills: dict[str, Any]
    """The summary of tests/proof/kills.py."""
    mutants: dict[str, int | None]
    """By planted bug: the seed that found it. Empty: none were planted."""

    @property
    def caught(self) -> int:
        return sum(seed is not None for seed in self.mutants.values())

    @property
    def divergences(self) -> int:
        return len(self.found.divergences) + int(self.kills["divergences"])

    @property
    def hangs(self) -> int:
        return len(self.found.hangs) + int(self.kills["hangs"])

    @property
    def is_clean(self) -> bool:
        return not self.divergences and not self.hangs and self.caught == len(self.mutants)

    def rows(self) -> list[tuple[str, str]]:
        """What is published, in its order."""
        total = self.found.total
        caught = f"{self.caught} / {len(self.mutants)}"
        died_at = len(CRASH_POINTS) - len(self.found.points_not_died_at)
        return [
            ("seeds run", f"{len(total.seeds):,} over {len(self.found.reports)} pipelines"),
            ("simulated processes", f"{total.processes:,}"),
            ("simulated crashes", f"{total.crashes.total():,}"),
            ("crash points hit / listed", f"{died_at} / {len(CRASH_POINTS)}"),
            ("operations that failed", f"{total.errors.total():,}"),
            ("full disks, flipped bits", f"{total.full_disks:,}, {total.flips:,}"),
            ("savepoints", f"{total.savepoints:,}"),
            ("restores refused for damaged files", f"{total.refused:,}"),
            ("restores refused for discarded output", f"{total.turned_away:,}"),
            ("kills of real processes", f"{self.kills['kills']:,} in {self.kills['runs']:,} runs"),
            ("records checked", f"{total.records + int(self.kills['records_checked']):,}"),
            ("divergences", f"{self.divergences}"),
            ("hangs", f"{self.hangs}"),
            *([("planted bugs caught / planted", caught)] if self.mutants else []),
        ]

    def told(self) -> str:
        """For a terminal."""
        width = max(len(name) for name, _ in self.rows())
        return "\n".join(f"{name:{width}}  {value}" for name, value in self.rows())


def publish(figures: Figures, page: Path) -> None:
    """Replaces the figures of the page; its prose is kept by hand."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = "\n".join(_lines(figures))
    page.write_text(f"{before}{BEGIN}\n\n{lines}\n\n{END}{after}")


def _lines(figures: Figures) -> Iterator[str]:
    python = platform.python_version()
    yield f"streamlet {__version__}, Python {python}, seeds from {figures.found.first_seed}:"
    yield ""
    yield from _table(("", ""), figures.rows())
    yield ""
    yield "Per pipeline:"
    yield ""
    yield from _table(
        ("pipeline", "seeds", "crashes", "records"),
        [
            (name.replace("_", " "), len(report.seeds), report.crashes.total(), report.records)
            for name, report in figures.found.reports.items()
        ],
    )
    yield ""
    yield "Where real processes were killed:"
    yield ""
    yield from _table(("moment", "kills"), sorted(figures.kills["positions"].items()))
    yield ""
    yield "Planted bugs, and the first seed that met each:"
    yield ""
    yield from _table(
        ("bug", "seed"),
        [(name.replace("_", " "), seed) for name, seed in figures.mutants.items()],
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        yield f"| {' | '.join(cells)} |"
