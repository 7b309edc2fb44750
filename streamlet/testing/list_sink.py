"""An exactly-once sink in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamlet.sink import Sink, SinkWriter, WriterContext
from streamlet.testing.script import At


class ListSink(Sink[Any]):
    """Keeps what was committed; each record is there once, whatever failed in between.

    A record appears when the checkpoint that covers it is complete, or at the end of a job without
    checkpoints: in order per subtask, subtask by subtask within a checkpoint. In a job with
    checkpoints a record must be a value that state can keep, because it travels in the checkpoint.
    """

    name = "list"

    def __init__(self) -> None:
        self._records: list[At] = []
        self._committed: set[tuple[str, int, int]] = set()
        self._writers = 0

    @property
    def values(self) -> list[Any]:
        """The records committed so far."""
        return [record.value for record in self._records]

    @property
    def records(self) -> list[At]:
        """The records committed so far with their timestamps, comparable with `at(...)`."""
        return list(self._records)

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        # Its number tells it from those of other operators that end in the same sink.
        self._writers += 1
        return _ListWriter(ctx, self._writers)

    def commit(self, committables: Sequence[Any]) -> None:
        for run_id, writer, checkpoint_id, timestamps, values in committables:
            # A crash after the commit brings the same committables again.
            if (run_id, writer, checkpoint_id) not in self._committed:
                self._committed.add((run_id, writer, checkpoint_id))
                self._records += map(At, timestamps, values)


class _ListWriter(SinkWriter[Any]):
    """Holds records back until a barrier describes them."""

    def __init__(self, ctx: WriterContext, number: int) -> None:
        self._ctx = ctx
        self._number = number
        self._timestamps: list[int | None] = []
        self._values: list[Any] = []

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self._values += values
        self._timestamps += [None] * len(values) if timestamps is None else timestamps

    def prepare_commit(self) -> Sequence[Any]:
        if not self._values:
            return ()
        timestamps, self._timestamps = self._timestamps, []
        values, self._values = self._values, []
        ctx = self._ctx
        return [(ctx.run_id, self._number, ctx.checkpoint_id, timestamps, values)]
