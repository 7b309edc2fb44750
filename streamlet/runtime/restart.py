"""Whether a failed job starts again, and after how long; a pure machine per strategy."""

from __future__ import annotations

from typing import Protocol

from streamlet.config import Configuration
from streamlet.errors import (
    ConfigError,
    FatalError,
    GraphError,
    InternalError,
    RestoreError,
)

_NEVER_RESTARTED = (FatalError, ConfigError, GraphError, RestoreError, InternalError)


class RestartStrategy(Protocol):
    """Decides after each failure."""

    def next_delay_ms(self, error: BaseException) -> int | None:
        """How long to wait before the next attempt; None: the job has failed."""


class NoRestart:
    """The first failure fails the job."""

    def next_delay_ms(self, error: BaseException) -> int | None:
        return None


class FixedDelay:
    """`attempts` restarts, `delay_ms` apart; what a restart cannot mend fails at once (CP-73)."""

    def __init__(self, attempts: int, delay_ms: int) -> None:
        self._left = attempts
        self._delay_ms = delay_ms

    def next_delay_ms(self, error: BaseException) -> int | None:
        if isinstance(error, _NEVER_RESTARTED) or self._left <= 0:
            return None
        self._left -= 1
        return self._delay_ms


def make_restart_strategy(config: Configuration, has_checkpoints: bool) -> RestartStrategy:
    """As configured; without checkpoints a restart would only repeat results."""
    if not has_checkpoints or config["restart-strategy.type"] == "none":
        return NoRestart()
    return FixedDelay(
        config["restart-strategy.fixed-delay.attempts"],
        config["restart-strategy.fixed-delay.delay"],
    )
