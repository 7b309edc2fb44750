"""Tumbling and sliding event-time windows with the default trigger.

A window fires when the watermark reaches its last millisecond, and again for each element that
comes within the allowed lateness; then it is dropped. State is kept by window first and key
second, so that a window opens, fires and goes as a whole: no timer per key is needed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, Batch, ColumnBatch, RowBatch
from streamlet.errors import RecordError
from streamlet.eventtime.windows import (
    CumulativeEventTimeWindows,
    SlidingEventTimeWindows,
    Span,
    TumblingEventTimeWindows,
    Window,
)
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.buckets import Buckets
from streamlet.operators.firing import DueSpans, Firings, Work, count_pieces, read_pieces
from streamlet.operators.keyed import keyed_state
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.place import note_record
from streamlet.operators.results import Results
from streamlet.operators.window_contents import WindowContents, WindowScope
from streamlet.state.log import MISSING, Layout
from streamlet.state.pieces import collect, in_order, release

if TYPE_CHECKING:
    from streamlet.operators.column_spans import ColumnSpans

FixedWindows: TypeAlias = (
    TumblingEventTimeWindows | SlidingEventTimeWindows | CumulativeEventTimeWindows
)
"""Windows whose bounds follow from the timestamp alone."""


class LateRecords:
    """Where records go that come after their window's time: a side output, or the counter."""

    def __init__(self, ctx: OperatorContext, tag_id: str | None) -> None:
        self._tag_id = tag_id
        self._dropped = ctx.metrics.counter("numLateRecordsDropped")

    def take(self, value: Any, timestamp: int, results: Results) -> None:
        if self._tag_id is None:
            self._dropped.inc()
        else:
            results.add_side(self._tag_id, value, timestamp)  # WN-20: its own timestamp


def stamped(batch: RowBatch, ctx: OperatorContext) -> list[int]:
    """The batch's timestamps; event-time windows cannot do without (WN-4)."""
    if batch.timestamps is None:
        raise RecordError(
            f"a record without a timestamp reached an event-time window {ctx.place()}; give the "
            "source a WatermarkStrategy with with_timestamp_assigner(...)"
        )
    return batch.timestamps


