"""What an engine's program is given and what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TypeAlias

Answer: TypeAlias = tuple[int, int]
"""How many results there were, and the sum of one number of each: equal for all engines."""

Workload: TypeAlias = Callable[[str], Answer]
"""Takes the path of the bids."""


def main(*workloads: Workload) -> None:
    """Runs the workload that the command line names, W1 for the first, on the file it names."""
    _, name, path, *_ = sys.argv
    named = {f"W{number}": workload for number, workload in enumerate(workloads, 1)}
    if name not in named:
        print(json.dumps({"absent": f"{name} is not written for this engine"}))
        return
    print(json.dumps({"answer": [int(number) for number in named[name](path)]}))
