"""Whole jobs that fail and restart: every record counts exactly once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from streamlet.errors import FatalError, RestoreError, TransientError
from streamlet.runtime.restart import SAME_MISTAKES
from tests.runtime.pipelines import (
    Fuse,
    GatedListSink,
    SteppedSource,
    environment,
    records_of,
    totals_of,
    totals_pipeline,
)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_failures_before_and_after_the_state_leave_no_trace_in_the_results(
    parallelism: int, backend: str
) -> None:
    """CP-10, CP-70: any number of failures at any place, and the results of an undisturbed run."""
    partitions = records_of(3, 40)
    sink = GatedListSink()
    fuses = [Fuse(("k0-1", 1), ("k1-2", 17), ("k2-0", 39)), Fuse(("k0-0", 3, 9), ("k2-2", 13, 260))]
    env = environment(state__backend__type=backend, parallelism__default=parallelism)
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink, fuses)
    result = env.execute("totals")
    assert all(fuse.is_blown for fuse in fuses)
    assert result.state == "FINISHED"
    assert sorted(sink.values) == totals_of(partitions)


@pytest.mark.parametrize("position", [0, 3, 4, 11, 12, 19])
def test_failure_at_any_step_of_the_input(position: int) -> None:
    partitions = records_of(1, 20)
    sink = GatedListSink()
    fuse = Fuse(partitions["p0"][position])
    env = environment()
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink, [fuse])
    env.execute("totals")
    assert fuse.is_blown
    assert sorted(sink.values) == totals_of(partitions)


def test_counts_go_on_over_restarts_and_the_result_says_how_many_there_were() -> None:
    partitions = records_of(1, 12)
    sink, fuse = GatedListSink(), Fuse(("k0-2", 11))
    sink.gate.is_open = True
    env = environment(execution__checkpointing__interval="1h")
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink, [fuse])
    result = env.execute("totals")
    assert fuse.is_blown
    assert result.restarts == 1
    assert result.records_in > len(partitions["p0"]), "what is read again counts again"


def test_mistake_in_the_jobs_code_ends_it_although_restarts_are_unlimited() -> None:
    def broken(value: Any) -> Any:
        calls.append(value)
        raise LookupError(f"no price for {value}")

    calls: list[Any] = []
    env = environment(
        restart_strategy__type="exponential-delay",
        restart_strategy__exponential_delay__max_backoff=1,
    )
    env.from_collection(["apple"]).map(broken).print()
    with pytest.raises(LookupError, match="no price for apple"):
        env.execute("prices")
    assert len(calls) == 1 + SAME_MISTAKES


def test_failure_before_the_first_checkpoint_starts_over() -> None:
    partitions = records_of(1, 12)
    sink, fuse = GatedListSink(), Fuse(("k0-2", 11))
    sink.gate.is_open = True
    env = environment(execution__checkpointing__interval="1h")
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink, [fuse])
    env.execute("totals")
    assert fuse.is_blown
    assert sorted(sink.values) == totals_of(partitions)


@pytest.mark.parametrize("failures", [1, 2])
def test_commit_that_breaks_half_way_is_repeated_from_the_same_checkpoint(failures: int) -> None:
    """The manifest is durable and a part is committed: an older checkpoint would double it."""
    partitions = records_of(2, 12)
    sink = GatedListSink(failures=failures)
    env = environment(parallelism__default=2)
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    env.execute("totals")
    assert sink.failures == 0
    assert sorted(sink.values) == totals_of(partitions)


def test_commit_of_the_last_checkpoint_that_breaks_is_repeated() -> None:
    """CP-51: with one checkpoint alone, the final one."""
    partitions = records_of(2, 12)
    sink = GatedListSink(failures=1)
    sink.gate.is_open = True
    env = environment(parallelism__default=2, execution__checkpointing__interval="1h")
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink)
    assert env.execute("totals").state == "FINISHED"
    assert sorted(sink.values) == totals_of(partitions)


def test_restarts_end_when_their_number_is_used_up_and_the_error_is_the_users(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(value: Any) -> Any:
        raise LookupError(f"no price for {value}")

    env = environment(restart_strategy__fixed_delay__attempts=2)
    env.from_collection([1]).map(broken).name("prices").sink_to(print)
    with pytest.raises(LookupError, match="no price for 1") as caught:
        env.execute("broken")
    assert any("prices" in note for note in caught.value.__notes__)
    first, second, end = caplog.messages
    assert "in operator 'prices'" in first, "where, and not only what"
    assert "restarting" in second
    assert end.startswith("the job failed: LookupError"), "the log of the run says it, too"


def test_what_a_restart_cannot_mend_fails_at_once() -> None:
    attempts: list[Any] = []

    def fatal(value: Any) -> Any:
        attempts.append(value)
        raise FatalError("the card is not a card")

    env = environment()
    env.from_collection([1]).map(fatal).sink_to(print)
    with pytest.raises(FatalError):
        env.execute("fatal")
    assert len(attempts) == 1


def test_open_that_fails_once_is_tried_again_and_all_is_closed() -> None:
    from streamlet import ProcessFunction

    log: list[str] = []

    class Fragile(ProcessFunction[int, int]):
        def open(self, ctx: Any) -> None:
            log.append("open")
            if len(log) == 1:
                raise ConnectionError("not yet")

        def process_element(self, value: int, ctx: Any, /) -> Any:
            yield value

        def close(self) -> None:
            log.append("close")

    sink = GatedListSink()
    env = environment()
    env.from_collection([1, 2]).process(Fragile()).sink_to(sink)
    env.execute("fragile")
    assert log == ["open", "close", "open", "close"]
    assert sink.values == [1, 2]


def test_checkpoints_that_vanish_are_an_error_and_never_a_silent_fresh_start(home: Path) -> None:
    """A restart without the checkpoint whose output is committed would give it all again."""
    partitions = records_of(1, 20)
    sink = GatedListSink()

    def vandal(value: Any) -> Any:
        if value == ("k0-2", 17):
            for run in (home / "checkpoints" / "totals").iterdir():
                if run.is_dir():
                    shutil.rmtree(run)
            raise RuntimeError("and then it fails")
        return value

    env = environment()
    totals_pipeline(env, SteppedSource(partitions, sink.gate), sink, [vandal])
    with pytest.raises((RestoreError, TransientError)):
        env.execute("totals")
    assert len(sink.values) == len(set(sink.values))


def test_failing_close_of_a_reader_does_not_keep_the_job_from_ending() -> None:
    from streamlet.source import PartitionedSource, PartitionReader

    class Reader(PartitionReader[int]):
        def poll(self, max_records: int) -> list[int]:
            return [1]

        def position(self) -> int:
            return 0

        def close(self) -> None:
            raise OSError("the socket is gone")

    class Endless(PartitionedSource[int]):
        def list_partitions(self) -> list[str]:
            return ["only"]

        def open_partition(self, name: str, position: Any | None) -> PartitionReader[int]:
            return Reader()

    def broken(value: Any) -> Any:
        raise LookupError("broken")

    env = environment(restart_strategy__type="none")
    env.from_source(Endless()).map(broken).sink_to(print)
    with pytest.raises(LookupError):
        env.execute("endless")
