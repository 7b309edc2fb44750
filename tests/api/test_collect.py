"""The collecting sink: each record once, over restarts too."""

from __future__ import annotations

from streamlet.api.collect import CollectSink
from streamlet.sink import RestoreContext, WriterContext


def test_values_are_readable_as_they_are_written() -> None:
    sink = CollectSink()
    sink.create_writer(WriterContext("run", 0, 1)).write(["a", "b"], None)
    assert sink.values() == ["a", "b"]
    assert sink.values(1) == ["a"]
    assert len(sink) == 2


def test_restart_without_a_checkpoint_starts_over() -> None:
    sink = CollectSink()
    sink.create_writer(WriterContext("run", 0, 1)).write([1, 2], None)
    sink.recover(RestoreContext(0, ["run"]))
    assert sink.values() == []


def test_restart_takes_back_what_the_checkpoint_does_not_cover_per_subtask() -> None:
    sink = CollectSink()
    contexts = [WriterContext("run", index, 2) for index in range(2)]
    writers = [sink.create_writer(ctx) for ctx in contexts]
    writers[0].write(["a1"], None)
    writers[0].flush()
    writers[1].write(["b1", "b2"], None)
    writers[1].flush()
    writers[0].write(["a2"], None)
    sink.recover(RestoreContext(1, ["run"]))
    assert sink.values() == ["a1", "b1", "b2"]
    again = sink.create_writer(WriterContext("run-2", 0, 2, checkpoint_id=2))
    again.write(["a2"], None)
    again.flush()
    sink.recover(RestoreContext(2, ["run", "run-2"]))
    assert sink.values() == ["a1", "a2"], "subtask 1 had flushed nothing for checkpoint 2"
