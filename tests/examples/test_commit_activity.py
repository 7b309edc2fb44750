"""commit_activity.py against a Counter of authors and weeks."""

from __future__ import annotations

import ast
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamlet.testing import TripleRun
from tests.e2e.command import Result
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RunExample = Callable[..., Result]
TripleRunExample = Callable[..., TripleRun]
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
REAL_COMMITS = ROOT.parent / "shared" / "data" / "kafka_commits.jsonl"

Activity = Counter[tuple[str, int]]
"""Commits by author and start of the week."""


def activity_of(commits: Iterable[dict[str, Any]]) -> Activity:
    return Counter(
        (commit["author"], commit["committed_at"] // WEEK_MS * WEEK_MS) for commit in commits
    )


def newest_results(out: Path) -> Activity:
    """Of several results for one author and week the one that counts."""
    newest: Activity = Counter()
    for part in out.glob("part-*.jsonl"):
        for result in map(json.loads, part.read_text().splitlines()):
            assert result["window_end"] - result["window_start"] == WEEK_MS
            assert result["window_start"] <= result["last"] < result["window_end"]
            place = result["author"], result["window_start"]
            newest[place] = max(newest[place], result["commits"])
    return newest


def late_commits(out: str) -> list[dict[str, Any]]:
    return [ast.literal_eval(line[line.index("{") :]) for line in out.splitlines()]


def commits(count: int) -> list[dict[str, Any]]:
    """One every six hours or so; one in fifty comes up to 100 days late."""
    rng = Random(3)
    made = [
        {"author": f"a{rng.randrange(12)}", "committed_at": number * DAY_MS // 4}
        for number in range(count)
    ]
    late = {id(commit): rng.randrange(100 * DAY_MS) for commit in rng.sample(made, count // 50)}
    return sorted(made, key=lambda commit: commit["committed_at"] + late.get(id(commit), 0))


@pytest.mark.parametrize("words", [["-p", "1"], ["-p", "3", "-D", "execution.batch-size=5"]])
def test_every_commit_is_counted_in_its_week_or_said_to_be_late(
    run_example: RunExample, tmp_path: Path, words: list[str]
) -> None:
    made = commits(2_000)
    path = tmp_path / "commits.jsonl"
    path.write_text("".join(json.dumps(commit) + "\n" for commit in made))
    often = ["-D", "pipeline.auto-watermark-interval=1ms"]
    out = run_example("commit_activity", *words, *often, "--", path, tmp_path / "out").out
    late = activity_of(late_commits(out))
    assert newest_results(tmp_path / "out") + late == activity_of(made)


def test_history_in_order_gives_the_same_in_all_three_ways(
    triple_run_example: TripleRunExample, tmp_path: Path
) -> None:
    """In order, because how often a week is corrected depends on how far time has come."""
    made = sorted(commits(1_000), key=lambda commit: commit["committed_at"])
    path = tmp_path / "commits.jsonl"
    path.write_text("".join(json.dumps(commit) + "\n" for commit in made))
    outputs = triple_run_example("commit_activity", path, tmp_path / "out").outputs
    weeks = Counter({(r["author"], r["window_start"]): r["commits"] for r in outputs["results"]})
    assert weeks == activity_of(made)
    assert len(outputs["results"]) == len(weeks)
    assert outputs["late"] == []


def test_the_history_of_kafka(run_example: RunExample, tmp_path: Path) -> None:
    if not REAL_COMMITS.exists():
        pytest.skip("the real history is not at hand")
    made = [json.loads(line) for line in REAL_COMMITS.read_text().splitlines()]
    out = run_example("commit_activity", "-p", "2", "--", REAL_COMMITS, tmp_path / "out").out
    late = activity_of(late_commits(out))
    assert newest_results(tmp_path / "out") + late == activity_of(made)
    assert late.total() < 500


def test_the_git_command_that_it_names_gives_what_it_reads(
    run_example: RunExample, tmp_path: Path
) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    git = ["git", "-C", str(tmp_path / "repo"), *identity]
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", 'one "quoted"'], check=True)
    pretty = "--pretty=" + _pretty_of((ROOT / "examples" / "commit_activity.py").read_text())
    history = subprocess.run([*git, "log", "--reverse", pretty], check=True, capture_output=True)
    (tmp_path / "commits.jsonl").write_bytes(history.stdout)
    run_example("commit_activity", "--", tmp_path / "commits.jsonl", tmp_path / "out")
    (place,) = newest_results(tmp_path / "out")
    assert place[0] == "a@example.org"


def _pretty_of(example: str) -> str:
    return example.partition("--pretty='")[2].partition("'")[0]
