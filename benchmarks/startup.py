"""How long a newcomer waits: for `import streamlet`, and for the first result of a tiny job."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

ROUNDS: Final = 15
ROOT: Final = Path(__file__).resolve().parent.parent

IMPORT: Final = "import streamlet; print('done', flush=True)"
TINY_JOB: Final = """
from streamlet import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([("a", 1), ("b", 2)]).key_by(0).sum(1).uid("sums").print()
env.execute("tiny")
"""


def seconds_to_first_line(program: str, home: str) -> float:
    """From starting the interpreter to the first line that the program prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STREAMLET_HOME": home}
    started_s = time.perf_counter()
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took_s = time.perf_counter() - started_s
        process.communicate()
    return took_s


def main() -> None:
    """Prints medians; the interpreter's own start is in all of them."""
    programs = {
        "python alone": "print('done', flush=True)",
        "import streamlet": IMPORT,
        "first result of a tiny job": TINY_JOB,
    }
    with tempfile.TemporaryDirectory() as home:
        for name, program in programs.items():
            took_s = median(seconds_to_first_line(program, home) for _ in range(ROUNDS))
            print(f"{name:28} {took_s * 1_000:5.0f} ms", flush=True)


if __name__ == "__main__":
    main()
