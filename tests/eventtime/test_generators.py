"""What the built-in generators conclude from timestamps, and when a split counts as silent."""

from typing import Any

import pytest

from streamlet.elements import MIN_TIMESTAMP
from streamlet.eventtime.generators import BoundedOutOfOrderness, IdlenessTimer, NoWatermarks


class Said:
    """Remembers what a generator said."""

    def __init__(self) -> None:
        self.watermarks: list[int] = []

    def emit_watermark(self, timestamp_ms: Any, /) -> None:
        self.watermarks.append(timestamp_ms)

    def mark_idle(self) -> None:
        raise AssertionError("built-in generators never do")

    mark_active = mark_idle


def watermarks_of(generator: Any) -> Any:
    said = Said()
    generator.on_periodic_emit(said)
    return said.watermarks


@pytest.mark.parametrize("delay_ms", [0, 1, 10_000])
def test_fresh_generator_yields_exactly_the_least_watermark(delay_ms: Any) -> None:
    """WM-1: no underflow."""
    assert watermarks_of(BoundedOutOfOrderness(delay_ms)) == [MIN_TIMESTAMP]


@pytest.mark.parametrize(
    ("delay_ms", "batches", "expected"),
    [
        (0, [[5_000]], 4_999),
        (10, [[5_000]], 4_989),
        (10, [[5_000, 7_000, 6_000]], 6_989),
        (10, [[5_000], [4_000]], 4_989),
        (0, [[-13], [-17]], -14),
    ],
)
def test_watermark_is_behind_the_newest_timestamp_by_the_delay_and_one(
    delay_ms: Any, batches: Any, expected: Any
) -> None:
    """WM-1, WM-7."""
    generator = BoundedOutOfOrderness(delay_ms)
    for batch in batches:
        generator.on_batch(max(batch))
    assert watermarks_of(generator) == [expected]


def test_bounded_generator_speaks_in_the_periodic_hook_only() -> None:
    """WM-1."""
    generator, said = BoundedOutOfOrderness(0), Said()
    generator.on_event("value", 5, said)
    assert said.watermarks == []
    assert watermarks_of(generator) == [4]


def test_no_watermarks_says_nothing() -> None:
    generator = NoWatermarks()
    generator.on_batch(3)
    assert watermarks_of(generator) == []


def test_idleness_is_found_by_a_probe_after_more_than_the_timeout() -> None:
    """WM-20: timeout 10, probes every 5 after a record at 0."""
    timer = IdlenessTimer(10)
    timer.on_activity()
    assert [timer.probe(now) for now in (1, 6, 11, 16, 21)] == [False, False, False, False, True]


def test_split_without_any_record_becomes_idle_too() -> None:
    timer = IdlenessTimer(10)
    assert [timer.probe(now) for now in (0, 10, 11, 12)] == [False, False, True, True]


def test_record_ends_idleness_and_the_clock_starts_anew() -> None:
    timer = IdlenessTimer(10)
    assert [timer.probe(now) for now in (0, 11)] == [False, True]
    timer.on_activity()
    assert [timer.probe(now) for now in (20, 40, 50, 51)] == [False, False, False, True]
