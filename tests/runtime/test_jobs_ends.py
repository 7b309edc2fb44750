"""How whole jobs end: cancelled, interrupted, refused; never hanging."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamlet import KeyedProcessFunction, OutputTag, StreamExecutionEnvironment
from streamlet.clock import SystemClock
from streamlet.connectors.datagen import DataGenSource
from streamlet.errors import ConfigError
from streamlet.runtime.job import Job
from streamlet.runtime.machine import this_machine
from streamlet.runtime.setup import JobResult
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing import ListSink
from tests.runtime.pipelines import (
    Gate,
    GatedListSink,
    SteppedSource,
    committed,
    environment,
    records_of,
    running,
    totals_of,
    totals_pipeline,
    until,
)


def within_seconds(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs it, and fails rather than hangs."""
    return asyncio.run(asyncio.wait_for(work, 10))


def endless(env: StreamExecutionEnvironment, sink: ListSink) -> None:
    env.from_source(DataGenSource(lambda index: index, rate=2_000)).uid("source").sink_to(sink)


def run_record(home: Path, name: str) -> dict[str, Any]:
    (path,) = (home / "checkpoints" / name).glob("*/run.json")
    return dict(json.loads(path.read_text()))


def test_cancel_before_anything_has_started() -> None:
    """The cancellation reaches the worker together with the deployment."""

    async def run() -> JobResult:
        env = environment()
        endless(env, ListSink())
        client = await env.execute_async("endless")
        await client.cancel()
        return await client.result()

    assert within_seconds(run()).state == "CANCELED"


@pytest.mark.parametrize("yields", [1, 3, 10, 30])
def test_cancel_while_the_tasks_are_being_started(yields: int) -> None:
    async def run() -> JobResult:
        env = environment(parallelism__default=2)
        endless(env, ListSink())
        client = await env.execute_async("endless")
        for _ in range(yields):
            await asyncio.sleep(0)
        await client.cancel()
        return await client.result()

    assert within_seconds(run()).state == "CANCELED"


@pytest.mark.parametrize("retention", ["retain-on-cancellation", "delete-on-cancellation"])
def test_cancelled_job_commits_nothing_more_and_keeps_the_checkpoints_it_should(
    home: Path, retention: str
) -> None:
    """SP-7, CP-61."""
    sink = GatedListSink(Gate(last=2))

    async def run() -> int:
        env = environment()
        env.configure({"execution.checkpointing.externalized-checkpoint-retention": retention})
        totals_pipeline(env, SteppedSource(records_of(1, 40), sink.gate), sink)
        client = await env.execute_async("totals")
        await committed(client, sink, 8)
        await client.cancel()
        return len(sink.values)

    assert within_seconds(run()) == len(sink.values)
    is_kept = retention == "retain-on-cancellation"
    for kept in ("*/chk-*/manifest.json", "*/state/*.parquet"):
        assert bool(list((home / "checkpoints" / "totals").glob(kept))) == is_kept
    assert run_record(home, "totals")["state"] == "CANCELED"


def test_cancel_while_a_restart_is_waited_for() -> None:
    def broken(value: Any) -> Any:
        raise LookupError("broken")

    async def run() -> JobResult:
        env = environment(restart_strategy__fixed_delay__delay="1h")
        env.from_collection([1]).map(broken).sink_to(ListSink())
        client = await env.execute_async("waiting")
        await until(client, lambda status: status["state"] == "RESTARTING")
        await client.cancel()
        return await client.result()

    assert within_seconds(run()).state == "CANCELED"


class StuckSource(PartitionedSource[int]):
    """Gives one record; the poll after it hangs until it may go on."""

    blocking = True

    def __init__(self) -> None:
        self.has_polled = threading.Event()
        self.may_go_on = threading.Event()

    def list_partitions(self) -> list[str]:
        return ["only"]

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[int]:
        return _StuckReader(self)


class _StuckReader(PartitionReader[int]):
    def __init__(self, source: StuckSource) -> None:
        self._source = source
        self._polls = 0

    def poll(self, max_records: int) -> list[int]:
        self._polls += 1
        if self._polls > 1:
            self._source.has_polled.set()
            self._source.may_go_on.wait(5)
        return [self._polls]

    def position(self) -> int:
        return self._polls


