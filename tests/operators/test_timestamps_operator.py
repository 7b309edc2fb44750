"""assign_timestamps_and_watermarks in mid-graph: event time begins anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamlet import WatermarkStrategy
from streamlet.elements import MAX_TIMESTAMP
from streamlet.operators.timestamps import TimestampsOperator
from streamlet.testing import OperatorHarness, active, at, idle, watermark


def assigning(
    strategy: WatermarkStrategy[Any] | None = None, interval_ms: int = 200
) -> Callable[[], TimestampsOperator]:
    chosen = strategy or WatermarkStrategy.for_bounded_out_of_orderness(10)
    return lambda: TimestampsOperator(chosen.with_timestamp_assigner("ts"), interval_ms)


def test_records_get_new_timestamps_and_watermarks_come_periodically() -> None:
    """WM-1, WM-2."""
    with OperatorHarness(assigning()) as harness:
        harness.send({"ts": 100}, 7)
        harness.send({"ts": 90}, 8)
        assert harness.output_with_watermarks() == [at(100, {"ts": 100}), at(90, {"ts": 90})]
        harness.advance_processing_time(200)
        assert harness.output_with_watermarks() == [watermark(89)]
        harness.advance_processing_time(200)
        assert harness.output_with_watermarks() == []


def test_watermarks_and_statuses_from_upstream_stop_here() -> None:
    """WM-5."""
    with OperatorHarness(assigning()) as harness:
        harness.watermark(1_000_000)
        harness.status(is_idle=True)
        harness.status(is_idle=False)
        harness.advance_processing_time(1_000)
        assert harness.output_with_watermarks() == []


def test_the_end_gives_the_last_watermark_and_then_max() -> None:
    """WM-5, WM-6."""
    with OperatorHarness(assigning()) as harness:
        harness.send({"ts": 100})
        harness.output()
        harness.finish()
        assert harness.output_with_watermarks() == [watermark(89), watermark(MAX_TIMESTAMP)]
        harness.advance_processing_time(1_000)
        assert harness.output_with_watermarks() == []


def test_without_an_interval_only_the_end_gives_a_watermark() -> None:
    """WM-2; api.md: sources still ask once at the end of their input."""
    with OperatorHarness(assigning(interval_ms=0)) as harness:
        harness.send({"ts": 100})
        harness.advance_processing_time(10_000)
        harness.finish()
        assert harness.output_with_watermarks()[1:] == [watermark(89), watermark(MAX_TIMESTAMP)]


class Punctuated:
    """A watermark after each record that says so."""

    def on_event(self, value: Any, timestamp: int, output: Any) -> None:
        if value.get("flush"):
            output.emit_watermark(timestamp)

    def on_periodic_emit(self, output: Any) -> None:
        return None


def test_a_punctuated_watermark_follows_its_record() -> None:
    """WM-3, WM-4: and never goes back."""
    with OperatorHarness(assigning(WatermarkStrategy.for_generator(Punctuated))) as harness:
        records = [{"ts": 1}, {"ts": 5, "flush": 1}, {"ts": 3, "flush": 1}, {"ts": 9}]
        harness.send_batch(records)
        assert harness.output_with_watermarks() == [
            at(1, records[0]),
            at(5, records[1]),
            watermark(5),
            at(3, records[2]),
            at(9, records[3]),
        ]


def test_a_silent_input_goes_idle_and_is_active_with_its_next_watermark() -> None:
    """WM-20, WM-21."""
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_idleness(500)
    with OperatorHarness(assigning(strategy)) as harness:
        harness.send({"ts": 100})
        harness.output()
        for _ in range(6):
            harness.advance_processing_time(200)
        assert harness.output_with_watermarks() == [watermark(99), idle()]
        harness.send({"ts": 200})
        harness.advance_processing_time(200)
        assert harness.output_with_watermarks() == [at(200, {"ts": 200}), active(), watermark(199)]


def test_a_record_without_the_field_fails_with_its_place() -> None:
    with (
        OperatorHarness(assigning()) as harness,
        pytest.raises(Exception, match="ts") as caught,
    ):
        harness.send({"other": 1})
    assert any("operator 'harness'" in note for note in caught.value.__notes__)
