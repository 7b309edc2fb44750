"""Hands records to a sink's writer, and its committables to the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from streamlet.elements import Batch, ColumnBatch
from streamlet.errors import note_place
from streamlet.operators.operator import Operator, OperatorContext, OperatorSnapshot, Output
from streamlet.sink import Sink, SinkWriter, WriterContext


class SinkOperator(Operator):
    """The writer of one subtask.

    Committables stay here until a checkpoint that holds them is known to be complete: one that was
    aborted leaves its committables to the next, which commits the same output.
    """

    def __init__(self, sink: Sink[Any]) -> None:
        self._sink = sink
        self.takes_columns = sink.rows_because is None
        self._writer: SinkWriter[Any] | None = None
        self._uncommitted: dict[int, list[Any]] = {}

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._writer_ctx = WriterContext(
            run_id=ctx.run_id,
            subtask_index=ctx.subtask_index,
            parallelism=ctx.parallelism,
            checkpoint_id=ctx.next_checkpoint_id,
            restored=ctx.restored,
        )
        self._writer = self._sink.create_writer(self._writer_ctx)

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        assert self._writer is not None
        try:
            if isinstance(batch, ColumnBatch):
                self._writer.write_columns(batch.records, batch.timestamps)
            else:
                self._writer.write(batch.values, batch.timestamps)
        except Exception as error:
            note_place(error, self._ctx.place())
            raise

    def prepare_barrier(self, checkpoint_id: int, out: Output) -> None:
        assert self._writer is not None
        self._writer_ctx.checkpoint_id = checkpoint_id
        self._writer.flush()
        self._uncommitted[checkpoint_id] = list(self._writer.prepare_commit())
        self._writer_ctx.checkpoint_id = checkpoint_id + 1

    def snapshot(self, checkpoint_id: int) -> OperatorSnapshot:
        assert self._writer is not None
        state = self._writer.snapshot()
        return OperatorSnapshot(
            operator_state=[] if state is None else [state],
            committables=[c for group in self._uncommitted.values() for c in group],
            sync=self._writer.sync,
        )

    def on_checkpoint_complete(self, checkpoint_id: int) -> None:
        self._uncommitted = {
            made: group for made, group in self._uncommitted.items() if made > checkpoint_id
        }

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class FunctionSink(Sink[Any]):
    """`sink_to(fn(values))`: at least once, no commit."""

    name = "function sink"
    rows_because = "it calls a Python function"

    def __init__(self, fn: Callable[[Sequence[Any]], Any]) -> None:
        self._fn = fn

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return _FunctionWriter(self._fn)


class _FunctionWriter(SinkWriter[Any]):
    def __init__(self, fn: Callable[[Sequence[Any]], Any]) -> None:
        self._fn = fn

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self._fn(list(values))
