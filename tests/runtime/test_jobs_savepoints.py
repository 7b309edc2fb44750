"""Savepoints of running jobs, and jobs that go on from them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamlet import TumblingEventTimeWindows, WatermarkStrategy
from streamlet.api.prepared import PreparedRun, prepared_run
from streamlet.errors import RestoreError, TransientError
from streamlet.runtime.run_recorder import RunRecorder
from streamlet.runtime.setup import JobResult
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


@pytest.mark.parametrize(
    ("backends", "parallelisms"),
    [
        (("heap", "rocksdb"), (2, 3)),
        (("rocksdb", "heap"), (3, 1)),
        (("heap", "heap"), (1, 2)),
    ],
)
def test_stopped_job_goes_on_at_another_parallelism_and_backend(
    backends: tuple[str, str], parallelisms: tuple[int, int]
) -> None:
    """SP-6, KG-5: the two runs together give what one gives, wherever the cut was."""
    partitions, sink = records_of(3, 24), GatedListSink(Gate(last=3))

    async def stop() -> str:
        env = environment(state__backend__type=backends[0], parallelism__default=parallelisms[0])
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await committed(client, sink, 24)
        path = await client.stop_with_savepoint()
        result = await client.result()
        assert (result.state, result.savepoint_path) == ("FINISHED", path)
        return path

    path = asyncio.run(stop())
    assert 24 <= len(sink.values) < 72
    sink.gate.last = None
    env = environment(
        state__backend__type=backends[1],
        parallelism__default=parallelisms[1],
        execution__state_recovery__path=path,
    )
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    env.execute("totals")
    assert sorted(sink.values) == totals_of(partitions)


def test_savepoint_of_a_job_that_goes_on_commits_nothing_and_disturbs_nothing(home: Path) -> None:
    """SP-5; and what is restored from it begins right there."""
    partitions = records_of(1, 12)
    sink = GatedListSink()

    async def run() -> str:
        env = environment(execution__checkpointing__interval="1h")
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await running(client)
        path = await client.trigger_savepoint(home / "mine")
        assert sink.commits == 0
        sink.gate.is_open = True
        await client.result()
        return path

    path = asyncio.run(run())
    assert Path(path).parent == home / "mine"
    assert sorted(sink.values) == totals_of(partitions)


@pytest.mark.parametrize("directory", ["nul\0byte", "x" * 300, "file/below"])
def test_savepoint_in_an_impossible_place_is_refused_and_the_job_goes_on(
    home: Path, directory: str
) -> None:
    """SP-6. A path with a NUL byte raised what ended the attempt."""
    (home / "file").touch()
    sink, gate = ListSink(), Gate()
    partitions = records_of(1, 12)

    async def run() -> str:
        env = environment()
        source = SteppedSource(partitions, gate)
        totals_pipeline(env, source, sink)
        client = await env.execute_async("impossible")
        await running(client)
        with pytest.raises(TransientError, match="cannot make"):
            await client.trigger_savepoint(home / directory)
        gate.is_open = True
        await client.result()
        return f"attempt {(await client.status())['attempt']}"

    assert asyncio.run(asyncio.wait_for(run(), 10)) == "attempt 1"
    assert sorted(sink.values) == totals_of(partitions)


def test_savepoint_with_checkpointing_off(home: Path) -> None:
    """SP-4."""
    partitions, sink = records_of(1, 12), GatedListSink()

    async def stop() -> str:
        env = environment(execution__checkpointing__interval="off")
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await running(client)
        return await client.stop_with_savepoint(home / "mine")

    path = asyncio.run(stop())
    assert 0 < len(sink.values) < 12
    env = environment(
        execution__state_recovery__path=path, execution__checkpointing__interval="off"
    )
    sink.gate.is_open = True
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    env.execute("totals")
    assert sorted(sink.values) == totals_of(partitions)


@pytest.mark.parametrize("is_drain", [True, False])
def test_drain_fires_open_windows_and_a_plain_stop_keeps_them(is_drain: bool) -> None:
    """SP-6, WM-51."""
    first, second = GatedListSink(), GatedListSink()
    partitions = {"p0": [("k", number) for number in range(8)]}

    def build(sink: GatedListSink, **settings: Any) -> Any:
        env = environment(execution__checkpointing__interval="1h", **settings)
        strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
            lambda record: record[1]
        )
        stream = env.from_source(SteppedSource(partitions, sink.gate), strategy).uid("source")
        windows = stream.key_by(0).window(TumblingEventTimeWindows.of(100))
        windows.apply(lambda key, window, values: [n for _, n in values]).uid("w").sink_to(sink)
        return env

    async def stop() -> str:
        client = await build(first).execute_async("windows")
        await until(client, lambda status: status["operators"][0]["records_out"] == 4)
        path: str = await client.stop_with_savepoint(drain=is_drain)
        return path

    path = asyncio.run(stop())
    assert first.values == ([[0, 1, 2, 3]] if is_drain else [])
    if not is_drain:
        second.gate.is_open = True
        build(second, execution__state_recovery__path=path).execute("windows")
        assert second.values == [list(range(8))]


def test_stop_whose_directory_cannot_be_made_leaves_the_job_running(home: Path) -> None:
    """SP-6: nothing was triggered, so nothing is lost."""
    sink = GatedListSink(Gate(last=1))
    partitions = records_of(1, 12)
    (home / "a-file").write_text("not a directory")

    async def run() -> None:
        env = environment(restart_strategy__type="none")
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        with pytest.raises(TransientError, match="a-file"):
            await client.stop_with_savepoint(home / "a-file" / "below")
        with pytest.raises(TransientError, match="a-file"):
            await client.trigger_savepoint(home / "a-file" / "below")
        sink.gate.is_open = True
        assert (await client.result()).state == "FINISHED"

    asyncio.run(run())
    assert sorted(sink.values) == totals_of(partitions)


def test_commit_that_fails_after_a_stop_savepoint_goes_on_from_the_savepoint() -> None:
    """SP-6: sinks have committed a part of it, so an older checkpoint would double that."""
    partitions = records_of(2, 12)
    sink = GatedListSink()

    async def run() -> None:
        env = environment(parallelism__default=2, execution__checkpointing__interval="1h")
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await until(client, lambda status: status["operators"][-1]["records_in"] == 8)
        sink.failures = 1
        with pytest.raises(TransientError, match="the savepoint is whole"):
            await client.stop_with_savepoint()
        sink.gate.is_open = True
        assert (await client.result()).state == "FINISHED"

    asyncio.run(run())
    assert sorted(sink.values) == totals_of(partitions)


def test_stop_that_cannot_be_recorded_is_not_committed_by_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever resumed after a crash would go further back than the output."""
    partitions, sink = records_of(2, 12), GatedListSink()
    committed_before: list[list[Any]] = []
    record = RunRecorder.on_stop_savepoint

    def full_twice(self: RunRecorder, savepoint: str | None) -> None:
        committed_before.append(list(sink.values))
        if len(committed_before) < 3:
            raise TransientError("the disk is full")
        record(self, savepoint)

    monkeypatch.setattr(RunRecorder, "on_stop_savepoint", full_twice)

    async def run() -> None:
        env = environment(parallelism__default=2, execution__checkpointing__interval="1h")
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await until(client, lambda status: status["operators"][-1]["records_in"] == 8)
        sink.gate.is_open = True
        with pytest.raises(TransientError, match="the disk is full"):
            await client.stop_with_savepoint()
        assert (await client.result()).state == "FINISHED"

    asyncio.run(run())
    assert committed_before == [[], [], []]
    assert sorted(sink.values) == totals_of(partitions)


