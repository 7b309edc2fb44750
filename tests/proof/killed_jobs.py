"""The jobs that the campaign of kills runs, their inputs, and their answers without streamlet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.golden import (
    ROOT,
    Rows,
    access_log,
    rows,
    running_counts,
    sessions,
    tasks,
    windows,
)

JOBS = ROOT / "tests" / "e2e" / "jobs"
COPIES = 3
TASKS = 12_000
DAY = re.compile(r"\[(\d\d)(?=/May/)")


@dataclass(frozen=True, slots=True)
class Subject:
    """A job, what it reads, and what it must have written in the end."""

    name: str
    job: Path
    input: Path
    golden: Rows


def subjects(directory: Path) -> list[Subject]:
    """Writes the inputs into the directory; gives every job with its answer."""
    lines = _long_log(access_log(directory).read_text().splitlines())
    log = _written(directory / "long.log", lines)
    logs = directory / "logs"
    logs.mkdir()
    for number in range(2):
        _written(logs / f"{number}.log", lines[number : len(lines) // 2 : 2])
    events, durations = tasks(TASKS)
    path = _written(directory / "events.jsonl", map(json.dumps, events))
    found = sessions(lines)
    return [
        Subject("sessions", ROOT / "examples" / "click_sessions.py", log, found),
        Subject("durations", JOBS / "durations.py", path, durations),
        Subject("windows", JOBS / "windows.py", log, windows(lines)),
        Subject("partitioned", JOBS / "partitioned_sessions.py", log, found),
        Subject(
            "union",
            JOBS / "running_counts.py",
            logs,
            running_counts(lines[: len(lines) // 2], times=2),
        ),
        Subject("copied", JOBS / "copied.py", path, rows(events)),
        Subject("delayed", JOBS / "delayed.py", path, rows(events)),
    ]


def _long_log(log: list[str]) -> list[str]:
    """Copies of the log one after the other in time, so that a run of the job lasts longer."""
    days = [int(match[1]) for line in log if (match := DAY.search(line))]
    span = max(days) - min(days) + 1

    def moved(line: str, by: int) -> str:
        return DAY.sub(lambda match: f"[{int(match[1]) + by:02}", line)

    return [moved(line, copy * span) for copy in range(COPIES) for line in log]


def _written(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path