def test_cancel_while_a_failed_attempt_is_still_closing() -> None:
    """A cancellation must not cut off the closing, or the end would never be told."""
    source = StuckSource()

    def broken(value: Any) -> Any:
        source.has_polled.wait(5)
        raise LookupError("broken")

    async def run() -> JobResult:
        env = environment(restart_strategy__fixed_delay__delay="1h")
        env.from_source(source).map(broken).sink_to(ListSink())
        client = await env.execute_async("closing")
        await until(client, lambda _: source.has_polled.is_set())
        cancelling = asyncio.get_running_loop().create_task(client.cancel())
        for _ in range(20):
            await asyncio.sleep(0)
        source.may_go_on.set()
        await cancelling
        return await client.result()

    assert within_seconds(run()).state == "CANCELED"


def test_interrupted_job_takes_a_last_checkpoint_and_can_go_on(home: Path) -> None:
    sink = GatedListSink()

    async def run() -> JobResult:
        env = environment(execution__checkpointing__interval="1h")
        totals_pipeline(env, SteppedSource(records_of(1, 40), sink.gate), sink)
        client = await env.execute_async("totals")
        await running(client)
        client._job.interrupt()
        return await client.result()

    result = within_seconds(run())
    assert (result.state, result.last_checkpoint) == ("SUSPENDED", 1)
    assert run_record(home, "totals")["state"] == "SUSPENDED"


def test_interrupted_job_whose_last_checkpoint_fails_stops_all_the_same(home: Path) -> None:
    sink = GatedListSink()

    async def run() -> JobResult:
        env = environment(execution__checkpointing__interval="1h")
        totals_pipeline(env, SteppedSource(records_of(1, 40), sink.gate), sink)
        client = await env.execute_async("totals")
        await running(client)
        run_directory = next((home / "checkpoints" / "totals").glob("*/run.json")).parent
        (run_directory / "chk-1").write_text("in the way")
        client._job.interrupt()
        return await client.result()

    assert within_seconds(run()).state == "SUSPENDED"


def test_interrupt_is_heard_while_attempts_fail_one_after_the_other() -> None:
    """Each fails at the commit it begins with and is followed at once by the next."""
    sink = GatedListSink(failures=10_000)

    async def run() -> JobResult:
        env = environment(restart_strategy__fixed_delay__attempts=1_000)
        totals_pipeline(env, SteppedSource(records_of(1, 40), sink.gate), sink)
        client = await env.execute_async("totals")
        await until(client, lambda status: status["restarts"] > 1)
        client._job.interrupt()
        return await client.result()

    assert within_seconds(run()).state == "SUSPENDED"


def test_clock_that_is_set_back_shortens_no_job() -> None:
    class SetBack(SystemClock):
        hours = 0

        def now_ms(self) -> int:
            self.hours += 1
            return super().now_ms() - self.hours * 3_600_000

    async def run() -> JobResult:
        env = environment()
        env.from_collection([1, 2]).sink_to(ListSink())
        request = env._request(env.config, "set back", None, is_recorded=False)
        job = Job(request, replace(this_machine(), clock=SetBack()))
        await job.prepare()
        result = await job.run()
        assert 0 <= job.status()["uptime_ms"] < 60_000
        return result

    assert 0 <= within_seconds(run()).duration_ms < 60_000


def test_interrupt_without_checkpoints_cancels() -> None:
    async def run() -> JobResult:
        env = environment(execution__checkpointing__interval="off")
        endless(env, ListSink())
        client = await env.execute_async("endless")
        await running(client)
        client._job.interrupt()
        return await client.result()

    assert within_seconds(run()).state == "CANCELED"


def test_second_job_of_a_name_is_refused_and_does_the_first_no_harm() -> None:
    async def run() -> None:
        first = environment()
        endless(first, ListSink())
        client = await first.execute_async("same name")
        second = environment()
        endless(second, ListSink())
        with pytest.raises(ConfigError, match="already running"):
            await second.execute_async("same name")
        await running(client)
        await client.cancel()

    within_seconds(run())


def test_execute_inside_a_running_loop_has_a_thread_of_its_own() -> None:
    sink = ListSink()

    async def run() -> JobResult:
        env = environment()
        env.from_collection(range(5)).sink_to(sink)
        return env.execute("inside")

    assert within_seconds(run()).state == "FINISHED"
    assert sink.values == [0, 1, 2, 3, 4]


