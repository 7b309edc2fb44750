"""A clock that stands still until a test moves it."""

from __future__ import annotations

from streamlet.errors import ConfigError
from streamlet.units import Duration, to_ms


class ManualClock:
    """A Clock for tests: processing time is what the test says.

    >>> clock = ManualClock(1_000)
    >>> clock.advance("2s"); clock.now_ms()
    3000
    """

    def __init__(self, start_ms: int = 0) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_s(self) -> float:
        return self._now_ms / 1_000

    def advance(self, duration: Duration) -> None:
        """Moves on by `duration`, which must not be negative."""
        duration_ms = to_ms(duration)
        if duration_ms < 0:
            raise ConfigError(f"a clock goes forward only, got {duration!r}")
        self._now_ms += duration_ms
