"""Calls the real command line in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.e2e.golden import ROOT

ENTRY = "import sys; from streamlet.cli.main import main; sys.exit(main())"
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`streamlet` with a home of its own, called from `directory`."""

    directory: Path

    @property
    def home(self) -> Path:
        return self.directory / "home"

    def __call__(self, *words: str | Path) -> Result:
        """Runs the command to its end."""
        done = subprocess.run(
            self._words(words),
            cwd=self.directory,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str | Path, stderr: int | IO[str] = subprocess.PIPE) -> "Running":
        """Starts the command and comes back at once."""
        return subprocess.Popen(
            self._words(words),
            cwd=self.directory,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def _words(self, words: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-c", ENTRY, *map(str, words)]

    def _environment(self) -> dict[str, str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith("STREAMLET_")}
        path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
        return {**kept, "STREAMLET_HOME": str(self.home), "PYTHONPATH": path}


Running = subprocess.Popen[str]
