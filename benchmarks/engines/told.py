"""What an engine's program is given and what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Answer: TypeAlias = tuple[int, int]
"""How many results there were, and the sum of one number of each: equal for all engines."""

Workloads: TypeAlias = Mapping[str, Callable[[str], Answer]]
"""By name (W1 to W5): takes the path of the bids."""


def main(workloads: Workloads) -> None:
    """Runs the workload that the command line names, on the file it names."""
    _, name, path, *_ = sys.argv
    if name not in workloads:
        print(json.dumps({"absent": f"{name} is not written for this engine"}))
        return
    answer: Any = workloads[name](path)
    print(json.dumps({"answer": [int(number) for number in answer]}))
