"""The right answers for the jobs here, without streamlet; and the inputs to ask about."""

from __future__ import annotations

import json
import re
import runpy
from calendar import timegm
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from random import Random
from time import strptime
from typing import Any

ROOT = Path(__file__).parents[2]
REAL_LOG = ROOT.parent / "shared" / "data" / "access_log.txt"
GAP_MS = 30 * 60 * 1000
HOUR_MS = 60 * 60 * 1000

Rows = Counter[str]
"""How often each record stands in an output; records as JSON with sorted keys."""


def access_log(directory: Path) -> Path:
    """The real log where it is at hand, else one like it."""
    if REAL_LOG.exists():
        return REAL_LOG
    return generated_log(directory / "access.log")


def generated_log(path: Path, lines: int = 10_000) -> Path:
    """A log of the same disorder, written by the example that `make demo` uses."""
    script = runpy.run_path(str(ROOT / "examples" / "make_access_log.py"))
    script["main"](str(path), lines)
    return path


def sessions(log: Iterable[str]) -> Rows:
    """Every client's clicks in order of time, cut where more than the gap lies between two."""
    clicks: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for client, time_ms, size in _clicks(log):
        clicks[client].append((time_ms, size))
    return rows(one for client in clicks for one in _sessions_of(client, sorted(clicks[client])))


def _clicks(log: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """(client, epoch ms, bytes) of each line."""
    for line in log:
        client, _, rest = line.partition(" ")
        written = rest[rest.index("[") + 1 : rest.index(" +0000]")]
        answer = re.search(r'" \d{3} (\S+)', rest)
        assert answer, line
        size = 0 if answer[1] == "-" else int(answer[1])
        yield client, timegm(strptime(written, "%d/%b/%Y:%H:%M:%S")) * 1000, size


def _sessions_of(client: str, clicks: list[tuple[int, int]]) -> list[dict[str, object]]:
    groups: list[list[tuple[int, int]]] = []
    for click in clicks:
        if not groups or click[0] - groups[-1][-1][0] > GAP_MS:
            groups.append([])
        groups[-1].append(click)
    return [
        {
            "client": client,
            "window_start": group[0][0],
            "window_end": group[-1][0] + GAP_MS,
            "clicks": len(group),
            "bytes": sum(size for _, size in group),
        }
        for group in groups
    ]


def windows(log: Iterable[str]) -> Rows:
    """What jobs/windows.py must find."""
    hourly: Counter[tuple[str, int]] = Counter()
    recent: Counter[tuple[str, int]] = Counter()
    for client, time_ms, size in _clicks(log):
        hourly[client, time_ms - time_ms % HOUR_MS] += 1
        latest = time_ms - time_ms % (HOUR_MS // 2)
        for back in range(4):
            recent[client, latest - back * HOUR_MS // 2] += size
    return rows(
        {"client": client, "window_start": start, "window_end": start + size_ms, name: value}
        for name, size_ms, counted in (
            ("hourly", HOUR_MS, hourly),
            ("recent", 2 * HOUR_MS, recent),
        )
        for (client, start), value in counted.items()
    )


def running_counts(log: Iterable[str], times: int) -> Rows:
    """What jobs/running_counts.py must find when it reads so many copies of the log."""
    clients = Counter(line.partition(" ")[0] for line in log)
    return rows(
        {"client": client, "n": number}
        for client, count in clients.items()
        for number in range(1, count * times + 1)
    )


def tasks(count: int) -> tuple[list[dict[str, Any]], Rows]:
    """Starts and ends in order of time, and what jobs/durations.py must know in the end."""
    rng, events, known = Random(count), [], []
    for number in range(count):
        task, start = f"t{number}", number * 60_000
        events.append({"task": task, "kind": "START", "ts": start})
        if rng.random() < 0.8:
            duration_ms = rng.randrange(4 * HOUR_MS)
            events.append({"task": task, "kind": "END", "ts": start + duration_ms})
            known.append({"task": task, "duration_ms": duration_ms})
        else:
            known.append({"task": task, "start": start})
    return sorted(events, key=itemgetter("ts")), rows(known)


def rows(records: Iterable[object]) -> Rows:
    return Counter(json.dumps(record, sort_keys=True) for record in records)


def written(out: Path) -> Rows:
    """What readers of an output directory see; a half line or a half file fails here."""
    found: list[object] = []
    for part in sorted(out.rglob("part-*.jsonl")):
        content = part.read_text()
        assert content.endswith("\n"), f"{part} is cut off"
        found += [json.loads(line) for line in content.splitlines()]
    return rows(found)