class WindowOperator(Operator):
    """Windows of fixed bounds, one set per key."""

    def __init__(
        self,
        assigner: FixedWindows,
        contents: WindowContents,
        allowed_lateness_ms: int,
        late_tag_id: str | None,
    ) -> None:
        self._assigner = assigner
        self._contents = contents
        self._lateness_ms = allowed_lateness_ms
        self._late_tag_id = late_tag_id
        # Only then may a whole batch go the short way: one window each, and none fires twice.
        self._tumbling: TumblingEventTimeWindows | None = None
        if isinstance(assigner, TumblingEventTimeWindows) and not allowed_lateness_ms:
            self._tumbling = assigner
        self._watermark_ms = MIN_TIMESTAMP
        self._firings = Firings(contents)
        self._column_spans: ColumnSpans | None = None

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        log = keyed_state(ctx)
        contents = self._contents
        self._windows = log.nested(
            "_windows",
            Layout.WINDOW,
            owned=contents.is_owned,
            kind=contents.kind,
            copy=contents.copy,
        )
        # Windows that still have to fire at their end, by key: only where fired ones are kept on.
        self._pending = log.nested("_pending", Layout.WINDOW, kind="pending windows")
        self._load = self._windows.for_update if contents.is_owned else self._windows.load
        self._late = LateRecords(ctx, self._late_tag_id)
        self._known: set[Span] = set()
        self._due, self._expiring = DueSpans(), DueSpans()
        self._firings.open(ctx)
        contents.open(ctx, WindowScope(is_merging=False, is_retained=self._lateness_ms > 0))
        for span in sorted(self._windows.outers()):
            self._remember(span)

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        if isinstance(batch, ColumnBatch):
            batch = self._columns().add(batch, self._is_open)
            if not len(batch):
                return
        timestamps = stamped(batch, self._ctx)
        if self._tumbling is not None and min(timestamps) > self._watermark_ms:
            self._add_on_time(batch, timestamps, self._tumbling)
            return
        elements = self._contents.prepare(batch.values)
        results, index = Results(), -1
        try:
            for key, element, timestamp in zip(batch.keys or [], elements, timestamps, strict=True):
                index += 1
                self._add(key, element, timestamp)
                if timestamp > self._watermark_ms:
                    self._mark_pending(key, timestamp)
                elif not self._fire_again(key, timestamp, results):
                    self._late.take(batch.values[index], timestamp, results)
        except Exception as error:
            note_record(error, self._ctx, batch, index)
            raise
        results.emit(out)

    def _columns(self) -> ColumnSpans:
        """Where batches of columns go; from now on results are columns, too."""
        if self._column_spans is None:
            from streamlet.operators.column_spans import ColumnSpans

            contents, assigner = self._contents, self._tumbling
            assert isinstance(contents, AggContents)
            assert assigner is not None
            contents.gives_columns = True
            self._column_spans = ColumnSpans(
                contents, self._windows, self._open, assigner.size_ms, assigner.offset_ms
            )
        return self._column_spans

    def _is_open(self, start: int) -> bool:
        assert self._tumbling is not None
        return start + self._tumbling.size_ms - 1 > self._watermark_ms

    def _add_on_time(
        self, batch: RowBatch, timestamps: list[int], assigner: TumblingEventTimeWindows
    ) -> None:
        """The usual case, with nothing to decide: every record has one window, still open."""
        size_ms, offset_ms = assigner.size_ms, assigner.offset_ms
        contents, keys = self._contents, batch.keys or []
        if isinstance(contents, AggContents):
            buckets = Buckets(self._windows, self._bucket, contents.create, size_ms, offset_ms)
            contents.fold(buckets.accumulators(keys, timestamps), batch)
            return
        elements = contents.prepare(batch.values)
        starts = [timestamp - (timestamp - offset_ms) % size_ms for timestamp in timestamps]
        changes = {start: self._bucket((start, start + size_ms)) for start in set(starts)}
        first, add, load, index = contents.first, contents.add, self._load, -1
        try:
            for key, element, start in zip(keys, elements, starts, strict=True):
                index += 1
                bucket = changes[start]
                kept = bucket.get(key, MISSING)
                if kept is MISSING:
                    kept = load((start, start + size_ms), key)
                bucket[key] = first(element) if kept is MISSING else add(kept, element)
        except Exception as error:
            note_record(error, self._ctx, batch, index)
            raise

    def _add(self, key: Any, element: Any, timestamp: int) -> None:
        """Adds the element to those of its windows that are not expired."""
        for span in self._assigner.spans(timestamp):
            if self._expiry_ms(span) <= self._watermark_ms:
                continue
            bucket = self._bucket(span)
            kept = bucket.get(key, MISSING)
            if kept is MISSING:
                kept = self._load(span, key)
            if kept is MISSING:
                bucket[key] = self._contents.first(element)
            else:
                bucket[key] = self._contents.add(kept, element)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._watermark_ms = watermark_ms
        self._contents.set_watermark(watermark_ms)
        is_done = self._firings.go_on(self._fire_due, budget, out)
        return is_done and super().advance_watermark(watermark_ms, budget, out)

    def close(self) -> None:
        self._firings.close()
        self._contents.close()

    def _bucket(self, span: Span) -> dict[Any, Any]:
        """The changes of the window."""
        self._open(span)
        return self._windows.dirty.setdefault(span, {})

    def _open(self, span: Span) -> None:
        """Something comes into the window."""
        if span not in self._known:
            self._remember(span)

    def _remember(self, span: Span) -> None:
        self._known.add(span)
        self._due.add(span, span[1] - 1)
        if self._lateness_ms:
            self._expiring.add(span, self._expiry_ms(span))

    def _expiry_ms(self, span: Span) -> int:
        return min(span[1] - 1 + self._lateness_ms, MAX_TIMESTAMP)

    def _fire_again(self, key: Any, timestamp: int, results: Results) -> bool:
        """A record behind the watermark: windows that have ended fire again (WN-26).

        False: it came too late for all its windows, and for the allowed lateness (WM-52).
        """
        watermark_ms, is_taken = self._watermark_ms, False
        for span in self._assigner.spans(timestamp):
            if self._expiry_ms(span) <= watermark_ms:
                continue
            is_taken = True
            if span[1] - 1 <= watermark_ms:
                kept = self._windows.get(span, key)
                self._firings.fire(Window(*span), [key], [kept], results)
            elif self._lateness_ms:
                self._pending.put(span, key, True)
        return is_taken or timestamp + self._lateness_ms > watermark_ms

    def _mark_pending(self, key: Any, timestamp: int) -> None:
        if not self._lateness_ms:
            return
        for span in self._assigner.spans(timestamp):
            self._pending.put(span, key, True)

    def _fire_due(self) -> Work:
        """Fires what is due, then drops what has expired (WN-22)."""
        while span := self._due.pop_due(self._watermark_ms):
            yield from self._fire(span)
        while span := self._expiring.pop_due(self._watermark_ms):
            yield from self._expire(span)

    def _fire(self, span: Span) -> Work:
        if not self._lateness_ms:
            yield from self._expire(span, is_firing=True)
            return
        # The windows themselves stay; those that fire for the first time are pending.
        layers = self._pending.layers_of(span)
        pending = yield from read_pieces(collect(layers))
        keys = yield from read_pieces(in_order(pending))
        yield from self._firings.fire_all(span, keys, partial(self._windows.get, span))
        yield from count_pieces(self._pending.dropping(span, keys))
        yield from count_pieces(release(pending, layers))

    def _expire(self, span: Span, *, is_firing: bool = False) -> Work:
        """Drops all that is kept of a window (WN-23), after it has fired if that is due, too."""
        self._known.discard(span)
        columns = self._column_spans if is_firing else None
        fired = None if columns is None else columns.fire(span, self._firings.results)
        if fired is not None:
            yield from count_pieces(self._windows.dropping(span, fired))
            return
        layers = self._windows.layers_of(span)
        entries = yield from read_pieces(collect(layers))
        keys = yield from read_pieces(in_order(entries))
        if is_firing:
            yield from self._firings.fire_all(span, keys, entries.__getitem__)
        if self._contents.needs_clear:
            yield from self._firings.clear_all(span, keys)
        yield from count_pieces(self._windows.dropping(span, keys))
        yield from count_pieces(release(entries, layers))
