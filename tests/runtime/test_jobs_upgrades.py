"""Whole jobs that go on from a savepoint of an earlier version of themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlet import (
    EventTimeSessionWindows,
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
    WatermarkStrategy,
)
from streamlet.api.prepared import PreparedRun, prepared_run
from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import read_manifest
from streamlet.checkpoint.restore import RestoreOptions
from streamlet.errors import ConfigError, RestoreError
from streamlet.runtime.recovery import recover
from streamlet.testing import ListSink
from tests.checkpoint.upgraded_job import UIDS, build
from tests.checkpoint.upgraded_job import environment as upgraded_environment
from tests.runtime.pipelines import (
    Fuse,
    Gate,
    GatedListSink,
    SteppedSource,
    committed,
    environment,
    records_of,
    totals_pipeline,
)

FIXTURE = Path(__file__).parents[1] / "checkpoint" / "fixtures" / "manifest-v1"


def under(
    home: Path, uid_map: dict[str, str] | None = None, **settings: Any
) -> StreamExecutionEnvironment:
    """An environment as `streamlet run --map` makes it."""
    config = upgraded_environment(home, parallelism__default=2, **settings).config
    with prepared_run(PreparedRun(config, uid_map=uid_map or {})):
        return StreamExecutionEnvironment()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
def test_every_kind_of_state_goes_to_the_operators_it_is_mapped_to(
    home: Path, backend: str
) -> None:
    """Keyed state, timers, windows, list state, splits and committables."""
    whole, sink = ListSink(), ListSink()
    env = under(home / "whole")
    build(env, whole)
    env.execute("whole")
    uid_map = {uid: f"new {uid}" for uid in UIDS}
    settings = {"execution__state_recovery__path": str(FIXTURE), "state__backend__type": backend}
    env = under(home, uid_map, **settings)
    build(env, sink, prefix="new ")
    env.execute("upgraded")
    assert sorted(map(json.dumps, sink.values)) == sorted(map(json.dumps, whole.values))


def test_map_without_state_to_begin_with_is_refused(home: Path) -> None:
    env = under(home, {"a": "b"})
    build(env, ListSink())
    with pytest.raises(ConfigError, match="--map"):
        env.execute("upgraded")


@pytest.mark.parametrize(
    ("options", "must_meet"),
    [
        (RestoreOptions(), True),
        (RestoreOptions(allow_non_restored_state=True), False),
        (RestoreOptions(is_own=True), False),
    ],
)
def test_keys_are_questioned_only_where_another_program_may_have_made_them(
    home: Path, options: RestoreOptions, must_meet: bool
) -> None:
    """EV-3; a restart must not fail for a key of a type that has not come before."""
    env = under(home)
    build(env, ListSink())
    recovery = recover(RealDisk(), env.get_execution_plan(), FIXTURE, options)
    assert {share.must_meet for share in recovery.keyed_state.values()} == {must_meet}


class Mixed(KeyedProcessFunction[Any, Any, Any]):
    """Passes the key on."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context, /) -> Iterator[Any]:
        ctx.timer_service().register_event_time_timer(2**40)
        yield ctx.get_current_key()


def test_restart_does_not_question_keys_of_a_type_that_only_comes_later() -> None:
    """A checkpoint with int keys alone, a failure, and then keys that are texts."""
    records = [("a", number) for number in range(24)]
    sink, fuse = GatedListSink(), Fuse(("a", 14))
    env = environment()
    stream = env.from_source(SteppedSource({"p": records}, sink.gate)).map(fuse)
    keyed = stream.key_by(lambda record: record[1] if record[1] < 12 else str(record[1]))
    keyed.process(Mixed()).sink_to(sink)
    env.execute("mixed")
    assert fuse.is_blown
    assert sorted(map(str, sink.values)) == sorted(str(number) for number in range(24))


async def stopped(env: StreamExecutionEnvironment, sink: ListSink, count: int) -> str:
    """The savepoint with which the job stopped once the sink had so many records."""
    client = await env.execute_async("stopped")
    await committed(client, sink, count)
    return await client.stop_with_savepoint()


def windows_pipeline(env: StreamExecutionEnvironment, sink: GatedListSink, assigner: Any) -> None:
    """Counts the records of one key in windows, and passes each of them on as well."""
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda record: record[1] * 1_000
    )
    source = SteppedSource({"p": [("k", number) for number in range(24)]}, sink.gate)
    records = env.from_source(source, strategy).uid("records")
    counts = records.key_by(0).window(assigner).apply(lambda key, window, values: len(values))
    counts.uid("windows").sink_to(sink).uid("counts")
    records.sink_to(sink).uid("as they are")


def test_open_windows_are_not_given_to_an_operator_of_sessions() -> None:
    """They would never fire: nothing there looks at them."""
    sink = GatedListSink(Gate(last=2))
    env = environment()
    windows_pipeline(env, sink, TumblingEventTimeWindows.of("1h"))
    path = asyncio.run(stopped(env, sink, 8))
    sink.gate.is_open = True
    env = environment(execution__state_recovery__path=path)
    windows_pipeline(env, sink, EventTimeSessionWindows.with_gap("1h"))
    with pytest.raises(RestoreError, match=r"'windows'.*'_windows'.*window assigner"):
        env.execute("stopped")
    env = environment(execution__state_recovery__path=path)
    windows_pipeline(env, sink, TumblingEventTimeWindows.of("1h"))
    env.execute("stopped")
    assert 24 in sink.values, "the window has all records, those before the savepoint too"


class Noted(KeyedProcessFunction[Any, Any, Any]):
    """Keeps the last record in a state of some name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self, ctx: RuntimeContext, /) -> None:
        self.last = ctx.get_state(ValueStateDescriptor(self.name))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context, /) -> Iterator[Any]:
        self.last.update(value)
        yield value


def test_state_whose_name_has_changed_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """EV-5 keeps it, but the operator begins with nothing, and nobody once was told."""
    sink = GatedListSink(Gate(last=2))

    def noted(name: str, **settings: Any) -> StreamExecutionEnvironment:
        env = environment(parallelism__default=2, **settings)
        source = env.from_source(SteppedSource(records_of(1, 24), sink.gate)).uid("source")
        source.key_by(0).process(Noted(name)).uid("noted").sink_to(sink).uid("sink")
        return env

    path = asyncio.run(stopped(noted("last"), sink, 8))
    sink.gate.is_open = True
    noted("last", execution__state_recovery__path=path).execute("same")
    assert "did not ask for" not in caplog.text
    noted("latest", execution__state_recovery__path=path).execute("renamed")
    (warning,) = [text for text in caplog.messages if "did not ask for" in text]
    assert "'noted' did not ask for in open(): 'last'" in warning


def test_manifest_says_which_types_a_job_keeps() -> None:
    sink = GatedListSink(Gate(last=3))
    env = environment()
    totals_pipeline(env, SteppedSource(records_of(1, 24), sink.gate), sink)
    path = asyncio.run(stopped(env, sink, 8))
    entries = {entry.uid: entry for entry in read_manifest(RealDisk(), Path(path)).operators}
    assert entries["totals"].key_types == ["str"]
    (so_far,) = [state for state in entries["totals"].states if state.name == "so far"]
    assert (so_far.kind, so_far.codec, so_far.classes) == ("value", "messagepack", [])
