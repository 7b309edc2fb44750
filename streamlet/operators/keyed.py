"""process, reduce and agg on keyed streams."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from itertools import repeat
from typing import Any, Final

from streamlet.aggregates import NamedAggregates
from streamlet.elements import MAX_TIMESTAMP, RowBatch
from streamlet.errors import FatalError, InternalError
from streamlet.functions import KeyedProcessFunction, ReduceFunction
from streamlet.operators.context import KeyedContext
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.place import note_firing, note_record
from streamlet.operators.results import Results
from streamlet.operators.stateless import FunctionOperator
from streamlet.operators.timers import KeyedTimers
from streamlet.state.codec import ATOMS, DEFAULT_CODEC, Encoded, handed_out, keep
from streamlet.state.log import MISSING, StateLog

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
        keys = batch.keys or []
        log, context, process = self._log, self._context, self._process
        results, index = Results(), -1
        add = results.add
        try:
            for key, value, timestamp in zip(keys, batch.values, batch.timestamps or repeat(None)):  # noqa: B905 - repeat never ends
                index += 1
                log.key = key
                context.now = timestamp
                yielded = process(value, context)
                if yielded is not None:
                    add(yielded, timestamp)
        except Exception as error:
            note_record(error, self.ctx, batch, index)
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
        results, context = Results(), self._context
        context.domain = time_domain
        for _ in range(budget):
            due = domain.pop_due(limit_ms)
            if due is None:
                break
            timestamp, self._log.key = due
            if limit_ms == MAX_TIMESTAMP and self._is_endless(self._log.key):
                continue
            context.now = timestamp
            try:
                yielded = self._on_timer(timestamp, context)
                results.add_timed(yielded, timestamp if is_event_time else None, timestamp)
            except Exception as error:
                note_firing(error, self.ctx, self._log.key, f"{time_domain} timer {timestamp}")
                raise
        else:
            due = (0, None)
        results.emit(out)
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

    def __init__(self, named: NamedAggregates, key_fields: tuple[str, ...]) -> None:
        self._named = named
        self._key_fields = key_fields
        self._row = named.row_maker(key_fields)

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._table = keyed_state(ctx).flat("_aggregated", kind="aggregating", owned=True)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        results: list[Any] = []
        try:
            self._aggregate(batch.keys or [], batch.values, results)
        except Exception as error:
            note_record(error, self._ctx, batch, len(results))
            raise
        out.emit(RowBatch(results, batch.timestamps))

    def _aggregate(self, keys: list[Any], values: list[Any], results: list[Any]) -> None:
        named, table, dirty, append = self._named, self._table, self._table.dirty, results.append
        add, row, has_one_field = named.add, self._row, len(self._key_fields) == 1
        for key, parts in zip(keys, named.parts(values), strict=True):
            accumulator = dirty.get(key, MISSING)
            if accumulator is MISSING:
                accumulator = table.for_update(key)
            if accumulator is MISSING:
                accumulator = named.create()
            dirty[key] = accumulator = add(accumulator, parts)
            append(row((key,) if has_one_field else key_values(self._key_fields, key), accumulator))


def key_values(key_fields: tuple[str, ...], key: Any) -> tuple[Any, ...]:
    """The key as the leading values of an `agg` result; none without key fields."""
    if len(key_fields) == 1:
        return (key,)
    return tuple(key) if key_fields else ()
