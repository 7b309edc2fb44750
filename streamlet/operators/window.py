"""Tumbling and sliding event-time windows with the default trigger.

A window fires when the watermark reaches its last millisecond, and again for each element that
comes within the allowed lateness; then it is dropped. State is kept by window first and key
second, so that a window opens, fires and goes as a whole: no timer per key is needed.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, TypeAlias

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP, RowBatch
from streamlet.errors import RecordError
from streamlet.eventtime.windows import SlidingEventTimeWindows, TumblingEventTimeWindows, Window
from streamlet.operators.keyed import keyed_state
from streamlet.operators.operator import Operator, OperatorContext, Output
from streamlet.operators.place import note_firing, note_record
from streamlet.operators.results import Results
from streamlet.operators.window_contents import WindowContents, WindowScope
from streamlet.state.log import MISSING, Layout

Bounds: TypeAlias = tuple[int, int]
"""A window's [start, end) as state names it."""


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
    """Windows of fixed size, one set per key."""

    def __init__(
        self,
        assigner: TumblingEventTimeWindows | SlidingEventTimeWindows,
        contents: WindowContents,
        allowed_lateness_ms: int,
        late_tag_id: str | None,
    ) -> None:
        self._assigner = assigner
        self._contents = contents
        self._lateness_ms = allowed_lateness_ms
        self._late_tag_id = late_tag_id
        # Only then may a whole batch go the short way: one window each, and none fires twice.
        self._is_tumbling = (
            isinstance(assigner, TumblingEventTimeWindows) and not allowed_lateness_ms
        )
        self._watermark_ms = MIN_TIMESTAMP
        self._firing: list[tuple[Any, Any]] | None = None

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._log = log = keyed_state(ctx)
        contents = self._contents
        self._windows = log.nested(
            "_windows", Layout.WINDOW, owned=contents.is_owned, kind=contents.kind
        )
        # Windows that still have to fire at their end, by key: only where fired ones are kept on.
        self._pending = log.nested("_pending", Layout.WINDOW, kind="pending windows")
        self._load = self._windows.for_update if contents.is_owned else self._windows.load
        self._late = LateRecords(ctx, self._late_tag_id)
        self._known: set[Bounds] = set()
        self._due: list[tuple[int, Bounds]] = []
        self._expiring: list[tuple[int, Bounds]] = []
        contents.open(ctx, WindowScope(is_merging=False, is_retained=self._lateness_ms > 0))
        for bounds in sorted(self._windows.outers()):
            self._remember(bounds)

    def process_batch(self, input_index: int, batch: RowBatch, out: Output) -> None:
        timestamps = stamped(batch, self._ctx)
        elements = self._contents.prepare(batch.values)
        if self._is_tumbling and min(timestamps) > self._watermark_ms:
            self._add_on_time(batch, timestamps, elements)
            return
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

    def _add_on_time(self, batch: RowBatch, timestamps: list[int], elements: Sequence[Any]) -> None:
        """The usual case, with nothing to decide: every record has one window, still open."""
        buckets: dict[int, dict[Any, Any]] = {}
        bucket_of, load = buckets.get, self._load
        first, add = self._contents.first, self._contents.add
        size_ms, index = self._assigner.size_ms, -1
        offset_ms = self._assigner.offset_ms
        starts = [timestamp - (timestamp - offset_ms) % size_ms for timestamp in timestamps]
        try:
            for key, element, start in zip(batch.keys or [], elements, starts, strict=True):
                index += 1
                bucket = bucket_of(start)
                if bucket is None:
                    bucket = buckets[start] = self._bucket(start)
                kept = bucket.get(key, MISSING)
                if kept is MISSING:
                    kept = load((start, start + size_ms), key)
                bucket[key] = first(element) if kept is MISSING else add(kept, element)
        except Exception as error:
            note_record(error, self._ctx, batch, index)
            raise

    def _add(self, key: Any, element: Any, timestamp: int) -> None:
        """Adds the element to those of its windows that are not expired."""
        for start in self._assigner.starts(timestamp):
            bounds = (start, start + self._assigner.size_ms)
            if self._expiry_ms(bounds) <= self._watermark_ms:
                continue
            bucket = self._bucket(start)
            kept = bucket.get(key, MISSING)
            if kept is MISSING:
                kept = self._load(bounds, key)
            if kept is MISSING:
                bucket[key] = self._contents.first(element)
            else:
                bucket[key] = self._contents.add(kept, element)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        self._watermark_ms = watermark_ms
        self._contents.set_watermark(watermark_ms)
        results = Results()
        while self._due and self._due[0][0] <= watermark_ms:
            budget = self._fire(self._due[0][1], budget, results)
            if self._firing is not None:
                results.emit(out)
                return False
            heapq.heappop(self._due)
        results.emit(out)
        while self._expiring and self._expiring[0][0] <= watermark_ms:
            self._expire(heapq.heappop(self._expiring)[1])
        return super().advance_watermark(watermark_ms, budget, out)

    def close(self) -> None:
        self._contents.close()

    def _bucket(self, start: int) -> dict[Any, Any]:
        """The changes of the window that starts there."""
        bounds = (start, start + self._assigner.size_ms)
        if bounds not in self._known:
            self._remember(bounds)
        return self._windows.dirty.setdefault(bounds, {})

    def _remember(self, bounds: Bounds) -> None:
        self._known.add(bounds)
        heapq.heappush(self._due, (bounds[1] - 1, bounds))
        heapq.heappush(self._expiring, (self._expiry_ms(bounds), bounds))

    def _expiry_ms(self, bounds: Bounds) -> int:
        return min(bounds[1] - 1 + self._lateness_ms, MAX_TIMESTAMP)

    def _fire_again(self, key: Any, timestamp: int, results: Results) -> bool:
        """A record behind the watermark: windows that have ended fire again (WN-26).

        False: it came too late for all its windows, and for the allowed lateness (WM-52).
        """
        watermark_ms, is_taken = self._watermark_ms, False
        for start in self._assigner.starts(timestamp):
            bounds = (start, start + self._assigner.size_ms)
            if self._expiry_ms(bounds) <= watermark_ms:
                continue
            is_taken = True
            if bounds[1] - 1 <= watermark_ms:
                self._fire_key(bounds, key, self._windows.get(bounds, key), results)
            elif self._lateness_ms:
                self._pending.put(bounds, key, True)
        return is_taken or timestamp + self._lateness_ms > watermark_ms

    def _mark_pending(self, key: Any, timestamp: int) -> None:
        if not self._lateness_ms:
            return
        for start in self._assigner.starts(timestamp):
            self._pending.put((start, start + self._assigner.size_ms), key, True)

    def _fire(self, bounds: Bounds, budget: int, results: Results) -> int:
        """Fires up to `budget` keys of a window, and gives what is left of the budget."""
        if self._firing is None:
            source = self._pending if self._lateness_ms else self._windows
            self._firing = source.scan(bounds)
            self._firing.reverse()
        for _ in range(min(budget, len(self._firing))):
            key, kept = self._firing.pop()
            if self._lateness_ms:
                self._pending.remove(bounds, key)
                kept = self._windows.get(bounds, key)
            self._fire_key(bounds, key, kept, results)
            budget -= 1
        if not self._firing:
            self._firing = None
        return budget

    def _fire_key(self, bounds: Bounds, key: Any, kept: Any, results: Results) -> None:
        self._log.key = key
        try:
            self._contents.fire(key, Window(*bounds), kept, results)
        except Exception as error:
            note_firing(error, self._ctx, key, f"window [{bounds[0]}, {bounds[1]})")
            raise

    def _expire(self, bounds: Bounds) -> None:
        """Drops all that is kept of a window (WN-23)."""
        window = Window(*bounds)
        if self._contents.needs_clear:
            for key, _ in self._windows.scan(bounds):
                self._log.key = key
                self._contents.clear(key, window)
        self._windows.drop(bounds)
        self._known.discard(bounds)