def test_savepoint_asked_for_when_the_job_is_over_is_refused_at_once() -> None:
    async def run() -> None:
        env = environment()
        env.from_collection([1]).sink_to(ListSink())
        client = await env.execute_async("short")
        await client.result()
        for request in (client.trigger_savepoint(), client.stop_with_savepoint()):
            with pytest.raises(TransientError, match="ended"):
                await asyncio.wait_for(request, 5)

    asyncio.run(run())


def test_operator_that_is_gone_is_named_before_anything_starts() -> None:
    """SP-3."""
    partitions, sink = records_of(1, 16), GatedListSink(Gate(last=1))

    async def stop() -> str:
        env = environment()
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await committed(client, sink, 4)
        return await client.stop_with_savepoint()

    path = asyncio.run(stop())
    after = GatedListSink()
    env = environment(execution__state_recovery__path=path)
    env.from_source(SteppedSource(partitions, after.gate)).uid("source").sink_to(after).uid("sink")
    with pytest.raises(RestoreError) as caught:
        env.execute("totals")
    assert "'totals'" in str(caught.value)
    assert "so far" in str(caught.value)
    assert after.values == []


async def cut_off(
    sink: GatedListSink, partitions: dict[str, Any], count: int, *, resume: bool
) -> None:
    """Runs the job until so many records are committed, and cancels it."""
    sink.gate.last = sink.gate.opened + 2
    with prepared_run(PreparedRun(environment().config, resume=resume)):
        env = environment()
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
    await committed(client, sink, count)
    await client.cancel()