def test_job_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    sink = GatedListSink()
    partitions = records_of(2, 16)
    env = environment(state__backend__type="rocksdb", parallelism__default=2)
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    env.execute("totals")
    assert set(threading.enumerate()) <= before
    assert sorted(sink.values) == totals_of(partitions)


@pytest.mark.parametrize("interval", ["10ms", "off"])
def test_job_of_a_source_that_has_ended_and_one_that_goes_on(interval: str) -> None:
    """CP-13, CP-50: the short one's tasks take part in checkpoints until the job's last."""
    sink = GatedListSink(Gate(is_open=interval == "off"))
    env = environment(execution__checkpointing__interval=interval)
    short = env.from_collection([-1, -2]).uid("short")
    long = env.from_source(SteppedSource(records_of(1, 20), sink.gate)).uid("long")
    short.union(long.map(lambda record: record[1])).rebalance().sink_to(sink)
    result = env.execute("union")
    assert sorted(sink.values) == sorted([-1, -2, *range(20)])
    assert (result.last_checkpoint is None) == (interval == "off")


def test_side_outputs_are_exactly_once_over_failures() -> None:
    odd = OutputTag[int]("odd")
    failures = [7]

    def split(value: int, ctx: Any) -> Any:
        if value in failures:
            failures.remove(value)
            raise RuntimeError("once")
        yield (odd, value) if value % 2 else value

    main = GatedListSink()
    side = GatedListSink(main.gate)
    env = environment()
    numbers = env.from_source(SteppedSource(records_of(1, 20), main.gate)).map(lambda r: r[1])
    stream = numbers.process(split)
    stream.sink_to(main)
    stream.get_side_output(odd).sink_to(side)
    env.execute("sides")
    assert not failures
    assert sorted(main.values) == list(range(0, 20, 2))
    assert sorted(side.values) == list(range(1, 20, 2))


class Ticking(KeyedProcessFunction[int, int, str]):
    """Gives much more than a channel holds at each tick of the clock, and ticks on."""

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context, /) -> Any:
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + 1)
        return ()

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext, /) -> Any:
        timers = ctx.timer_service()
        timers.register_processing_time_timer(timers.current_processing_time() + 5)
        yield from ("tick",) * 200


def test_stop_with_savepoint_quiesces_timers_of_the_clock() -> None:
    """TM-13, SP-6: nothing follows the last barrier, so no task waits for one that has ended."""
    counted: list[int] = []

    async def run() -> int:
        env = environment(execution__batch_size=10)
        keyed = env.from_source(DataGenSource(lambda index: index % 5, rate=1_000)).key_by(
            lambda value: value
        )
        keyed.process(Ticking()).rebalance().sink_to(lambda values: counted.append(len(values)))
        client = await env.execute_async("ticking")
        await until(client, lambda _: bool(counted))
        await client.stop_with_savepoint()
        return len(counted)

    assert within_seconds(run()) == len(counted)


@pytest.mark.parametrize("name", ["a/b", "..", "über", "line\nline", "x" * 300, " ", "-rf"])
def test_name_that_cannot_name_a_directory_is_refused_before_anything_is_made(
    home: Path, name: str
) -> None:
    env = environment()
    endless(env, ListSink())
    with pytest.raises(ConfigError, match=r"is no job name.*execute\(\)"):
        env.execute(name)
    assert not list(home.iterdir())


def test_home_that_can_hold_no_files_is_a_mistake_in_the_settings(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("STREAMLET_HOME", str(home / "file"))
    env = environment()
    endless(env, ListSink())
    with pytest.raises(ConfigError, match=r"(?s)no place for its files.*STREAMLET_HOME"):
        env.execute("homeless")


def test_why_a_job_failed_is_on_record(home: Path) -> None:
    """Its terminal may be closed long since."""
    env = environment(restart_strategy__type="none")
    env.from_collection([4, 0]).map(lambda value: 8 // value).name("share").sink_to(ListSink())
    with pytest.raises(ZeroDivisionError):
        env.execute("failing")
    failure = run_record(home, "failing")["failure"]
    assert failure.splitlines()[0] == "ZeroDivisionError: integer division or modulo by zero"
    assert "'share'" in failure
