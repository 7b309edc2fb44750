"""What an engine's program is given and what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TypeAlias

Answer: TypeAlias = tuple[int, int]
"""How many results there were, and the sum of one number of each: equal for all engines."""

Workload: TypeAlias = Callable[[str], Answer]
"""Takes the path of the bids; how it ends, .parquet or .jsonl, says what is in the file."""


def numbered(*workloads: Workload) -> dict[str, Workload]:
    """The workloads of an engine by name, W1 for the first."""
    return {f"W{number}": workload for number, workload in enumerate(workloads, 1)}


def main(workloads: Mapping[str, Workload]) -> None:
    """Runs the workload that the command line names on the file that it names."""
    _, name, path, *_ = sys.argv
    if name not in workloads:
        print(json.dumps({"absent": f"{name} is not written for this engine"}))
        return
    print(json.dumps({"answer": [int(number) for number in workloads[name](path)]}))
