"""crash_fuzz: what survives crashes passes, what does not is told with the least that breaks it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlet import (
    KeyedProcessFunction,
    PartitionedSource,
    PartitionReader,
    RuntimeContext,
    StreamExecutionEnvironment,
    ValueStateDescriptor,
    WatermarkStrategy,
)
from streamlet.connectors.datagen import DataGenSource
from streamlet.connectors.files import FileSink, FileSource
from streamlet.errors import ConfigError, GraphError
from streamlet.testing import CrashFuzzFailure, ListSink, crash_fuzz
from streamlet.testing.differences import difference
from tests.testing.operator_kinds import KINDS

CLICKS = [(f"u{n % 3}", n) for n in range(60)]
COUNTS = sorted((f"u{user}", n) for user in range(3) for n in range(1, 21))


def environment() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment()


class Count(KeyedProcessFunction[str, Any, Any]):
    """Counts in state, as it should be done."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0))

    def process_element(self, value: Any, ctx: Any, /) -> Iterator[Any]:
        self.count.update(self.count.value() + 1)
        yield ctx.get_current_key(), self.count.value()


class CountInAttribute(KeyedProcessFunction[str, Any, Any]):
    """The mistake: an attribute is empty again after a crash."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def process_element(self, value: Any, ctx: Any, /) -> Iterator[Any]:
        key = ctx.get_current_key()
        self.counts[key] = self.counts.get(key, 0) + 1
        yield key, self.counts[key]


def counting(function: Callable[[], Any]) -> Callable[[], None]:
    def body() -> None:
        env, out = environment(), ListSink()
        env.from_collection(CLICKS).key_by(0).process(function()).sink_to(out)
        env.execute()
        assert sorted(out.values) == COUNTS

    return body


@pytest.mark.slow
def test_counts_in_state_survive_every_seed() -> None:
    report = crash_fuzz(counting(Count), range(30))
    assert (report.seeds, report.divergences) == (30, 0)
    assert report.crashes.total() >= 30
    assert len(report.crashes) > 20
    assert str(report).startswith("30 seeds, ")


@pytest.mark.slow
def test_counts_in_an_attribute_are_found_out_with_the_least_schedule() -> None:
    with pytest.raises(CrashFuzzFailure) as caught:
        crash_fuzz(counting(CountInAttribute), range(30))
    failure = caught.value
    (schedule,) = failure.divergence.schedules
    assert [fate.crash is None for fate in schedule] == [False, True]
    assert isinstance(failure.divergence.error, AssertionError)
    assert failure.divergence.difference is not None
    assert "are missing" in failure.divergence.difference
    text = str(failure).splitlines()
    assert text[0].startswith(f"seed {failure.seed}: ")
    assert len(text) <= 14
    with pytest.raises(CrashFuzzFailure) as repeated:
        crash_fuzz(counting(CountInAttribute), [failure.seed])
    assert str(repeated.value) == str(failure)


@pytest.mark.slow
def test_output_is_compared_even_where_the_test_asserts_nothing() -> None:
    def body() -> None:
        stream = environment().from_collection(CLICKS).key_by(0).process(CountInAttribute())
        stream.execute_and_collect()

    with pytest.raises(CrashFuzzFailure, match="the output is another") as caught:
        crash_fuzz(body, range(30))
    assert caught.value.divergence.error is None
    assert crash_fuzz(body, range(3), compares_output=False).divergences == 0


@pytest.mark.slow
def test_a_sink_function_gets_records_twice_and_the_text_says_why() -> None:
    def body() -> None:
        env, out = environment(), list[Any]()
        env.from_collection(CLICKS).sink_to(out.extend)
        env.execute()
        assert sorted(out) == sorted(CLICKS)

    with pytest.raises(CrashFuzzFailure, match=r"sink_to\(function\) is at least once"):
        crash_fuzz(body, range(30))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_operator_survives_in_two_subtasks(kind: str) -> None:
    job, expected = KINDS[kind]

    def body() -> None:
        env, out = environment().set_parallelism(2), ListSink()
        job(env).sink_to(out)
        env.execute()
        assert difference(expected, out.values) is None

    assert crash_fuzz(body, range(5)).divergences == 0


@pytest.mark.slow
def test_every_execute_of_a_test_is_crashed() -> None:
    def body() -> None:
        out = ListSink()
        for half in (CLICKS[:30], CLICKS[30:]):
            env = environment()
            env.from_collection(half).sink_to(out)
            env.execute()
        assert out.values == CLICKS

    report = crash_fuzz(body, range(10))
    assert report.processes >= 40  # at least two of each job


@pytest.mark.slow
def test_a_failure_in_the_second_job_leaves_the_first_without_a_crash() -> None:
    def body() -> None:
        assert environment().from_collection(CLICKS).execute_and_collect() == CLICKS
        counting(CountInAttribute)()

    with pytest.raises(CrashFuzzFailure) as caught:
        crash_fuzz(body, range(30))
    first, second = caught.value.divergence.schedules
    assert [fate.crash for fate in first] == [None]
    assert second[0].crash is not None
    assert "job 2, process 1: " in str(caught.value)


@pytest.mark.slow
def test_files_written_by_a_killed_job_hold_every_line_once(tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(150)]
    (tmp_path / "in.txt").write_text("\n".join(lines))
    runs = itertools.count()

    def body() -> None:
        env, out = environment(), tmp_path / f"out-{next(runs)}"
        source = env.from_source(FileSource.text(tmp_path / "in.txt"))
        source.map(lambda line: {"line": line}).sink_to(FileSink.csv(out))
        env.execute()
        written = [row for part in out.glob("part-*") for row in part.read_text().split("\n")[1:-1]]
        assert sorted(written) == sorted(lines)

    assert crash_fuzz(body, range(10)).divergences == 0


class Letters(PartitionedSource[str]):
    """A user's own source."""

    bounded = True

    def list_partitions(self) -> list[str]:
        return ["abcdefghij", "klmnopqrst"]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[str]:
        return _LetterReader(name, position or 0)


