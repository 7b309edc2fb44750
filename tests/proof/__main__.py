"""The whole proof: simulated seeds, kills of real processes, planted bugs; and its published page.

python -m tests.proof --publish        what `make proof` runs, about a quarter of an hour
python -m tests.proof --quick          a slice of it with fresh seeds, for every change
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from tests.proof.mutants import plant_all
from tests.proof.page import Figures, publish
from tests.proof.search import search, told

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = 12_000
KILLS: Final = 1_000
QUICK_SEEDS: Final = 1_000
QUICK_KILLS: Final = 40


def main() -> int:
    """Runs all three parts, prints what they found; 1 if anything was wrong."""
    parser = ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a slice of a few minutes")
    parser.add_argument("--publish", action="store_true", help="write docs/reliability.md")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    options = parser.parse_args()
    seeds, kills = (QUICK_SEEDS, QUICK_KILLS) if options.quick else (SEEDS, KILLS)
    say(f"fresh seeds from {options.seed}")
    found = search(seeds, options.seed, workers=2)
    say(told(found))
    figures = Figures(
        found,
        _kill(kills, options.seed),
        {} if options.quick else plant_all(),
    )
    say(figures.told())
    if options.publish and figures.is_clean:
        publish(figures, ROOT / "docs" / "reliability.md")
    return 0 if figures.is_clean else 1


def say(text: str) -> None:
    """To stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _kill(kills: int, seed: int) -> dict[str, Any]:
    """The summary of a campaign of kills."""
    words = [sys.executable, str(ROOT / "tests/proof/kills.py"), "--kills", str(kills)]
    ended = subprocess.run([*words, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
    summary: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return summary


if __name__ == "__main__":
    sys.exit(main())
