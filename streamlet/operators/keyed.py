"""process, reduce and agg on keyed streams."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from streamlet.aggregates import NamedAggregates
from streamlet.columns import to_rows
from streamlet.elements import MAX_TIMESTAMP, Batch, ColumnBatch, RowBatch
from streamlet.errors import FatalError, InternalError
from streamlet.functions import KeyedProcessFunction, ReduceFunction
from streamlet.operators.context import KeyedContext
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.place import note_firing, note_record, position_of_last, select_at
from streamlet.operators.results import Results
from streamlet.operators.stateless import FunctionOperator
from streamlet.operators.timers import KeyedTimers
from streamlet.state.codec import ATOMS, DEFAULT_CODEC, Encoded, handed_out, keep
from streamlet.state.log import MISSING, StateLog

if TYPE_CHECKING:
    from streamlet.operators.running_columns import RunningColumns

_log = logging.getLogger("streamlet.operators")

MAX_ROUNDS_AT_END: Final = 1_000
"""How often one key's timers may re-arm while the end of event time is being reached."""


def keyed_state(ctx: OperatorContext) -> StateLog:
    """The state log of an operator that must be keyed."""
    if ctx.keyed_state is None:
        raise InternalError(f"no keyed state was deployed {ctx.place()}")
    return ctx.keyed_state


class KeyedProcessOperator(FunctionOperator):
    """A KeyedProcessFunction: state and timers of the record's key."""

    def __init__(self, function: KeyedProcessFunction | Callable[[Any, Any], Any]) -> None:
        super().__init__(function)
        self._process = getattr(self.function, "process_element", self.function)
        self._on_timer = getattr(self.function, "on_timer", _no_on_timer)

    def open(self, ctx: OperatorContext) -> None:
        self._log = keyed_state(ctx)
        self._timers = KeyedTimers(self._log, ctx.clock)
        self._context = KeyedContext(self._timers)
        self._rounds: Counter[Any] = Counter()
        super().open(ctx)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        results, values = Results(), iter(batch.values)
        records = zip(values, batch.keys or (), batch.timestamps or repeat(None))  # noqa: B905 - repeat never ends
        try:
            results.add_processed(self._process, records, self._context, self._log)
        except Exception as error:
            note_record(error, self.ctx, batch, position_of_last(values, batch.values))
            raise
        results.emit(out)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._timers.watermark_ms = watermark_ms  # TM-3: before any timer fires
        if not self._fire("event_time", watermark_ms, budget, out):
            return False
        self._rounds.clear()
        return super().advance_watermark(watermark_ms, budget, out)

    def next_processing_time(self) -> int | None:
        return self._timers.processing.next_timestamp()

    def advance_processing_time(self, now_ms: int, budget: int, out: Output) -> bool:
        return self._fire("processing_time", now_ms, budget, out)

    def finish(self, out: Output) -> None:
        self._timers.quiesce()

    def _fire(self, time_domain: Any, limit_ms: int, budget: int, out: Output) -> bool:
        """Fires timers up to `limit_ms`; False when the budget ended first."""
        is_event_time = time_domain == "event_time"
        domain = self._timers.event if is_event_time else self._timers.processing
        log, context, on_timer, results = self._log, self._context, self._on_timer, Results()
        context.domain, is_at_end = time_domain, limit_ms == MAX_TIMESTAMP
        for _ in range(budget):
            due = domain.pop_due(limit_ms)
            if due is None:
                break
            timestamp, log.key = due
            if is_at_end and self._is_endless(log.key):
                continue
            context.now = timestamp
            try:
                yielded = on_timer(timestamp, context)
                if yielded is not None:
                    results.add(yielded, timestamp)
            except Exception as error:
                note_firing(error, self.ctx, log.key, f"{time_domain} timer {timestamp}")
                raise
        else:
            due = (0, None)
        # TM-10: side outputs carry the timer's timestamp in either case
        results.emit(out, is_main_stamped=is_event_time)
        return due is None

    def _is_endless(self, key: Any) -> bool:
        """Whether the key's timers re-arm for ever at the end of input; says so once."""
        self._rounds[key] += 1
        if self._rounds[key] == MAX_ROUNDS_AT_END + 1:
            _log.warning(
                "%s, key %r: on_timer still registers timers after %d rounds at the end of input; "
                "its further timers are dropped",
                self.ctx.place(),
                key,
                MAX_ROUNDS_AT_END,
            )
        return self._rounds[key] > MAX_ROUNDS_AT_END


