"""map, flat_map, filter and process on streams without keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, compress, repeat
from operator import sub
from typing import Any

from streamlet.elements import RowBatch
from streamlet.errors import note_place, stop_iteration_raised
from streamlet.functions import CheckpointedFunction, Function, ProcessFunction
from streamlet.operators.context import (
    ElementContext,
    ListStateContext,
    NoTimers,
    SubtaskRuntimeContext,
)
from streamlet.operators.operator import (
    Operator,
    OperatorContext,
    OperatorSnapshot,
    Output,
    own_copy,
)
from streamlet.operators.place import note_record, position_of_last
from streamlet.operators.results import Results
from streamlet.state.operator_lists import OperatorLists


class FunctionOperator(Operator):
    """Base of operators around one user function: opens and closes its own copy of it.

    A CheckpointedFunction finds its lists before `open`, and fills them for each snapshot.
    """

    def __init__(self, function: Any) -> None:
        self.function = own_copy(function)
        self._is_opened = False

    def open(self, ctx: OperatorContext) -> None:
        self.ctx = ctx
        self._lists = OperatorLists(ctx.restored, ctx.subtask_index, ctx.place())
        if isinstance(self.function, Function):
            self._is_opened = True
            if isinstance(self.function, CheckpointedFunction):
                context = ListStateContext(self._lists, ctx.next_checkpoint_id)
                self.function.initialize_state(context)
            self.function.open(SubtaskRuntimeContext(ctx))

    def snapshot(self, checkpoint_id: int) -> OperatorSnapshot:
        if isinstance(self.function, CheckpointedFunction):
            try:
                self.function.snapshot_state(ListStateContext(self._lists, checkpoint_id))
            except Exception as error:
                note_place(error, self.ctx.place())
                raise
        return OperatorSnapshot(operator_state=[*self._lists.snapshot()])

    def close(self) -> None:
        if self._is_opened:
            self._is_opened = False
            self.function.close()


class MapOperator(FunctionOperator):
    """One result per record; it keeps the record's timestamp."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        super().__init__(fn)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        results: list[Any] = []
        try:
            # On an exception `extend` keeps what came before: its length is the failing index.
            results.extend(map(self.function, batch.values))
            if len(results) < len(batch.values):
                raise stop_iteration_raised()
        except Exception as error:
            note_record(error, self.ctx, batch, len(results))
            raise
        out.emit(RowBatch(results, batch.timestamps))


class FilterOperator(FunctionOperator):
    """The records for which the function is true."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        super().__init__(fn)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        remaining = iter(batch.values)
        try:
            is_kept = self._verdicts(remaining)
        except Exception as error:
            note_record(error, self.ctx, batch, position_of_last(remaining, batch.values))
            raise
        if all(is_kept):
            out.emit(RowBatch(batch.values, batch.timestamps))
            return
        timestamps = batch.timestamps
        out.emit(
            RowBatch(
                list(compress(batch.values, is_kept)),
                None if timestamps is None else list(compress(timestamps, is_kept)),
            )
        )

    def _verdicts(self, values: Iterator[Any]) -> list[bool]:
        keeps = self.function
        try:
            # Quicker than `map(bool, map(keeps, values))`: Python calls Python without C between.
            return [True if keeps(value) else False for value in values]  # noqa: SIM210
        except StopIteration:
            raise stop_iteration_raised() from None


class FlatMapOperator(FunctionOperator):
    """Any number of results per record; each keeps the record's timestamp."""

    def __init__(self, fn: Callable[[Any], Iterable[Any] | None]) -> None:
        super().__init__(fn)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        results: list[Any] = []
        ends: list[int] = []
        flat_map = self.function
        try:
            for value in batch.values:
                results.extend(flat_map(value) or ())
                ends.append(len(results))
        except Exception as error:
            note_record(error, self.ctx, batch, len(ends))
            raise
        if batch.timestamps is None:
            out.emit(RowBatch(results))
            return
        counts = map(sub, ends, [0, *ends])
        out.emit(RowBatch(results, [*chain.from_iterable(map(repeat, batch.timestamps, counts))]))


class ProcessOperator(FunctionOperator):
    """A ProcessFunction, or a plain function of `(value, ctx)`."""

    def __init__(self, function: ProcessFunction | Callable[[Any, Any], Any]) -> None:
        super().__init__(function)

    def open(self, ctx: OperatorContext) -> None:
        self._timers = NoTimers(ctx)
        self._element = ElementContext(self._timers)
        super().open(ctx)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        process = getattr(self.function, "process_element", self.function)
        results, values = Results(), iter(batch.values)
        records = zip(values, repeat(None), batch.timestamps or repeat(None))
        try:
            results.add_processed(process, records, self._element, self._element)
        except Exception as error:
            note_record(error, self.ctx, batch, position_of_last(values, batch.values))
            raise
        results.emit(out)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._timers.watermark_ms = watermark_ms
        return super().advance_watermark(watermark_ms, budget, out)
