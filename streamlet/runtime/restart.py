"""Whether a failed job starts again, and after how long; a pure machine per strategy."""

from __future__ import annotations

import traceback
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from streamlet.config import Configuration
from streamlet.errors import (
    ConfigError,
    FatalError,
    GraphError,
    InternalError,
    RestoreError,
)

_NEVER_RESTARTED: Final = (FatalError, ConfigError, GraphError, RestoreError, InternalError)
_MISTAKES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)
"""What Python raises for a mistake in the job's own code; an outage looks otherwise."""
SAME_MISTAKES: Final = 3
"""After so many restarts that end in one mistake and complete no checkpoint, a job is given up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended."""

    error: BaseException
    at_ms: int
    """On a clock that never goes back."""
    completed_id: int = 0
    """The latest complete checkpoint of the run; 0: none."""


class RestartStrategy(Protocol):
    """Decides after each failure."""

    def next_delay_ms(self, failure: Failure) -> int | None:
        """How long to wait before the next attempt; None: the job has failed."""


class NoRestart:
    """The first failure fails the job."""

    def next_delay_ms(self, failure: Failure) -> int | None:
        return None


class FixedDelay:
    """`attempts` restarts, `delay_ms` apart; the count never begins anew (CP-73)."""

    def __init__(self, attempts: int, delay_ms: int) -> None:
        self._left = attempts
        self._delay_ms = delay_ms

    def next_delay_ms(self, failure: Failure) -> int | None:
        if is_hopeless(failure.error) or self._left <= 0:
            return None
        self._left -= 1
        return self._delay_ms


class FailureRate:
    """Restarts until more than `max_failures` lie within `interval_ms` (CP-73)."""

    def __init__(self, max_failures: int, interval_ms: int, delay_ms: int) -> None:
        self._interval_ms = interval_ms
        self._delay_ms = delay_ms
        self._times_ms: deque[int] = deque(maxlen=max_failures + 1)

    def next_delay_ms(self, failure: Failure) -> int | None:
        times = self._times_ms
        times.append(failure.at_ms)
        is_full = len(times) == times.maxlen
        if is_hopeless(failure.error) or (is_full and times[-1] - times[0] <= self._interval_ms):
            return None
        return self._delay_ms


@dataclass(frozen=True, slots=True)
class Backoff:
    """How delays grow: by `multiplier`, from the first to the greatest, give or take `jitter`."""

    initial_ms: int
    max_ms: int
    multiplier: float
    jitter: float
    """A part of the delay, 0 to 1."""
    reset_ms: int
    """After running so long without a failure delays begin anew."""


class ExponentialDelay:
    """Restarts for ever, after longer and longer delays, while that can help (CP-73).

    An outage passes, however long it lasts. A mistake in the job's code does not: a job that makes
    the same one over and over without completing a checkpoint is given up.
    """

    def __init__(self, backoff: Backoff, random: Random) -> None:
        self._backoff = backoff
        self._random = random
        self._failures = 0
        self._restarted_ms: int | None = None
        self._mistakes = _SameMistakes()

    def next_delay_ms(self, failure: Failure) -> int | None:
        if is_hopeless(failure.error) or self._mistakes.count(failure) > SAME_MISTAKES:
            return None
        backoff, last_ms = self._backoff, self._restarted_ms
        if last_ms is not None and failure.at_ms - last_ms >= backoff.reset_ms:
            self._failures = 0
        delay_ms = _grown(backoff, self._failures)
        delay_ms += delay_ms * backoff.jitter * self._random.uniform(-1, 1)
        delay = round(min(max(delay_ms, backoff.initial_ms), backoff.max_ms))
        self._failures += 1
        self._restarted_ms = failure.at_ms + delay
        return delay


def is_hopeless(error: BaseException) -> bool:
    """Whether a restart is sure to meet the error again."""
    return isinstance(error, _NEVER_RESTARTED)


def make_restart_strategy(
    config: Configuration, has_checkpoints: bool, random: Random
) -> RestartStrategy:
    """As configured; without checkpoints a restart would only repeat results."""
    kind, prefix = config["restart-strategy.type"], "restart-strategy"
    if not has_checkpoints or kind == "none":
        return NoRestart()
    if kind == "fixed-delay":
        return FixedDelay(
            config[f"{prefix}.fixed-delay.attempts"], config[f"{prefix}.fixed-delay.delay"]
        )
    if kind == "failure-rate":
        return FailureRate(
            config[f"{prefix}.failure-rate.max-failures-per-interval"],
            config[f"{prefix}.failure-rate.failure-rate-interval"],
            config[f"{prefix}.failure-rate.delay"],
        )
    prefix = f"{prefix}.exponential-delay"
    backoff = Backoff(
        initial_ms=config[f"{prefix}.initial-backoff"],
        max_ms=config[f"{prefix}.max-backoff"],
        multiplier=config[f"{prefix}.backoff-multiplier"],
        jitter=config[f"{prefix}.jitter-factor"],
        reset_ms=config[f"{prefix}.reset-backoff-threshold"],
    )
    return ExponentialDelay(backoff, random)


class _SameMistakes:
    """Counts failures in a row that are one mistake, at one place, with no progress between."""

    def __init__(self) -> None:
        self._last: tuple[object, ...] | None = None
        self._count = 0

    def count(self, failure: Failure) -> int:
        """How often it has happened, this time included; 0 for what is no mistake."""
        if not isinstance(failure.error, _MISTAKES):
            self._last = None
            return 0
        frames = traceback.extract_tb(failure.error.__traceback__)[-1:]
        place = [(frame.filename, frame.lineno) for frame in frames]
        mistake = (type(failure.error), *place, failure.completed_id)
        self._count = self._count + 1 if mistake == self._last else 1
        self._last = mistake
        return self._count


def _grown(backoff: Backoff, failures: int) -> float:
    """The delay after so many failures; never above the greatest, so that nothing overflows."""
    delay_ms = float(backoff.initial_ms)
    for _ in range(failures):
        delay_ms *= backoff.multiplier
        if delay_ms >= backoff.max_ms:
            break
    return min(delay_ms, float(backoff.max_ms))
