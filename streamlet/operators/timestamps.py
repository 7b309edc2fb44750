"""assign_timestamps_and_watermarks in mid-graph: event time begins anew here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from streamlet.elements import MAX_TIMESTAMP, Batch, StreamStatus, Watermark
from streamlet.errors import note_place
from streamlet.eventtime.splits import Emitted, SplitWatermarks
from streamlet.eventtime.watermarks import WatermarkStrategy
from streamlet.operators.operator import Operator, OperatorContext, Output

_INPUT: Final = "input"


class TimestampsOperator(Operator):
    """A firewall for event time (WM-5): of what comes from upstream only MAX passes."""

    def __init__(self, strategy: WatermarkStrategy[Any], interval_ms: int) -> None:
        self._strategy = strategy
        self._interval_ms = interval_ms
        self._stamper = strategy.stamper()
        self.takes_columns = strategy.rows_because is None
        self._next_ms: int | None = None

    def open(self, ctx: OperatorContext) -> None:
        self._ctx = ctx
        self._watermarks = SplitWatermarks(self._strategy)
        self._watermarks.add_split(_INPUT)
        if self._interval_ms:
            self._next_ms = ctx.clock.now_ms() + self._interval_ms

    def process_batch(self, input_index: int, batch: Batch, out: Output) -> None:
        if self._stamper is not None:
            try:
                batch = self._stamper.stamp(batch)
            except Exception as error:
                note_place(error, self._ctx.place())
                raise
        self._emit(self._watermarks.on_batch(_INPUT, batch), out)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        if watermark_ms == MAX_TIMESTAMP:
            self._emit(self._watermarks.on_end(), out)  # WM-6
            out.emit_watermark(MAX_TIMESTAMP)
            self._next_ms = None
        return True

    def on_status(self, is_idle: bool, out: Output) -> None:
        """Statuses of upstream stop here too."""

    def next_processing_time(self) -> int | None:
        return self._next_ms

    def advance_processing_time(self, now_ms: int, budget: int, out: Output) -> bool:
        if self._next_ms is not None:
            self._next_ms = now_ms + self._interval_ms
            self._emit(self._watermarks.on_periodic(now_ms), out)
        return True

    def _emit(self, elements: Sequence[Emitted], out: Output) -> None:
        for element in elements:
            if isinstance(element, Watermark):
                out.emit_watermark(element.timestamp_ms)
            elif isinstance(element, StreamStatus):
                out.emit_status(element.is_idle)
            else:
                out.emit(element)
