"""Whether a failed job starts again."""

from __future__ import annotations

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
from streamlet.runtime.restart import FixedDelay, make_restart_strategy


def test_so_many_restarts_and_no_more() -> None:
    """CP-73: the number never grows again."""
    strategy = FixedDelay(2, 50)
    assert [strategy.next_delay_ms(OSError()) for _ in range(4)] == [50, 50, None, None]


@pytest.mark.parametrize(
    "error",
    [FatalError, RecordError, StateTypeError, ConfigError, GraphError, RestoreError, InternalError],
)
def test_what_a_restart_would_meet_again_is_not_restarted_and_uses_nothing_up(
    error: type[Exception],
) -> None:
    strategy = FixedDelay(1, 50)
    assert strategy.next_delay_ms(error("no")) is None
    assert strategy.next_delay_ms(TransientError("yes")) == 50


@pytest.mark.parametrize(
    ("settings", "has_checkpoints", "expected"),
    [
        ({}, True, 1_000),
        ({}, False, None),
        ({"restart-strategy.type": "none"}, True, None),
        ({"restart-strategy.fixed-delay.attempts": 0}, True, None),
        ({"restart-strategy.fixed-delay.delay": "7s"}, True, 7_000),
    ],
)
def test_strategy_of_the_configuration(
    tmp_path: Any, settings: dict[str, Any], has_checkpoints: bool, expected: int | None
) -> None:
    """Without checkpoints a restart would only repeat results."""
    config = Configuration.load({"STREAMLET_HOME": str(tmp_path)}, tmp_path).with_code(settings)
    strategy = make_restart_strategy(config, has_checkpoints)
    assert strategy.next_delay_ms(OSError()) == expected
