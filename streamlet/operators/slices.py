"""Sliding and cumulative windows of `agg(...)` that share their contents.

    slices     |  0-2  |  2-4  |  4-6  |  6-8  |        a record is added to one slice
    windows    [---------- 0-6 --------]                and a window merges its slices
                       [---------- 2-8 --------]        when it fires

A slice is dropped with its last window. A record counts into all its windows that have not fired,
and is late when the last one has (SQL-3). Cumulative windows that begin together merge all that
has fired into the first of their slices, as all further windows have all of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from streamlet.elements import MIN_TIMESTAMP, Batch, ColumnBatch, RowBatch
from streamlet.eventtime.windows import (
    CumulativeEventTimeWindows,
    SlidingEventTimeWindows,
    Span,
)
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.buckets import Buckets
from streamlet.operators.fired import FiredUntil
from streamlet.operators.firing import DueSpans, Firings, Work, count_pieces, read_pieces
from streamlet.operators.keyed import keyed_state
from streamlet.operators.merged_slices import MergedSlices
from streamlet.operators.operator import Operator, OperatorContext, OperatorSnapshot, Output
from streamlet.operators.results import Results
from streamlet.operators.window import LateRecords, stamped
from streamlet.operators.window_contents import WindowScope
from streamlet.state.log import Layout
from streamlet.state.pieces import Entries, collect, in_order, pieces_of, release

if TYPE_CHECKING:
    from streamlet.operators.column_spans import ColumnSpans

Merged: TypeAlias = Generator[int, None, tuple[dict[Any, Any], list[Entries]]]


class SlicedWindowOperator(Operator):
    """Windows that consist of whole slices, without allowed lateness.

    The aggregates must be free of arrival order: a slice's records are folded apart.
    """

    def __init__(
        self,
        assigner: SlidingEventTimeWindows | CumulativeEventTimeWindows,
        slice_ms: int,
        contents: AggContents,
        late_tag_id: str | None,
    ) -> None:
        self._assigner = assigner
        self._slice_ms = slice_ms
        self._is_cumulative = isinstance(assigner, CumulativeEventTimeWindows)
        self._contents = contents
        self._late_tag_id = late_tag_id
        self._watermark_ms = MIN_TIMESTAMP
        self._firings = Firings(contents)
        self._column_spans: ColumnSpans | None = None
        self._merged_slices = MergedSlices(contents, self._firings)

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._slices = keyed_state(ctx).nested(
            "_slices", Layout.WINDOW, owned=True, kind="slice agg", copy=self._contents.copy
        )
        self._merged_slices.open(self._slices)
        self._late = LateRecords(ctx, self._late_tag_id)
        self._fired = FiredUntil(ctx)
        self._known: set[Span] = set()
        self._due = DueSpans()
        self._firings.open(ctx)
        self._contents.open(ctx, WindowScope(is_merging=False, is_retained=False))
        for span in sorted(self._slices.outers()):
            self._remember(span)

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        if isinstance(batch, ColumnBatch):
            batch = self._columns().add(batch, self._are_all_open)
            if not len(batch):
                return
        timestamps = stamped(batch, self._ctx)
        results = Results()
        if not self._are_all_open(min(timestamps)):
            batch = self._without_late(batch, timestamps, results)
        if batch.values:
            self._add(batch, stamped(batch, self._ctx))
        results.emit(out)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._watermark_ms = watermark_ms
        is_done = self._firings.go_on(self._fire_due, budget, out)
        return is_done and super().advance_watermark(watermark_ms, budget, out)

    def snapshot(self, checkpoint_id: int) -> OperatorSnapshot:
        return OperatorSnapshot(self._fired.snapshot(self._watermark_ms))

    def close(self) -> None:
        self._firings.close()
        self._contents.close()

    def _columns(self) -> ColumnSpans:
        """Where batches of columns go; from now on results are columns, too."""
        if self._column_spans is None:
            from streamlet.operators.column_spans import ColumnSpans

            self._contents.gives_columns = True
            self._column_spans = ColumnSpans(
                self._contents,
                self._slices,
                self._open,
                self._slice_ms,
                self._assigner.offset_ms,
            )
        return self._column_spans

    def _are_all_open(self, timestamp: int) -> bool:
        """Whether records from this timestamp on are not late, and belong into their own slice."""
        end = self._assigner.spans(timestamp)[0][1]
        return end - 1 > max(self._watermark_ms, self._fired.latest_ms)

    def _without_late(self, batch: RowBatch, timestamps: list[int], results: Results) -> RowBatch:
        """The batch without late records, and with timestamps of the slices they belong into."""
        kept: list[tuple[Any, int, Any]] = []
        keys = batch.keys or []
        for key, timestamp, value in zip(keys, timestamps, batch.values, strict=True):
            slice_time = self._slice_time(key, timestamp)
            if slice_time is None:
                self._late.take(value, timestamp, results)
            else:
                kept.append((key, slice_time, value))
        columns = [list(column) for column in zip(*kept, strict=True)] or [[], [], []]
        return RowBatch(columns[2], columns[1], columns[0])

    def _slice_time(self, key: Any, timestamp: int) -> int | None:
        """A time in the slice that takes a record of this time; None: it is late.

        After a restore a window that fired before it has fired, although the watermark may not
        have come so far again: what is late is so with and without a restore.
        """
        spans = self._assigner.spans(timestamp)
        fired_ms = self._watermark_ms
        if fired_ms < self._fired.latest_ms:
            fired_ms = max(fired_ms, self._fired.of(key))
        if self._last_end(timestamp) - 1 <= fired_ms:
            return None
        # A cumulative window has merged its slices into the first when it fired in this attempt.
        has_merged = self._is_cumulative and spans[0][1] - 1 <= self._watermark_ms
        return spans[0][0] if has_merged else timestamp

    def _add(self, batch: RowBatch, timestamps: list[int]) -> None:
        create, offset_ms = self._contents.create, self._assigner.offset_ms
        buckets = Buckets(self._slices, self._changes, create, self._slice_ms, offset_ms)
        self._contents.fold(buckets.accumulators(batch.keys or [], timestamps), batch)

    def _changes(self, span: Span) -> dict[Any, Any]:
        """The changes of the slice."""
        self._open(span)
        return self._slices.dirty.setdefault(span, {})

    def _open(self, span: Span) -> None:
        """Something comes into the slice."""
        if span not in self._known:
            self._remember(span)
        self._merged_slices.forget(span)

    def _remember(self, span: Span) -> None:
        """From now on the slice's windows are due, those that have not fired."""
        self._known.add(span)
        for window in self._assigner.spans(span[0]):
            if window[1] - 1 > self._watermark_ms:
                self._due.add(window, window[1] - 1)

    def _fire_due(self) -> Work:
        while window := self._due.pop_due(self._watermark_ms):
            yield from self._fire(window)

    def _fire(self, window: Span) -> Work:
        """Fires the window, but not for keys for which it fired before a restore."""
        starts = range(*window, self._slice_ms)
        known = [span for start in starts if (span := self._slice(start)) in self._known]
        due_ms, is_last = window[1] - 1, self._last_end(window[0]) == window[1]
        may_fire = self._fired.earliest_ms < due_ms
        if may_fire and not (yield from self._fire_arrays(window, known)):
            merged, layers = yield from read_pieces(self._merge(known))
            keys: Iterable[Any] = yield from read_pieces(in_order(merged))
            if self._fired.latest_ms >= due_ms:
                keys = (key for key in keys if self._fired.of(key) < due_ms)
            yield from self._firings.fire_all(window, keys, merged.__getitem__)
            if self._is_cumulative and not is_last:
                yield from count_pieces(self._move_to_first(known, merged))
            yield from count_pieces(release(merged, layers))
        for span in known:
            if self._last_end(span[0]) == window[1]:
                yield from count_pieces(self._drop(span))

    def _fire_arrays(self, window: Span, spans: list[Span]) -> Generator[int, None, bool]:
        """Fires the window if its slices can be merged as arrays; False: nothing was done."""
        # Cumulative windows merge what has fired anyway.
        if self._is_cumulative or self._fired.latest_ms >= window[1] - 1:
            return False
        return (yield from self._merged_slices.fire(window, spans))

    def _merge(self, spans: list[Span]) -> Merged:
        """The accumulators of the slices by key, and what they are read from.

        The accumulators of several slices are new, those of a single one are its own.
        """
        if len(spans) == 1:
            layers = self._slices.layers_of(spans[0])
            return (yield from collect(layers)), layers
        merged: dict[Any, Any] = {}
        for span in spans:
            layers = self._slices.layers_of(span)
            entries = yield from collect(layers)
            for piece in pieces_of(entries):
                self._contents.merge_all(merged, piece, piece.values())
                yield len(piece)
            yield from release(entries, layers)
        return merged, []

    def _move_to_first(self, spans: list[Span], merged: dict[Any, Any]) -> Iterator[int]:
        """What a cumulative window has merged goes into its first slice; the others are dropped.

        The later slice of a key may be in the hands of a background write: no accumulator of it is
        changed, if need be a copy is kept.
        """
        first = self._slice(self._assigner.spans(spans[0][0])[0][0])
        put, copied = self._slices.put, self._slices.spec.copied
        is_own = len(spans) > 1 and self._contents.copy is not None
        for span in spans:
            if span == first:
                continue
            self._open(first)
            layers = self._slices.layers_of(span)
            entries = yield from collect(layers)
            for piece in pieces_of(entries):
                for key in piece:
                    whole = merged[key]
                    put(first, key, whole if is_own else copied(whole))
                yield len(piece)
            yield from release(entries, layers)
            yield from self._drop(span)

    def _drop(self, span: Span) -> Iterator[int]:
        self._merged_slices.forget(span)
        if span not in self._known:
            return
        self._known.discard(span)
        if self._slices.arrays_of(span) is not None:
            self._slices.drop(span)  # nothing lies below, and arrays go at once
            return
        dirty = self._slices.dirty.get(span)
        below = [layer for layer in self._slices.layers_of(span) if layer is not dirty]
        yield from self._slices.dropping(span, list(dirty or ()))
        for layer in below:
            for piece in pieces_of(layer):
                yield from self._slices.dropping(span, list(piece))

    def _last_end(self, timestamp: int) -> int:
        """When the last window of the slice of that time ends."""
        spans = self._assigner.spans(timestamp)
        return max(spans[0][1], spans[-1][1])

    def _slice(self, start: int) -> Span:
        return start, start + self._slice_ms
