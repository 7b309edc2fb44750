"""Strategies are immutable, and refuse at once what could not work later."""

from datetime import timedelta
from typing import Any

import pytest

from streamlet.elements import MIN_TIMESTAMP, RowBatch
from streamlet.errors import ConfigError, FatalError, GraphError
from streamlet.eventtime.watermarks import WatermarkStrategy


def untyped(value: Any) -> Any:
    """What a user without a type checker may pass."""
    return value


class Collected:
    def __init__(self) -> None:
        self.watermarks: list[int] = []

    def emit_watermark(self, timestamp_ms: Any, /) -> None:
        self.watermarks.append(timestamp_ms)


class Punctuated:
    def on_event(self, value: Any, timestamp: Any, output: Any) -> None:
        output.emit_watermark(timestamp)

    def on_periodic_emit(self, output: Any) -> None:
        pass


def watermark_after(strategy: Any, *timestamps: Any) -> Any:
    generator, output = strategy.create_generator(), Collected()
    for timestamp in timestamps:
        generator.on_event(None, timestamp, output)
    generator.on_periodic_emit(output)
    return output.watermarks


@pytest.mark.parametrize("bound", ["60s", 60_000, timedelta(minutes=1)])
def test_bounded_strategy_takes_any_duration(bound: Any) -> None:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(bound)
    assert watermark_after(strategy, 100_000, 90_000) == [39_999]


def test_monotonous_strategy_is_bounded_by_zero() -> None:
    """WM-1."""
    assert watermark_after(WatermarkStrategy.for_monotonous_timestamps(), 5, 7) == [6]


def test_no_watermarks_never_says_anything() -> None:
    assert watermark_after(WatermarkStrategy.no_watermarks(), 5, 7) == []


def test_generator_of_ones_own_is_made_anew_for_each_split() -> None:
    strategy = WatermarkStrategy.for_generator(Punctuated)
    assert watermark_after(strategy, 5, 7) == [5, 7]
    assert strategy.create_generator() is not strategy.create_generator()
    assert watermark_after(WatermarkStrategy.for_generator(lambda: Punctuated()), 5) == [5]


def test_generators_of_one_strategy_share_nothing() -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    assert watermark_after(strategy, 5) == [4]
    assert watermark_after(strategy) == [MIN_TIMESTAMP]


def test_each_with_gives_a_new_strategy() -> None:
    plain = WatermarkStrategy.for_monotonous_timestamps()
    stamped = plain.with_timestamp_assigner("ts")
    idle = stamped.with_idleness("10s")
    assert (plain.stamper(), plain.idle_timeout_ms) == (None, None)
    assert stamped.idle_timeout_ms is None
    assert idle.idle_timeout_ms == 10_000
    stamper = idle.stamper()
    assert stamper is not None
    assert stamper.stamp(RowBatch([{"ts": 5}])).timestamps == [5]
    assert watermark_after(idle, 5) == [4]


@pytest.mark.parametrize(
    "build",
    [
        lambda: WatermarkStrategy.for_bounded_out_of_orderness("-1s"),
        lambda: WatermarkStrategy.for_bounded_out_of_orderness(untyped(1.5)),
        lambda: WatermarkStrategy.for_bounded_out_of_orderness("soon"),
        lambda: WatermarkStrategy.for_generator(untyped(Punctuated())),
        lambda: WatermarkStrategy.for_generator(dict),
        lambda: WatermarkStrategy.no_watermarks().with_idleness(0),
        lambda: WatermarkStrategy.no_watermarks().with_idleness("-1s"),
        lambda: WatermarkStrategy.no_watermarks().with_watermark_alignment("g", "20s"),
        lambda: WatermarkStrategy.no_watermarks().with_watermark_alignment("g", "20s", "1s"),
    ],
)
def test_setting_that_cannot_work_is_refused_at_once(build: Any) -> None:
    """WM-1, WM-20."""
    with pytest.raises(ConfigError):
        build()


def test_wrong_selector_is_refused_at_once() -> None:
    with pytest.raises(GraphError):
        WatermarkStrategy.no_watermarks().with_timestamp_assigner(untyped(None))


def test_factory_that_makes_no_generator_stops_the_job() -> None:
    with pytest.raises(FatalError, match="on_event"):
        WatermarkStrategy.for_generator(lambda: object()).create_generator()
