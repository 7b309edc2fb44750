"""Whether a failed job starts again, and after how long (CP-73)."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamlet.config import Configuration
from streamlet.errors import (
    ConfigError,
    FatalError,
    GraphError,
    InternalError,
    RecordError,
    RestoreError,
    StateTypeError,
    TransientError,
)
from streamlet.runtime.restart import (
    SAME_MISTAKES,
    Backoff,
    ExponentialDelay,
    Failure,
    FailureRate,
    FixedDelay,
    RestartStrategy,
    make_restart_strategy,
)

OUTAGE = OSError("gone")
STEADY = Backoff(initial_ms=100, max_ms=1_000, multiplier=2.0, jitter=0.0, reset_ms=5_000)


def exponential(backoff: Backoff = STEADY) -> ExponentialDelay:
    return ExponentialDelay(backoff, Random(0))


def raised(error: Exception) -> Exception:
    """The error with a place at which it was raised."""
    try:
        raise error
    except Exception as caught:
        return caught


def raised_elsewhere(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_fixed_delay_gives_so_many_restarts_and_no_more() -> None:
    strategy = FixedDelay(2, 50)
    delays = [strategy.next_delay_ms(Failure(OUTAGE, at_ms)) for at_ms in (0, 10, 9_999, 10**9)]
    assert delays == [50, 50, None, None]


@pytest.mark.parametrize(
    ("times_ms", "expected"),
    [
        ([0, 100, 200], [7, 7, None]),
        ([0, 100, 1_000], [7, 7, None]),
        ([0, 100, 1_001], [7, 7, 7]),
        ([0, 900, 1_800, 2_700], [7, 7, 7, 7]),
        ([0, 900, 1_800, 1_850], [7, 7, 7, None]),
    ],
)
def test_failure_rate_fails_when_more_failures_lie_within_the_interval(
    times_ms: list[int], expected: list[int | None]
) -> None:
    strategy = FailureRate(max_failures=2, interval_ms=1_000, delay_ms=7)
    assert [strategy.next_delay_ms(Failure(OUTAGE, at_ms)) for at_ms in times_ms] == expected


def test_exponential_delays_grow_up_to_the_greatest_and_never_end() -> None:
    strategy = exponential()
    delays = [strategy.next_delay_ms(Failure(OUTAGE, at_ms)) for at_ms in range(50)]
    assert delays == [100, 200, 400, 800, *[1_000] * 46]


def test_exponential_delay_begins_anew_after_a_quiet_time_since_the_restart() -> None:
    strategy = exponential()
    assert strategy.next_delay_ms(Failure(OUTAGE, 0)) == 100
    assert strategy.next_delay_ms(Failure(OUTAGE, 5_099)) == 200  # it ran for 4,999 ms
    assert strategy.next_delay_ms(Failure(OUTAGE, 5_299 + 5_000)) == 100


def test_jitter_stays_between_the_first_and_the_greatest_delay() -> None:
    backoff = Backoff(initial_ms=100, max_ms=1_000, multiplier=2.0, jitter=0.5, reset_ms=10**9)
    strategy = exponential(backoff)
    delays = [strategy.next_delay_ms(Failure(OUTAGE, at_ms)) or 0 for at_ms in range(200)]
    assert min(delays) >= 100
    assert max(delays) == 1_000
    assert len(set(delays)) > 50


def test_same_mistake_without_a_checkpoint_between_is_given_up() -> None:
    strategy = exponential()
    failures = [Failure(raised(KeyError(n)), n, completed_id=7) for n in range(SAME_MISTAKES + 1)]
    delays = [strategy.next_delay_ms(failure) for failure in failures]
    assert None not in delays[:-1]
    assert delays[-1] is None


@pytest.mark.parametrize(
    "failure",
    [
        Failure(raised(KeyError("x")), 9, completed_id=8),
        Failure(raised(TypeError("x")), 9, completed_id=7),
        Failure(raised_elsewhere(KeyError("x")), 9, completed_id=7),
        Failure(OUTAGE, 9, completed_id=7),
    ],
    ids=["after a checkpoint", "of another type", "at another place", "an outage"],
)
def test_another_failure_between_gives_the_mistake_new_chances(failure: Failure) -> None:
    strategy = exponential()
    mistake = Failure(raised(KeyError("x")), 9, completed_id=7)
    for _ in range(SAME_MISTAKES):
        assert strategy.next_delay_ms(mistake) is not None
    assert strategy.next_delay_ms(failure) is not None
    for _ in range(SAME_MISTAKES - 1):
        assert strategy.next_delay_ms(mistake) is not None


def test_outage_may_last_for_ever() -> None:
    class DriverError(Exception):
        """What a client library may raise."""

    strategy = exponential()
    for error in (OUTAGE, TransientError("gone"), TimeoutError(), DriverError()):
        for at_ms in range(20):
            assert strategy.next_delay_ms(Failure(error, at_ms)) is not None


@pytest.mark.parametrize("strategy", [FixedDelay(1, 50), FailureRate(1, 100, 50), exponential()])
@pytest.mark.parametrize(
    "error",
    [FatalError, RecordError, StateTypeError, ConfigError, GraphError, RestoreError, InternalError],
)
def test_what_a_restart_would_meet_again_is_not_restarted(
    strategy: RestartStrategy, error: type[Exception]
) -> None:
    assert strategy.next_delay_ms(Failure(error("no"), 0)) is None


@pytest.mark.parametrize(
    ("settings", "has_checkpoints", "expected"),
    [
        ({}, True, 1_000),
        ({}, False, None),
        ({"type": "none"}, True, None),
        ({"type": "fixed-delay", "fixed-delay.attempts": 0}, True, None),
        ({"type": "fixed-delay", "fixed-delay.delay": "7s"}, True, 7_000),
        ({"type": "failure-rate", "failure-rate.delay": "3s"}, True, 3_000),
        ({"exponential-delay.initial-backoff": "9s"}, True, 9_000),
    ],
)
def test_strategy_of_the_configuration(
    tmp_path: Path, settings: dict[str, Any], has_checkpoints: bool, expected: int | None
) -> None:
    """Without checkpoints a restart would only repeat results."""
    config = Configuration.load({"STREAMLET_HOME": str(tmp_path)}, tmp_path).with_code(
        {
            "restart-strategy.exponential-delay.jitter-factor": "0",
            **{f"restart-strategy.{name}": value for name, value in settings.items()},
        }
    )
    strategy = make_restart_strategy(config, has_checkpoints, Random(0))
    assert strategy.next_delay_ms(Failure(OUTAGE, 0)) == expected
