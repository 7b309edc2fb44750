"""The engines that are compared, and the environment in which each runs."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Engine:
    """A program of benchmarks/engines, and what it needs."""

    module: str
    requirement: str | None = None
    """What pip installs for it, into an environment of its own; None: what streamlet has."""
    environment: Mapping[str, str] = field(default_factory=dict)


OFF: Final = {"STREAMLET_EXECUTION_CHECKPOINTING_INTERVAL": "off"}
EACH_SECOND: Final = {
    "STREAMLET_EXECUTION_CHECKPOINTING_INTERVAL": "1s",
    "STREAMLET_STATE_BACKEND_TYPE": "rocksdb",
}
ENGINES: Final = {
    "dict loop": Engine("benchmarks.engines.loop"),
    "numpy loop": Engine("benchmarks.engines.numpy_batches"),
    "polars": Engine("benchmarks.engines.polars_batch", "polars==2.1.0"),
    "streamlet rows": Engine("benchmarks.engines.streamlet_rows", environment=OFF),
    "with checkpoints": Engine("benchmarks.engines.streamlet_rows", environment=EACH_SECOND),
    "bytewax": Engine("benchmarks.engines.bytewax_flow", "bytewax==0.21.1"),
}


@cache
def _made(requirement: str, directory: Path) -> str | None:
    place = directory / requirement.partition("=")[0]
    python = place / "bin" / "python"
    if not python.exists():
        sys.stderr.write(f"installing {requirement}\n")
        venv.create(place, with_pip=True)
        words = [python, "-m", "pip", "install", "--quiet", requirement, "numpy", "pyarrow"]
        if subprocess.run(words).returncode != 0:
            return None
    return str(python)


def python_of(engine: Engine, directory: Path) -> str | None:
    """The interpreter for the engine; None if its packages cannot be installed."""
    if engine.requirement is None:
        return sys.executable
    return _made(engine.requirement, directory)
