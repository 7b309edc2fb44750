"""The right answer for click_sessions.py, without streamlet; and the logs to ask about."""

from __future__ import annotations

import json
import re
import runpy
from calendar import timegm
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import strptime

ROOT = Path(__file__).parents[2]
REAL_LOG = ROOT.parent / "shared" / "data" / "access_log.txt"
GAP_MS = 30 * 60 * 1000

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
    for line in log:
        client, _, rest = line.partition(" ")
        written = rest[rest.index("[") + 1 : rest.index(" +0000]")]
        answer = re.search(r'" \d{3} (\S+)', rest)
        assert answer, line
        size = 0 if answer[1] == "-" else int(answer[1])
        clicks[client].append((timegm(strptime(written, "%d/%b/%Y:%H:%M:%S")) * 1000, size))
    return rows(one for client in clicks for one in _sessions_of(client, sorted(clicks[client])))


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