class _LetterReader(PartitionReader[str]):
    def __init__(self, letters: str, start: int) -> None:
        self._letters = letters
        self._next = start

    def poll(self, max_records: int) -> list[str] | None:
        polled = list(self._letters[self._next : self._next + max_records])
        self._next += len(polled)
        return polled or None

    def position(self) -> int:
        return self._next


class LostPosition(Letters):
    """A source that begins anew whatever it is told."""

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[str]:
        return _LetterReader(name, 0)


@pytest.mark.slow
def test_a_source_of_the_users_own_is_crashed_and_its_mistake_found() -> None:
    def body(source: type[Letters]) -> None:
        letters = environment().from_source(source()).execute_and_collect()
        assert sorted(letters) == list("abcdefghijklmnopqrst")

    assert crash_fuzz(lambda: body(Letters), range(10)).divergences == 0
    with pytest.raises(CrashFuzzFailure, match="too many"):
        crash_fuzz(lambda: body(LostPosition), range(30))


@pytest.mark.slow
def test_a_generated_input_of_any_size_meets_crashes() -> None:
    def body() -> None:
        source = DataGenSource(lambda index: index, count=3_000)
        assert environment().from_source(source).execute_and_collect() == list(range(3_000))

    assert crash_fuzz(body, range(3)).crashes.total() >= 3


def test_what_fails_without_a_crash_is_raised_as_it_is() -> None:
    def body() -> None:
        environment().from_collection([1, 0]).map(lambda n: 1 // n).execute_and_collect()

    with pytest.raises(ZeroDivisionError) as caught:
        crash_fuzz(body, range(3))
    assert "record 0" in "".join(caught.value.__notes__)


def test_a_test_without_a_pipeline_is_refused() -> None:
    with pytest.raises(ConfigError, match="ran no pipeline"):
        crash_fuzz(lambda: None, range(3))


def test_chance_is_told_from_crashes() -> None:
    numbers = itertools.count()

    def body() -> None:
        stream = environment().from_collection(CLICKS).map(lambda click: (click, next(numbers)))
        stream.execute_and_collect()

    with pytest.raises(ConfigError, match=r"two runs without a crash differ.*\n.*missing"):
        crash_fuzz(body, range(3))


def test_a_sink_that_runs_share_is_refused() -> None:
    out = ListSink()

    def body() -> None:
        env = environment()
        env.from_collection(CLICKS).sink_to(out)
        env.execute()

    with pytest.raises(ConfigError, match="used by several runs"):
        crash_fuzz(body, range(3))


def test_a_source_without_an_end_is_refused() -> None:
    def body() -> None:
        environment().from_source(DataGenSource(lambda n: n)).execute_and_collect(limit=3)

    with pytest.raises(ConfigError, match="source 'datagen' never ends"):
        crash_fuzz(body, range(3))


@pytest.mark.slow
def test_how_far_a_job_with_a_limit_comes_is_not_compared() -> None:
    def body() -> None:
        assert environment().from_collection(CLICKS).execute_and_collect(limit=3) == CLICKS[:3]

    assert crash_fuzz(body, range(5)).divergences == 0


@pytest.mark.slow
def test_a_source_that_waits_for_the_real_clock_is_refused() -> None:
    def body() -> None:
        source = DataGenSource(lambda n: n, count=10, rate=0.001)
        environment().from_source(source).execute_and_collect()

    with pytest.raises(ConfigError, match="time is virtual here"):
        crash_fuzz(body, range(3))


def test_a_running_event_loop_is_refused() -> None:
    async def main() -> None:
        environment().from_collection(CLICKS).execute_and_collect()

    with pytest.raises(ConfigError, match="another loop is running"):
        crash_fuzz(lambda: asyncio.run(main()), range(3))


def test_execute_async_is_refused() -> None:
    async def main() -> None:
        env = environment()
        env.from_collection(CLICKS).print()
        await env.execute_async()

    with pytest.raises(GraphError, match=r"execute_async\(\) starts a job in the running event"):
        crash_fuzz(lambda: asyncio.run(main()), range(3))


class FailsWhenRestored(Count):
    """Cannot go on from state that it did not write itself."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def process_element(self, value: Any, ctx: Any, /) -> Iterator[Any]:
        if self.count.value() and ctx.get_current_key() not in self.known:
            raise RuntimeError("where does this come from?")
        self.known.add(ctx.get_current_key())
        yield from super().process_element(value, ctx)


@pytest.mark.slow
def test_a_job_that_fails_only_after_a_crash_is_found() -> None:
    with pytest.raises(CrashFuzzFailure, match="RuntimeError: where does this come from") as caught:
        crash_fuzz(counting(FailsWhenRestored), range(30))
    assert "  in operator 'keyed process' (subtask 1 of 1), " in str(caught.value)


@pytest.mark.slow
def test_settings_of_the_test_remain_and_those_of_the_simulation_win() -> None:
    strategy: WatermarkStrategy[Any] = WatermarkStrategy.for_monotonous_timestamps()

    def body() -> None:
        env = environment().configure({"execution.checkpointing.interval": "off"})
        env.set_max_parallelism(7).disable_operator_chaining()
        stream = env.from_collection(CLICKS, strategy.with_timestamp_assigner(1))
        assert stream.map(lambda click: click[1]).execute_and_collect() == list(range(60))

    assert crash_fuzz(body, range(5)).crashes.total() > 0
