"""Time as a value that is handed in, so that tests and simulations own it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where processing time comes from."""

    def now_ms(self) -> int:
        """Processing time, epoch milliseconds."""

    def monotonic_s(self) -> float:
        """Seconds on a clock that never jumps, to measure with."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


def monotonic_ms(clock: Clock) -> int:
    """Milliseconds on a clock that never jumps, for what is to happen after a time.

    What is due by the wall clock would wait for an hour when that is set back by one.
    """
    return round(clock.monotonic_s() * 1_000)
