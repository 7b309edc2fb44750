"""start_end_duration.py against a dict of starts."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamlet.testing import TripleRun
from tests.e2e.command import Result

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RunExample = Callable[..., Result]
TripleRunExample = Callable[..., TripleRun]
HOUR_MS = 3_600_000


def printed(out: str) -> tuple[Counter[tuple[str, int]], Counter[tuple[str, int]]]:
    """Durations by task, and the starts of overdue tasks."""
    durations: Counter[tuple[str, int]] = Counter()
    overdue: Counter[tuple[str, int]] = Counter()
    for line in out.splitlines():
        record = ast.literal_eval(line[line.index("{") :])
        if line.startswith("overdue"):
            overdue[record["task"], record["start"]] += 1
        else:
            durations[record["task"], record["duration_ms"]] += 1
    return durations, overdue


def events(count: int) -> list[dict[str, Any]]:
    """Tasks of up to six hours, one in ten without an end, by time and then up to 50 s late."""
    rng, made = Random(11), []
    for number in range(count):
        start = number * 60_000
        made.append({"task": f"t{number}", "kind": "START", "ts": start})
        if rng.random() < 0.9:
            end = start + rng.randrange(2 * 60_000, 6 * HOUR_MS)
            made.append({"task": f"t{number}", "kind": "END", "ts": end})
    return sorted(made, key=lambda event: event["ts"] + rng.randrange(50_000))


def test_one_task_ends_and_one_is_overdue(run_example: RunExample, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"task": "backup", "kind": "START", "ts": 0}\n'
        '{"task": "report", "kind": "START", "ts": 1800000}\n'
        '{"task": "backup", "kind": "END", "ts": 7200000}\n'
    )
    assert run_example("start_end_duration", "--", path).out.splitlines() == [
        "{'task': 'backup', 'duration_ms': 7200000}",
        "overdue> {'task': 'report', 'start': 1800000}",
    ]


@pytest.mark.parametrize("words", [["-p", "1"], ["-p", "3", "-D", "state.backend.type=rocksdb"]])
def test_every_task_has_a_duration_or_is_overdue(
    run_example: RunExample, tmp_path: Path, words: list[str]
) -> None:
    made = events(400)
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in made))
    starts = {event["task"]: event["ts"] for event in made if event["kind"] == "START"}
    ends = {event["task"]: event["ts"] for event in made if event["kind"] == "END"}
    in_time = {t: ends[t] - starts[t] for t in ends if ends[t] - starts[t] < 4 * HOUR_MS}

    durations, overdue = printed(run_example("start_end_duration", *words, "--", path).out)

    assert durations == Counter(in_time.items())
    assert overdue == Counter((t, starts[t]) for t in starts if t not in in_time)
    assert 0 < overdue.total() < durations.total()


def test_durations_are_the_same_in_all_three_ways(
    triple_run_example: TripleRunExample, tmp_path: Path
) -> None:
    made = events(300)
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in made))
    starts = {event["task"]: event["ts"] for event in made if event["kind"] == "START"}
    ends = {event["task"]: event["ts"] for event in made if event["kind"] == "END"}
    in_time = {t: ends[t] - starts[t] for t in ends if ends[t] - starts[t] < 4 * HOUR_MS}

    outputs = triple_run_example("start_end_duration", path).outputs

    assert {r["task"]: r["duration_ms"] for r in outputs["print"]} == in_time
    overdue = {r["task"]: r["start"] for r in outputs["print-overdue"]}
    assert overdue == {t: starts[t] for t in starts if t not in in_time}
    assert len(outputs["print"]) + len(overdue) == len(starts)
