"""The timers of one keyed operator: queues in memory, entries of the state log beside them."""

from __future__ import annotations

from typing import Any

from streamlet.clock import Clock
from streamlet.elements import MIN_TIMESTAMP
from streamlet.eventtime.timers import TimerQueue
from streamlet.state.log import Layout, StateLog


class TimerDomain:
    """Timers of one kind of time; every one is also an entry of the log, so it is restored."""

    __slots__ = ("_queue", "_table")

    def __init__(self, log: StateLog, name: str) -> None:
        self._table = log.flat(name, layout=Layout.TIMER, kind="timer")
        self._queue = TimerQueue()
        for timestamp, key in [entry for entry, _ in self._table.items()]:
            self._queue.register(timestamp, key)

    def register(self, timestamp: int, key: object) -> None:
        if self._queue.register(timestamp, key):
            self._table.dirty[timestamp, key] = True

    def delete(self, timestamp: int, key: object) -> None:
        if self._queue.delete(timestamp, key):
            self._table.remove((timestamp, key))

    def pop_due(self, limit_ms: int) -> tuple[int, object] | None:
        """Removes and gives the earliest timer with timestamp <= limit (TM-2, TM-5)."""
        due = self._queue.pop_due(limit_ms)
        if due is not None:
            self._table.remove(due)
        return due

    def next_timestamp(self) -> int | None:
        return self._queue.next_timestamp()

    def clear(self) -> None:
        """Forgets all timers."""
        for timestamp, key in list(self._queue):
            self.delete(timestamp, key)


class KeyedTimers:
    """The TimerService of the current key."""

    __slots__ = ("_clock", "_is_quiet", "event", "log", "processing", "watermark_ms")

    def __init__(self, log: StateLog, clock: Clock) -> None:
        self.log = log
        self.event = TimerDomain(log, "_event_time_timers")
        self.processing = TimerDomain(log, "_processing_time_timers")
        self.watermark_ms = MIN_TIMESTAMP
        self._clock = clock
        self._is_quiet = False

    def current_watermark(self) -> int:
        return self.watermark_ms

    def current_processing_time(self) -> int:
        return self._clock.now_ms()

    def register_event_time_timer(self, timestamp: int, /) -> None:
        if timestamp.__class__ is not int:
            raise _no_timestamp(timestamp)
        self.event.register(timestamp, self.log.key)

    def delete_event_time_timer(self, timestamp: int, /) -> None:
        if timestamp.__class__ is not int:
            raise _no_timestamp(timestamp)
        self.event.delete(timestamp, self.log.key)

    def register_processing_time_timer(self, timestamp: int, /) -> None:
        if self._is_quiet:
            return
        if timestamp.__class__ is not int:
            raise _no_timestamp(timestamp)
        self.processing.register(timestamp, self.log.key)

    def delete_processing_time_timer(self, timestamp: int, /) -> None:
        if timestamp.__class__ is not int:
            raise _no_timestamp(timestamp)
        self.processing.delete(timestamp, self.log.key)

    def quiesce(self) -> None:
        """At the end of input pending processing-time timers are dropped (TM-13)."""
        self._is_quiet = True
        self.processing.clear()


def _no_timestamp(timestamp: Any) -> TypeError:
    return TypeError(
        f"a timer's timestamp is int epoch milliseconds, got {timestamp!r} "
        f"({type(timestamp).__name__})"
    )
