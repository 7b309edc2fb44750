"""Runs a program and says what CPU time it took, with all that it started."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PR_SET_CHILD_SUBREAPER: Final = 36
GRACE_S: Final = 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    cpu_s: float
    """Of the program and of all processes below it, be they its children or orphans."""
    wall_s: float
    """Until the program itself ended."""
    code: int | None
    """None: it was stopped because it took too long."""
    output: str
    errors: str


def adopt_orphans() -> None:
    """Makes this process the parent of orphans below it, so that their CPU time is its children's.

    PyFlink's JVM outlives the Python process that started it, and nobody else would wait for it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(words: Sequence[str], place: Path, environment: Mapping[str, str], limit_s: float) -> Ended:
    """Runs the program to its end and that of all it started, or for `limit_s` seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Files, not pipes: an orphan that holds a pipe open would keep us reading.
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = subprocess.Popen(
            words, cwd=place, env=environment, stdout=output, stderr=errors, text=True
        )
        started_at = time.monotonic()
        code: int | None
        try:
            code = started.wait(limit_s)
            wall_s = time.monotonic() - started_at
            _reap(GRACE_S)
        except subprocess.TimeoutExpired:
            code, wall_s = None, limit_s
            started.kill()
            started.wait()
            _reap(0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        output.seek(0)
        errors.seek(0)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Ended(cpu_s, wall_s, code, output.read(), errors.read())


def _reap(grace_s: float) -> None:
    """Waits for orphans; those that are still there after the grace are killed."""
    deadline = time.monotonic() + grace_s
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() >= deadline:
            for orphan in _children():
                os.kill(orphan, signal.SIGKILL)
        time.sleep(0.01)


def _children() -> list[int]:
    own = os.getpid()
    return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
