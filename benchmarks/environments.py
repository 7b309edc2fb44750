"""The engines that are compared, and the environment in which each runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

BOTH: Final = ("parquet", "jsonl")


@dataclass(frozen=True, slots=True)
class Engine:
    """A program of benchmarks/engines, and what it needs."""

    module: str
    requirement: str | None = None
    """What pip installs for it, into an environment of its own; None: what streamlet has."""
    command: str | None = None
    """A program that must be on the machine."""
    environment: Mapping[str, str] = field(default_factory=dict)
    formats: tuple[str, ...] = BOTH
    """How the names of the files end that it is given."""
    most_rows: Mapping[str, int] = field(default_factory=dict)
    """For workloads that would take it hours: it gets the first so many bids."""


OFF: Final = {"STREAMLET_EXECUTION_CHECKPOINTING_INTERVAL": "off"}
EACH_SECOND: Final = {
    "STREAMLET_EXECUTION_CHECKPOINTING_INTERVAL": "1s",
    "STREAMLET_STATE_BACKEND_TYPE": "rocksdb",
}
ONE_THREAD: Final = {"POLARS_MAX_THREADS": "1"}
# Without a limit the JVM takes a quarter of the machine's memory for its heap.
JVM: Final = {"JVM_ARGS": "-Xms1g -Xmx4g"}
FLINK: Final = "apache-flink==2.3.0"
ENGINES: Final = {
    "dict loop": Engine("loop"),
    "numpy loop": Engine("numpy_batches"),
    "polars": Engine("polars_batch", "polars==2.1.0", environment=ONE_THREAD),
    "DuckDB": Engine("duckdb_batch", "duckdb==2.0.0"),
    "streamlet rows": Engine("streamlet_rows", environment=OFF),
    "streamlet columns": Engine("streamlet_columns", environment=OFF),
    "rows, checkpoints": Engine("streamlet_rows", environment=EACH_SECOND, formats=BOTH[:1]),
    "columns, checkpoints": Engine("streamlet_columns", environment=EACH_SECOND, formats=BOTH[:1]),
    "bytewax": Engine(
        "bytewax_flow",
        "bytewax==0.21.1",
        most_rows={"W3": 500_000, "W4": 200_000, "W5": 500_000},
    ),
    "PyFlink": Engine(
        "pyflink_stream",
        FLINK,
        "java",
        JVM,
        BOTH[1:],
        {"W1": 1_000_000, "W2": 200_000, "W3": 50_000, "W4": 20_000, "W5": 20_000},
    ),
    "Flink SQL": Engine("flink_sql", FLINK, "java", JVM, BOTH[1:]),
}


def python_of(engine: Engine, directory: Path) -> tuple[str | None, str]:
    """The interpreter for the engine, or None and why it cannot be had."""
    if engine.command is not None and shutil.which(engine.command) is None:
        return None, f"{engine.command} is not on this machine"
    if engine.requirement is None:
        return sys.executable, ""
    return _made(engine.requirement, directory), f"{engine.requirement} cannot be installed here"


@cache
def _made(requirement: str, directory: Path) -> str | None:
    place = directory / requirement.partition("=")[0]
    python = place / "bin" / "python"
    made = place / "made"
    if not made.exists():
        sys.stderr.write(f"installing {requirement}\n")
        venv.create(place, with_pip=True)
        words = [str(python), "-m", "pip", "install", "--quiet", requirement]
        if subprocess.run([*words, "msgspec", "numpy", "pyarrow"]).returncode != 0:
            return None
        made.touch()
    return str(python)
