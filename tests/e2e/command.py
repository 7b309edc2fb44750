"""Calls the real command line in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.e2e.golden import ROOT

ENTRY = "import sys; from streamlet.cli.main import main; sys.exit(main())"
TIMEOUT_S = 60

Running: TypeAlias = "subprocess.Popen[str]"


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

    def start(self, *words: str | Path) -> Running:
        """Starts the command and comes back at once."""
        return self._start(self._words(words))

    def start_python(self, *words: str | Path) -> Running:
        """Starts python itself, with the home and the directory of the command."""
        return self._start([sys.executable, *map(str, words)])

    def _start(self, words: list[str]) -> Running:
        return subprocess.Popen(
            words,
            cwd=self.directory,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self, job: str) -> dict[str, Any]:
        """What a running job reports; nothing as long as it cannot be reached."""
        done = self("status", job, "--format", "json")
        answer: dict[str, Any] = json.loads(done.out) if done.code == 0 else {}
        return answer

    def wait_for(self, job: str, process: Running, read: int, written: int = 0) -> None:
        """Comes back when sources have read, and the last sink has got, so many records."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise AssertionError(f"the job has ended: {process.communicate()}")
            operators = self.status(job).get("operators")
            if (
                operators
                and operators[0]["records_out"] >= read
                and operators[-1]["records_in"] >= written
            ):
                return
            time.sleep(0.02)
        raise AssertionError(f"no {read} records read and {written} written in {TIMEOUT_S} s")

    def wait_for_checkpoint(self, job: str, process: Running) -> None:
        """Comes back when a checkpoint is complete that was begun after this was called."""
        deadline_s, first = time.monotonic() + TIMEOUT_S, None
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise AssertionError(f"the job has ended: {process.communicate()}")
            told = self.status(job).get("last_checkpoint")
            # A job that does not run yet is told of as its latest run ended: by a mere number.
            latest = told["id"] if isinstance(told, dict) else 0
            first = latest if first is None else first
            if latest >= first + 2:
                return
            time.sleep(0.02)
        raise AssertionError(f"no two checkpoints in {TIMEOUT_S} s")

    def wait_for_attempt(self, job: str, process: Running, attempt: int) -> None:
        """Comes back when the job has been restarted so often that this is its attempt."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise AssertionError(f"the job has ended: {process.communicate()}")
            if self.status(job).get("attempt", 0) >= attempt:
                return
            time.sleep(0.02)
        raise AssertionError(f"no attempt {attempt} in {TIMEOUT_S} s")

    def _words(self, words: tuple[str | Path, ...]) -> list[str]:
        return [sys.executable, "-c", ENTRY, *map(str, words)]

    def _environment(self) -> dict[str, str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith("STREAMLET_")}
        path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
        return {**kept, "STREAMLET_HOME": str(self.home), "PYTHONPATH": path}
