"""Upgrades through the command line: what a changed job would get of a savepoint, and gets."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import CommandLine, Running

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

COUNT = 60
JOB = """
import sys
from dataclasses import dataclass
from streamlet import KeyedProcessFunction, StreamExecutionEnvironment, ValueStateDescriptor
from streamlet.connectors.files import FileSink, FileSource

@dataclass
class Total:
    count: int
    sum: int

class Totals(KeyedProcessFunction):
    def open(self, ctx):
        self.total = ctx.get_state(ValueStateDescriptor("total", Total))

    def process_element(self, value, ctx):
        total = self.total.value() or Total(0, 0)
        total = Total(total.count + 1, total.sum + value["number"])
        self.total.update(total)
        yield {"key": value["key"], "count": total.count, "sum": total.sum}

env = StreamExecutionEnvironment.get_execution_environment()
source = FileSource.json_lines(sys.argv[1], follow=True)
records = env.from_source(source, None, "numbers").uid("numbers")
totals = records.key_by("key").process(Totals()).uid("totals")
totals.sink_to(FileSink.json_lines(sys.argv[2])).uid("out")
env.execute("totals")
"""


class Numbers:
    """A directory of numbered records that grows, and what the job must make of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.count = 0
        directory.mkdir()

    def grow(self, count: int) -> None:
        with (self.directory / "numbers.jsonl").open("a") as file:
            for number in range(self.count, self.count + count):
                file.write(json.dumps({"key": number % 7, "number": number}) + "\n")
        self.count += count

    def golden(self) -> list[dict[str, int]]:
        """A row per record."""
        sums: dict[int, int] = defaultdict(int)
        rows = []
        for number in range(self.count):
            key = number % 7
            sums[key] += number
            rows.append({"key": key, "count": number // 7 + 1, "sum": sums[key]})
        return ordered(rows)


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def written(directory: Path) -> list[dict[str, Any]]:
    """What the sink has made visible."""
    files = [path for path in directory.rglob("*.jsonl") if not path.name.startswith(".")]
    return ordered([json.loads(line) for path in files for line in path.read_text().splitlines()])


@pytest.fixture
def numbers(tmp_path: Path) -> Numbers:
    return Numbers(tmp_path / "numbers")


def job(streamlet: CommandLine, old: str = "", new: str = "") -> Path:
    """The job file, with one thing changed."""
    assert old in JOB
    path = streamlet.directory / "totals.py"
    path.write_text(JOB.replace(old, new) if old else JOB)
    return path


@contextmanager
def running(streamlet: CommandLine, numbers: Numbers, *words: str | Path) -> Iterator[Running]:
    """The job in the background; killed if the test fails before it has ended."""
    process = streamlet.start("run", *words, "--", numbers.directory, "out")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def savepoint(streamlet: CommandLine, numbers: Numbers) -> Path:
    """Of the job as it was, stopped after the first records."""
    numbers.grow(COUNT)
    with running(streamlet, numbers, job(streamlet)) as process:
        streamlet.wait_for("totals", process, read=COUNT, written=COUNT)
        stopped = streamlet("stop", "totals", "--savepoint-dir", "kept")
        assert stopped.code == 0, stopped.err
        assert process.wait(60) == 0
    return Path(stopped.out.strip())


def goes_on(
    streamlet: CommandLine, numbers: Numbers, *words: str | Path, read: int = COUNT
) -> None:
    """The changed job reads more, and all it has written is as if nothing had changed."""
    numbers.grow(COUNT)
    with running(streamlet, numbers, *words) as process:
        streamlet.wait_for("totals", process, read=read, written=read)
        assert streamlet("stop", "totals", "--drain").code == 0
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert written(streamlet.directory / "out") == numbers.golden()


RENAMED = ('.uid("totals")', '.uid("sums")')


def test_plan_of_an_unchanged_job_is_fine_and_of_a_renamed_operator_says_how_to_map_it(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path
) -> None:
    words: list[str | Path] = ["--", numbers.directory, "out"]
    fine = streamlet("restore-plan", savepoint, job(streamlet), "-p", "3", *words)
    assert fine.code == 0, fine.err
    assert "nothing is in the way" in fine.out
    assert "1 -> 3" in fine.out
    renamed = job(streamlet, *RENAMED)
    plan = streamlet("restore-plan", savepoint, renamed, *words)
    assert (plan.code, plan.err) == (3, "")
    assert "probably renamed: --map totals=sums" in plan.out
    mapped = streamlet("restore-plan", savepoint, renamed, "--map", "totals=sums", *words)
    assert mapped.code == 0, mapped.out
    answer = streamlet(
        "restore-plan", savepoint, renamed, "--format", "json", "--allow-non-restored-state", *words
    )
    assert answer.code == 0
    operators = {op["uid"]: op for op in json.loads(answer.out)["operators"]}
    assert operators["totals"]["fit"] == "orphaned"
    assert operators["totals"]["probably"] == "sums"
    assert operators["sums"]["fit"] == "new"
    assert operators["totals"]["key_types"] == ["int"]


def test_dry_run_shows_the_plan_and_what_would_be_restored(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path
) -> None:
    words: list[str | Path] = ["--", numbers.directory, "out"]
    starts: list[list[str | Path]] = [["-s", savepoint], ["--resume"]]
    for start in starts:
        shown = streamlet("run", "--dry-run", *start, job(streamlet), *words)
        assert shown.code == 0, shown.err
        assert "totals" in shown.out
        assert "nothing is in the way" in shown.out
        assert streamlet("plan", *start, job(streamlet), *words).out == shown.out
    shown = streamlet("run", "--dry-run", "-s", savepoint, job(streamlet, *RENAMED), *words)
    assert shown.code == 3
    plan = streamlet("plan", "-s", savepoint, "-p", "2", job(streamlet), *words)
    assert plan.code == 0, plan.err


def test_plan_refuses_a_map_without_state_as_a_run_does(
    streamlet: CommandLine, numbers: Numbers
) -> None:
    words: list[str | Path] = [job(streamlet), "--map", "a=b", "--", numbers.directory, "out"]
    for command in (["plan"], ["run", "--dry-run"], ["run"]):
        refused = streamlet(*command, *words)
        assert (refused.code, refused.out) == (2, "")
        assert "no state to begin with" in refused.err


def test_renamed_operator_is_refused_and_then_mapped(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path
) -> None:
    renamed = job(streamlet, *RENAMED)
    refused = streamlet("run", renamed, "-s", savepoint, "--", numbers.directory, "out")
    assert refused.code == 3
    assert "--map totals=sums" in refused.err
    assert len(refused.err.splitlines()) <= 15
    goes_on(streamlet, numbers, renamed, "-s", savepoint, "--map", "totals=sums")


def test_job_killed_before_its_first_checkpoint_is_resumed_with_its_map(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path
) -> None:
    """Else it would be refused, or its state lost, for want of an option given hours ago."""
    renamed = job(streamlet, *RENAMED)
    never = ["-D", "execution.checkpointing.interval=1h"]
    numbers.grow(COUNT)
    starts: list[list[str | Path]] = [["-s", savepoint, "--map", "totals=sums"], ["--resume"]]
    for start in starts:
        with running(streamlet, numbers, renamed, *start, *never) as process:
            streamlet.wait_for("totals", process, read=COUNT, written=COUNT)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(60)
    goes_on(streamlet, numbers, renamed, "--resume", read=2 * COUNT)
    again = streamlet(
        "run", renamed, "--resume", "--map", "totals=sums", "--", numbers.directory, "out"
    )
    assert again.code == 3
    assert "no operator of the snapshot has the uid 'totals'" in again.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('key_by("key")', 'key_by(lambda r: str(r["key"]))', ["expected int, got str", "totals"]),
        ("sum: int", "sum: str", ["'total'", "field 'sum' was 'int' and is 'str'"]),
        ("sum: int", "sum: int\n    mean: float", ["'total'", "new field 'mean'", "default"]),
        ('"total", Total', '"total", int', ["type was 'Total' and is 'int'"]),
        ("class Total:", "class Sum:", ["totals:Total", "alias"]),
    ],
)
def test_change_that_cannot_be_read_is_refused_by_name_and_changes_nothing(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path, old: str, new: str, said: list[str]
) -> None:
    """EV-3, EV-4."""
    numbers.grow(COUNT)
    text = JOB.replace(old, new)
    if "Sum:" in new:
        text = text.replace("Total(", "Sum(").replace(", Total)", ")")
    path = job(streamlet)
    path.write_text(text)
    refused = streamlet("run", path, "-p", "2", "-s", savepoint, "--", numbers.directory, "out")
    assert refused.code == 3, refused.err
    assert len(refused.err.splitlines()) <= 15
    for part in said:
        assert part in refused.err
    goes_on(streamlet, numbers, job(streamlet), "--resume", read=2 * COUNT)


