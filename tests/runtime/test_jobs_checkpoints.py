"""When whole jobs take checkpoints, what a failing one costs, and what is kept of them."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import read_manifest
from streamlet.checkpoint.operator_state import read_operator_state
from streamlet.checkpoint.row_files import read_file
from streamlet.connectors.datagen import DataGenSource
from streamlet.errors import FatalError, TransientError
from streamlet.runtime.job import Job
from streamlet.runtime.machine import this_machine
from streamlet.sink import Sink, SinkWriter, WriterContext
from streamlet.testing import ListSink
from tests.runtime.pipelines import (
    GatedListSink,
    SteppedSource,
    environment,
    records_of,
    totals_of,
    totals_pipeline,
    until,
)


def assert_whole(directory: Path) -> None:
    """Every file that the manifest names is there, with the content it had."""
    manifest = read_manifest(RealDisk(), directory)
    read_operator_state(RealDisk(), directory, manifest)
    for entry in manifest.files():
        if entry != manifest.operator_state:
            read_file(RealDisk(), directory, entry)


def checkpoints_below(root: Path) -> list[Path]:
    return sorted(
        (path.parent for path in root.glob("*/*/chk-*/manifest.json")),
        key=lambda path: int(path.name.partition("-")[2]),
    )


def failing_at(record: Any) -> Callable[[Any], Any]:
    """Ends the job at this record, for good: checkpoints of a job that has finished are gone."""

    def fail(value: Any) -> Any:
        if value == record:
            raise FatalError("enough")
        return value

    return fail


@pytest.mark.parametrize("kind", ["absolute", "relative", "link"])
def test_retained_checkpoints_are_whole_wherever_their_directory_is(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """What a retained manifest names must never be swept, however the path was written."""
    root = home / "kept"
    monkeypatch.chdir(home)
    if kind == "link":
        (home / "elsewhere").mkdir()
        root.symlink_to(home / "elsewhere")
    directory = "kept" if kind == "relative" else str(root)
    partitions, sink = records_of(1, 24), GatedListSink()
    env = environment(execution__checkpointing__dir=directory)
    source = SteppedSource(partitions, sink.gate)
    totals_pipeline(env, source, sink, [failing_at(partitions["p0"][-1])])
    with pytest.raises(FatalError):
        env.execute("totals")
    kept = checkpoints_below(root)
    assert len(kept) == 2
    for checkpoint in kept:
        assert_whole(checkpoint)


def test_sweep_leaves_no_file_that_no_checkpoint_needs(home: Path) -> None:
    partitions, sink = records_of(2, 24), GatedListSink()
    env = environment(parallelism__default=2, execution__checkpointing__num_retained=1)
    source = SteppedSource(partitions, sink.gate)
    totals_pipeline(env, source, sink, [failing_at(partitions["p1"][-1])])
    with pytest.raises(FatalError):
        env.execute("totals")
    (kept,) = checkpoints_below(home / "checkpoints")
    named = {Path(entry.path).name for entry in read_manifest(RealDisk(), kept).files()}
    assert {path.name for path in (kept.parent / "state").iterdir()} <= named


def test_damaged_older_checkpoint_is_no_reason_to_fail(home: Path) -> None:
    """What it needs cannot be known, so nothing is swept; the newest one counts."""
    partitions, sink = records_of(1, 24), GatedListSink()

    def vandal(value: Any) -> Any:
        if value == ("k0-2", 11):
            older = checkpoints_below(home / "checkpoints")[-1]
            (older / "manifest.json").write_bytes(b"{}")
        return value

    env = environment()
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink, [vandal])
    env.execute("totals")
    assert sorted(sink.values) == totals_of(partitions)


def test_finished_job_leaves_its_record_and_nothing_to_go_on_from(home: Path) -> None:
    """CP-61: whoever stops it instead, or sees it fail, keeps what it can go on from."""
    partitions, sink = records_of(1, 24), GatedListSink()
    totals_pipeline(env := environment(), SteppedSource(partitions, sink.gate), sink)
    run_id = env.execute("totals").job_id
    run = home / "checkpoints" / "totals" / run_id
    assert sink.commits > 1
    assert [path.name for path in run.iterdir()] == ["run.json"]


def test_off_means_that_none_are_taken_and_results_are_committed_at_the_end(home: Path) -> None:
    """SNK-5."""
    sink = GatedListSink()
    sink.gate.is_open = True
    partitions = records_of(2, 12)
    env = environment(execution__checkpointing__interval="off", parallelism__default=2)
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    result = env.execute("totals")
    assert result.last_checkpoint is None
    assert checkpoints_below(home / "checkpoints") == []
    assert sorted(sink.values) == totals_of(partitions)


def test_without_checkpoints_a_failure_ends_the_job_and_commits_nothing() -> None:
    """CP-73: a restart could only repeat results."""

    def broken(value: Any) -> Any:
        raise LookupError("broken")

    sink = ListSink()
    env = environment(execution__checkpointing__interval="off")
    env.from_collection([1, 2]).map(broken).sink_to(sink)
    with pytest.raises(LookupError):
        env.execute("broken")
    assert sink.values == []


def test_pause_is_kept_between_two_checkpoints_and_savepoints_ignore_it() -> None:
    """CP-4."""

    async def run() -> None:
        env = environment(execution__checkpointing__min_pause="1h")
        env.from_source(DataGenSource(lambda index: index, rate=1_000)).sink_to(ListSink())
        client = await env.execute_async("pausing")
        await until(client, lambda status: status["checkpoints"]["completed"] == 1)
        for _ in range(3):
            await asyncio.wait_for(client.trigger_savepoint(), 5)
        assert (await client.status())["checkpoints"]["completed"] == 1
        await client.cancel()

    asyncio.run(run())


class SlowSync(Sink[Any]):
    """Its writers wait for an event, or fail, where they make their output durable."""

    def __init__(self, may_sync: threading.Event, failures: int = 0) -> None:
        self.may_sync = may_sync
        self.failures = failures
        self.committed = ListSink()

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return _SlowSyncWriter(self, self.committed.create_writer(ctx))

    def commit(self, committables: Sequence[Any]) -> None:
        self.committed.commit(committables)


class _SlowSyncWriter(SinkWriter[Any]):
    def __init__(self, sink: SlowSync, writer: SinkWriter[Any]) -> None:
        self._sink = sink
        self._writer = writer
        self.prepare_commit = writer.prepare_commit  # type: ignore[method-assign]

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self._writer.write(values, timestamps)

    def sync(self) -> None:
        self._sink.may_sync.wait(5)
        if self._sink.failures:
            self._sink.failures -= 1
            raise OSError("the disk is full")


def test_checkpoint_that_takes_too_long_is_given_up_and_the_next_one_holds_all() -> None:
    """CP-8, CP-40: tolerated, it loses nothing."""
    may_sync = threading.Event()
    sink = SlowSync(may_sync)

    async def run() -> None:
        env = environment(
            execution__checkpointing__timeout="20ms",
            execution__checkpointing__tolerable_failed_checkpoints=1000,
        )
        env.from_source(DataGenSource(lambda index: index, count=300, rate=3_000)).sink_to(sink)
        client = await env.execute_async("slow")
        await until(client, lambda status: status["checkpoints"]["failed"] >= 2)
        assert sink.committed.values == []
        may_sync.set()
        await client.result()

    asyncio.run(run())
    assert sink.committed.values == list(range(300))


@pytest.mark.parametrize("tolerated", [0, 5])
def test_output_that_cannot_be_made_durable_is_written_again(tolerated: int) -> None:
    """However many failed checkpoints are tolerated: after a failed fsync the data may be gone."""
    may_sync = threading.Event()
    may_sync.set()
    sink = SlowSync(may_sync, failures=2)
    env = environment(execution__checkpointing__tolerable_failed_checkpoints=tolerated)
    env.from_source(DataGenSource(lambda index: index, count=100, rate=2_000)).sink_to(sink)
    assert env.execute("declining").state == "FINISHED"
    assert sink.failures == 0
    assert sink.committed.values == list(range(100))


def test_output_that_cannot_be_made_durable_fails_a_job_that_may_not_restart() -> None:
    may_sync = threading.Event()
    may_sync.set()
    sink = SlowSync(may_sync, failures=10**6)
    env = environment(
        execution__checkpointing__tolerable_failed_checkpoints=2, restart_strategy__type="none"
    )
    env.from_source(DataGenSource(lambda index: index, rate=1_000)).sink_to(sink)
    with pytest.raises(TransientError, match="the disk is full"):
        env.execute("failing")
    assert sink.committed.values == []


class FullOnce(RealDisk):
    """There is no space for one file of keyed state."""

    is_full = True

    def create(self, path: Path) -> BinaryIO:
        if self.is_full and path.parent.name == "state":
            self.is_full = False
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path)


@pytest.mark.parametrize("tolerated", [0, 5])
def test_failed_checkpoint_is_told_once(caplog: pytest.LogCaptureFixture, tolerated: int) -> None:
    """By the task, by the coordinator, and by the restart if there was one: it was three times."""
    partitions, sink = records_of(1, 24), GatedListSink()

    async def run() -> None:
        env = environment(execution__checkpointing__tolerable_failed_checkpoints=tolerated)
        totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
        request = env._request(env.config, "totals", None, is_recorded=False)
        job = Job(request, replace(this_machine(), disk=FullOnce()))
        await job.prepare()
        assert (await job.run()).restarts == (tolerated == 0)

    with caplog.at_level(logging.INFO, "streamlet"):
        asyncio.run(run())
    assert sorted(sink.values) == totals_of(partitions)
    (told,) = [text for text in caplog.messages if "No space left" in text]
    assert "checkpoint 1 failed: " in told
    assert "tolerated are 5" in told if tolerated else "restarting in" in told


def test_output_that_cannot_be_made_durable_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    may_sync = threading.Event()
    may_sync.set()
    sink = SlowSync(may_sync, failures=2)
    env = environment()
    env.from_source(DataGenSource(lambda index: index, count=100, rate=2_000)).sink_to(sink)
    with caplog.at_level(logging.INFO, "streamlet"):
        env.execute("declining")
    told = [text for text in caplog.messages if "the disk is full" in text]
    assert len(told) == 2
    assert all("restarting in" in text and "in task (0, 0)" in text for text in told)
