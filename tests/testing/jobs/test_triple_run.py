"""triple_run: every kind of operator gives the same in all three ways; mistakes are told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlet import (
    KeyedProcessFunction,
    OutputTag,
    PartitionedSource,
    PartitionReader,
    StreamExecutionEnvironment,
)
from streamlet import aggregates as agg
from streamlet.connectors.datagen import DataGenSource
from streamlet.connectors.files import FileSink, FileSource
from streamlet.errors import ConfigError
from streamlet.testing import triple_run
from tests.testing.operator_kinds import KINDS, Env, records

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_is_right_in_all_three_ways(kind: str) -> None:
    job, expected = KINDS[kind]
    run = triple_run(job, expected)
    assert run.stopped_after == run.records_in * 3 // 5
    assert run.checkpoints >= 3
    assert len(run.outputs["output"]) == len(expected) > 0


def test_a_triple_run_is_the_same_each_time() -> None:
    job, _ = KINDS["session agg"]
    assert triple_run(job) == triple_run(job)


def test_files_are_read_on_from_the_middle_and_sinks_write_nothing(tmp_path: Path) -> None:
    for number in range(3):
        lines = "".join(f"{number},{line}\n" for line in range(50))
        (tmp_path / f"{number}.csv").write_text(f"file,line\n{lines}")

    def main() -> None:
        env = StreamExecutionEnvironment.get_execution_environment()
        rows = env.from_source(FileSource.csv(tmp_path / "*.csv"))
        rows.key_by("file").agg(n=agg.count()).sink_to(FileSink.json_lines(tmp_path / "out"))
        rows.filter(lambda row: row["line"] == "7").print("seven")
        env.execute()

    counts = [{"file": str(f), "n": n} for f in range(3) for n in range(1, 51)]
    sevens = [{"file": str(f), "line": "7"} for f in range(3)]
    run = triple_run(lambda env: main(), {"files": counts, "print": sevens})
    assert run.records_in == 150
    assert not (tmp_path / "out").exists()


ODD = OutputTag[int]("odd")


class EvenNumbers(PartitionedSource[int]):
    """Numbers that are not even cannot be read."""

    bounded = True
    dead_letter_tag = ODD

    def list_partitions(self) -> list[str]:
        return ["numbers"]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[int]:
        return _EvenReader(position or 0)


class _EvenReader(PartitionReader[int]):
    def __init__(self, start: int) -> None:
        self._polled = range(start, start)

    def poll(self, max_records: int) -> list[int] | None:
        start = self._polled.stop
        self._polled = range(start, min(start + 2 * max_records, 40))
        return [n for n in self._polled if n % 2 == 0] or None

    def position(self) -> int:
        return self._polled.stop

    def dead_letters(self) -> list[int]:
        """What the last poll could not read, however often it is asked for."""
        return [n for n in self._polled if n % 2]


def test_dead_letters_are_not_repeated_while_the_sources_stand_still() -> None:
    def job(env: Env) -> Any:
        return env.from_source(EvenNumbers()).get_side_output(ODD)

    triple_run(job, range(1, 40, 2))


class InAttribute(KeyedProcessFunction[str, Any, Any]):
    """Counts where no savepoint finds it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def process_element(self, value: Any, ctx: Any, /) -> Iterator[Any]:
        self.counts[value[0]] += 1
        yield value[0], self.counts[value[0]]


def test_state_that_no_savepoint_holds_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"from 2 subtasks on heap.*\n.*are missing") as caught:
        triple_run(lambda env: records(env).key_by(0).process(InAttribute()))
    assert "output: " in str(caught.value)


def test_a_wrong_straight_run_is_told_first() -> None:
    with pytest.raises(AssertionError, match="straight run differs") as caught:
        triple_run(lambda env: env.from_sequence(1, 3), [1, 2, 4])
    assert "1 record is missing: 4; 1 is too many: 3" in str(caught.value)


def test_what_makes_the_job_fail_is_raised_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        triple_run(lambda env: env.from_collection([1, 0]).map(lambda n: 1 // n))


def two_jobs(env: Env) -> None:
    for _ in range(2):
        env.from_collection([1]).print()
        env.execute()


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (lambda env: None, "made 0 pipelines"),
        (two_jobs, "made 2 pipelines"),
        (lambda env: env.from_collection([]), "gave no record"),
        (lambda env: env.from_source(DataGenSource(lambda n: n)), "'datagen' never ends"),
    ],
)
def test_what_cannot_be_run_so_is_refused(job: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        triple_run(job)


def test_a_running_event_loop_is_refused() -> None:
    async def main() -> None:
        triple_run(KINDS["map"][0])

    with pytest.raises(ConfigError, match="another loop is running here"):
        asyncio.run(main())


def test_several_sinks_need_expected_by_name() -> None:
    def job(env: Env) -> None:
        env.from_collection([1]).print()
        env.from_collection([2]).sink_to(print)

    with pytest.raises(ConfigError, match=r"outputs \['function sink', 'print'\].*dict by sink"):
        triple_run(job, [1, 2])
    assert triple_run(job, {"print": [1], "function sink": [2]}).records_in == 2