def _no_on_timer(timestamp: int, ctx: Any) -> None:
    raise FatalError(
        "a timer is due, but the function has no on_timer; pass a KeyedProcessFunction that has one"
    )


class ReduceOperator(FunctionOperator):
    """Folds the records of each key; one result per record, the first one included."""

    def __init__(self, fn: Callable[[Any, Any], Any] | ReduceFunction) -> None:
        super().__init__(fn)
        self._reduce = getattr(self.function, "reduce", self.function)

    def open(self, ctx: OperatorContext) -> None:
        self._table = keyed_state(ctx).flat("_reduced", kind="reducing")
        super().open(ctx)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        results: list[Any] = []
        try:
            self._fold(batch.keys or [], batch.values, results)
        except Exception as error:
            note_record(error, self.ctx, batch, len(results))
            raise
        out.emit(RowBatch(results, batch.timestamps))

    def _fold(self, keys: list[Any], values: list[Any], results: list[Any]) -> None:
        reduce, load, dirty = self._reduce, self._table.load, self._table.dirty
        append, are_atoms = results.append, ATOMS.issuperset
        for key, value in zip(keys, values, strict=True):
            folded = dirty.get(key, MISSING)
            if folded is MISSING:
                folded = load(key)
            if folded is MISSING:
                result = value
            else:
                if folded.__class__ is Encoded:
                    folded = handed_out(folded, DEFAULT_CODEC)
                result = reduce(folded, value)
            kind = result.__class__
            is_kept_as_it_is = kind in ATOMS or (kind is tuple and are_atoms(map(type, result)))
            dirty[key] = result if is_kept_as_it_is else keep(result, DEFAULT_CODEC)
            append(result)


class AggOperator(Operator):
    """Named aggregates of each key; one dict per record."""

    takes_columns = True

    def __init__(self, named: NamedAggregates, key_fields: tuple[str, ...]) -> None:
        self._named = named
        self._key_fields = key_fields
        self._rows = named.row_builder(key_fields)

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._table = keyed_state(ctx).flat(
            "_aggregated",
            kind="aggregating",
            owned=True,
            copy=list if self._named.is_replaced else None,
        )
        self._columns: RunningColumns | None = None

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        if isinstance(batch, ColumnBatch):
            if (columns := self._running_columns().add(batch)) is not None:
                out.emit(columns)
                return
            batch = to_rows(batch)
        keys = batch.keys or []
        results: list[list[Any]] = []
        parts = select_at(self._ctx, self._named.columns, batch.values)
        try:
            self._named.run(self._accumulators(keys), parts, results)
        except Exception as error:
            note_record(error, self._ctx, batch, len(results[-1]) if results else 0)
            raise
        rows = self._rows(*key_columns(self._key_fields, keys), *results)
        out.emit(RowBatch(rows, batch.timestamps))

    def _running_columns(self) -> RunningColumns:
        if self._columns is None:
            from streamlet.operators.running_columns import RunningColumns  # loads numpy

            self._columns = RunningColumns(self._named, self._key_fields, self._table)
        return self._columns

    def _accumulators(self, keys: list[Any]) -> list[list[Any]]:
        """That of each key, to be changed in place; no accumulator is an empty list."""
        known: list[Any] = list(map(self._table.dirty.get, keys))
        if all(known):
            return known
        return [each or self._opened(key) for each, key in zip(known, keys, strict=True)]

    def _opened(self, key: Any) -> list[Any]:
        """The accumulator of a key that was not dirty; now it is."""
        accumulator = self._table.for_update(key)
        if accumulator is MISSING:
            accumulator = self._table.dirty[key] = self._named.create()
        return accumulator  # type: ignore[no-any-return]


def key_columns(key_fields: tuple[str, ...], keys: list[Any]) -> Iterable[Sequence[Any]]:
    """The keys as the leading columns of `agg` results; none without key fields."""
    if len(key_fields) == 1:
        return (keys,)
    return zip(*keys, strict=True) if key_fields else ()
