"""Watermark generators: what a split's records tell about how far event time has come."""

from __future__ import annotations

from typing import Any, Protocol

from streamlet.elements import MIN_TIMESTAMP


class WatermarkOutput(Protocol):
    """What a generator says its conclusions to."""

    def emit_watermark(self, timestamp_ms: int, /) -> None:
        """No further record of this split has a timestamp <= `timestamp_ms`."""

    def mark_idle(self) -> None:
        """Others need not wait for this split, until its next watermark."""

    def mark_active(self) -> None:
        """Others wait for this split again."""


class WatermarkGenerator(Protocol):
    """Watches the records of one split; one generator per split, so it needs no locks.

    A watermark from `on_event` goes out right after its record; from `on_periodic_emit`, between
    two batches, every `pipeline.auto-watermark-interval` (WM-2) and once more at the end (WM-6).
    """

    def on_event(self, value: Any, timestamp: int, output: WatermarkOutput, /) -> None:
        """Called after each record; without a timestamp it gets MIN_TIMESTAMP."""

    def on_periodic_emit(self, output: WatermarkOutput, /) -> None:
        """Called from time to time, unless the split is idle."""


class BatchGenerator:
    """Base of generators that look at the timestamps of a batch at once, and emit periodically."""

    __slots__ = ()

    def on_batch(self, newest_ms: int) -> None:
        """Takes notice of a batch by its greatest timestamp."""

    def on_event(self, value: Any, timestamp: int, output: WatermarkOutput, /) -> None:
        self.on_batch(timestamp)

    def on_periodic_emit(self, output: WatermarkOutput, /) -> None:
        """Emits nothing unless a generator says so."""


class NoWatermarks(BatchGenerator):
    """Says nothing: only the end of the input ends event time."""

    __slots__ = ()


class BoundedOutOfOrderness(BatchGenerator):
    """Records come at most `delay_ms` later than newer ones (WM-1)."""

    __slots__ = ("_delay_ms", "_max_timestamp")

    def __init__(self, delay_ms: int) -> None:
        self._delay_ms = delay_ms
        self._max_timestamp = MIN_TIMESTAMP + delay_ms + 1

    def on_batch(self, newest_ms: int) -> None:
        if newest_ms > self._max_timestamp:
            self._max_timestamp = newest_ms

    def on_periodic_emit(self, output: WatermarkOutput, /) -> None:
        output.emit_watermark(self._max_timestamp - self._delay_ms - 1)


class IdlenessTimer:
    """Notices that a split is silent, by probes alone: a record costs no look at a clock (WM-20).

    The first quiet probe starts the clock; a later one that finds more than the timeout elapsed
    says idle. So a split counts as idle between one timeout and that plus three probe intervals
    after its last record.
    """

    __slots__ = ("_quiet_since_ms", "_saw_record", "_timeout_ms")

    def __init__(self, timeout_ms: int) -> None:
        self._timeout_ms = timeout_ms
        self._saw_record = False
        self._quiet_since_ms: int | None = None

    def on_activity(self) -> None:
        """A record came."""
        self._saw_record = True

    def probe(self, now_ms: int) -> bool:
        """Whether the split is idle now."""
        if self._saw_record:
            self._saw_record = False
            self._quiet_since_ms = None
            return False
        if self._quiet_since_ms is None:
            self._quiet_since_ms = now_ms
            return False
        return now_ms - self._quiet_since_ms > self._timeout_ms