def resumed(sink: GatedListSink, partitions: dict[str, Any]) -> JobResult:
    sink.gate.last = None
    with prepared_run(PreparedRun(environment().config, resume=True)):
        env = environment()
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        return env.execute("totals")


def test_resume_over_several_runs_that_were_cut_off() -> None:
    """CP-1, CP-70: each run goes on from the last whole checkpoint of the one before."""
    partitions, sink = records_of(1, 30), GatedListSink()
    asyncio.run(cut_off(sink, partitions, 8, resume=False))
    asyncio.run(cut_off(sink, partitions, 16, resume=True))
    assert len(sink.values) < 30
    assert resumed(sink, partitions).state == "FINISHED"
    assert sorted(sink.values) == totals_of(partitions)


def test_job_that_finishes_leaves_no_checkpoint_of_the_runs_it_went_on_from(home: Path) -> None:
    """CP-61: also when it has taken fewer of its own than are kept."""
    partitions, sink = records_of(1, 16), GatedListSink()
    asyncio.run(cut_off(sink, partitions, 8, resume=False))
    sink.gate.is_open = True
    settings = {"execution__checkpointing__num_retained": 50}
    with prepared_run(PreparedRun(environment(**settings).config, resume=True)):
        env = environment(**settings)
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        assert env.execute("totals").state == "FINISHED"
    runs = [run for run in (home / "checkpoints" / "totals").iterdir() if run.is_dir()]
    assert [[path.name for path in run.iterdir()] for run in runs] == [["run.json"]] * 2


def test_resume_of_a_finished_job_does_nothing() -> None:
    partitions, sink = records_of(1, 8), GatedListSink()
    env = environment()
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    env.execute("totals")
    again = resumed(sink, partitions)
    assert (again.state, again.records_in) == ("FINISHED", 0)
    assert sorted(sink.values) == totals_of(partitions)


def test_resume_goes_on_from_the_savepoint_of_a_stop() -> None:
    partitions, sink = records_of(1, 16), GatedListSink()

    async def stop() -> None:
        env = environment(execution__checkpointing__interval="1h")
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        client = await env.execute_async("totals")
        await running(client)
        await client.stop_with_savepoint()

    asyncio.run(stop())
    assert len(sink.values) < 16
    resumed(sink, partitions)
    assert sorted(sink.values) == totals_of(partitions)


def test_mistyped_savepoint_is_no_run_that_resume_would_find() -> None:
    partitions, sink = records_of(1, 16), GatedListSink()
    asyncio.run(cut_off(sink, partitions, 4, resume=False))
    env = environment(execution__state_recovery__path="no-such-savepoint")
    totals_pipeline(env, SteppedSource(partitions, Gate()), ListSink())
    with pytest.raises(RestoreError):
        env.execute("totals")
    resumed(sink, partitions)
    assert sorted(sink.values) == totals_of(partitions)
