"""The sink operator: what it prepares at a barrier, and what an abort leaves to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from streamlet.operators.sink import FunctionSink, SinkOperator
from streamlet.sink import Sink, SinkWriter, WriterContext
from streamlet.testing import ListSink, OperatorHarness


class Recording(Sink[Any]):
    """Writes down every call that its writers get."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        self.calls.append(("create", ctx.checkpoint_id, list(ctx.restored)))
        return _Writer(ctx, self.calls)


class _Writer(SinkWriter[Any]):
    def __init__(self, ctx: WriterContext, calls: list[Any]) -> None:
        self.ctx = ctx
        self.calls = calls

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        if "bad" in values:
            raise OSError("disk full")
        self.calls.append(("write", list(values), timestamps))

    def flush(self) -> None:
        self.calls.append(("flush", self.ctx.checkpoint_id))

    def prepare_commit(self) -> Sequence[Any]:
        self.calls.append("prepare_commit")
        return [f"part-{self.ctx.checkpoint_id}"]

    def snapshot(self) -> Any:
        self.calls.append("snapshot")
        return {"next": self.ctx.checkpoint_id}

    def sync(self) -> None:
        self.calls.append("sync")

    def close(self) -> None:
        self.calls.append("close")


def test_a_barrier_flushes_prepares_snapshots_and_syncs_in_that_order() -> None:
    sink = Recording()
    with OperatorHarness(lambda: SinkOperator(sink)) as harness:
        harness.send("a", 5)
        snapshot = harness.snapshot()
    assert sink.calls == [
        ("create", 1, []),
        ("write", ["a"], [5]),
        ("flush", 1),
        "prepare_commit",
        "snapshot",
        "sync",
        "close",
    ]
    assert snapshot.committables == ("part-1",)


def test_the_writer_s_state_comes_back_to_the_new_writer() -> None:
    sink = Recording()
    with OperatorHarness(lambda: SinkOperator(sink)) as harness:
        harness.restore(harness.snapshot())
    creates = [call for call in sink.calls if call[0] == "create"]
    assert creates == [("create", 1, []), ("create", 2, [{"next": 2}])]


def test_committables_of_an_aborted_checkpoint_travel_with_the_next() -> None:
    """What was flushed before the abort must still be committed, once."""
    with OperatorHarness(lambda: SinkOperator(Recording())) as harness:
        assert harness.snapshot(is_complete=False).committables == ("part-1",)
        assert harness.snapshot(is_complete=False).committables == ("part-1", "part-2")
        assert harness.snapshot().committables == ("part-1", "part-2", "part-3")
        assert harness.snapshot().committables == ("part-4",)


def test_committing_the_same_committables_twice_shows_each_record_once() -> None:
    """Idempotent: the aborted checkpoint's may come again with the next."""
    sink = ListSink()
    with OperatorHarness(lambda: SinkOperator(sink)) as harness:
        harness.send_batch(["a", {"b": 1}], [1, 2])
        first = harness.snapshot(is_complete=False)
        harness.send("c")
        second = harness.snapshot()
    assert sink.values == []
    for snapshot in (first, second, second):
        sink.commit(snapshot.committables)
    assert sink.values == ["a", {"b": 1}, "c"]
    assert [record.timestamp for record in sink.records] == [1, 2, None]


def test_an_error_of_the_writer_names_the_sink() -> None:
    with (
        OperatorHarness(lambda: SinkOperator(Recording())) as harness,
        pytest.raises(OSError, match="disk full") as caught,
    ):
        harness.send("bad")
    assert caught.value.__notes__ == ["in operator 'harness' (subtask 1 of 1)"]


def test_a_function_sink_gets_lists_of_its_own() -> None:
    taken: list[Any] = []
    with OperatorHarness(lambda: SinkOperator(FunctionSink(taken.append))) as harness:
        harness.send_batch(["a", "b"])
        taken[0].clear()
        assert harness.snapshot().committables == ()
    assert taken == [[]]