def test_field_with_a_default_may_be_added(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path
) -> None:
    """EV-4."""
    grown = job(streamlet, "sum: int", "sum: int\n    mean: float = 0.0")
    goes_on(streamlet, numbers, grown, "-s", savepoint)


def test_parallelism_beyond_what_the_state_can_be_spread_over_is_refused(
    streamlet: CommandLine, numbers: Numbers, savepoint: Path
) -> None:
    """KG-7."""
    words: list[str | Path] = ["-s", savepoint, "--", numbers.directory, "out"]
    for options, said in (
        (["-p", "129"], "at most 128"),
        (["-D", "pipeline.max-parallelism=256"], "set it to 128"),
    ):
        refused = streamlet("run", job(streamlet), *options, *words)
        assert refused.code == 3, refused.err
        assert said in refused.err


@pytest.mark.parametrize("choice", ["refuse", "keep", "discard", "discard, damaged"])
def test_output_that_is_later_than_the_savepoint(
    streamlet: CommandLine, numbers: Numbers, choice: str
) -> None:
    """A job went on after its savepoint: what it has written since is there, and would be twice."""
    numbers.grow(COUNT)
    out = streamlet.directory / "out"
    often = ["-D", "execution.checkpointing.interval=50ms"]
    with running(streamlet, numbers, job(streamlet), *often) as process:
        streamlet.wait_for("totals", process, read=COUNT, written=COUNT)
        taken = streamlet("savepoint", "totals", "kept")
        assert taken.code == 0, taken.err
        numbers.grow(COUNT)
        streamlet.wait_for("totals", process, read=2 * COUNT, written=2 * COUNT)
        assert streamlet("stop", "totals").code == 0
        assert process.wait(60) == 0
    assert written(out) == numbers.golden()
    words: list[str | Path] = [job(streamlet), "-s", taken.out.strip(), *often]
    if choice == "refuse":
        refused = streamlet("run", *words, "--", numbers.directory, "out")
        assert refused.code == 3
        assert "--keep-later-output" in refused.err
        assert "--discard-later-output" in refused.err
        assert written(out) == numbers.golden()
        return
    if choice == "discard, damaged":
        # Nothing is discarded for a state that cannot be reached.
        (state,) = Path(taken.out.strip()).glob("v*.parquet")
        state.write_bytes(state.read_bytes()[:-1] + b"?")
        refused = streamlet("run", *words, "--discard-later-output", "--", numbers.directory, "out")
        assert refused.code == 3
        assert f"{state} is damaged" in refused.err
        assert written(out) == numbers.golden()
        return
    with running(streamlet, numbers, *words, f"--{choice}-later-output") as process:
        streamlet.wait_for("totals", process, read=COUNT, written=COUNT)
        assert streamlet("stop", "totals").code == 0
        assert process.wait(60) == 0
    expected = numbers.golden()
    if choice == "keep":
        expected = ordered([*expected, *(row for row in expected if later(row))])
    assert written(out) == expected


def later(row: dict[str, int]) -> bool:
    """Whether the row is of a record after the savepoint."""
    return (row["count"] - 1) * 7 + row["key"] >= COUNT
