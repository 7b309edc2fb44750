"""ListSink in real jobs: every record once, whatever failed in between."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet import (
    KeyedProcessFunction,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
)
from streamlet.testing import ListSink, ScriptedSource, at, watermark

SCRIPTS = [
    [at(n, (f"k{n % 7}", n)) for n in range(0, 200, 2)],
    [*(at(n, (f"k{n % 7}", n)) for n in range(1, 200, 2)), watermark(150)],
]


def environment(interval: str, parallelism: int = 1) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment(
        {
            "execution.checkpointing.interval": interval,
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 3,
            "restart-strategy.fixed-delay.delay": "0ms",
        }
    )
    env.set_parallelism(parallelism)
    return env


@pytest.mark.parametrize("parallelism", [1, 2, 3])
@pytest.mark.parametrize("interval", ["off", "10s"])
def test_a_job_commits_every_record_at_its_end(interval: str, parallelism: int) -> None:
    env, sink = environment(interval, parallelism), ListSink()
    env.from_source(ScriptedSource(*SCRIPTS)).sink_to(sink)
    assert sink.values == []
    env.execute("all")
    assert sorted(sink.values, key=lambda value: value[1]) == sorted(
        (step.value for script in SCRIPTS for step in script if hasattr(step, "value")),
        key=lambda value: value[1],
    )


def test_one_subtask_keeps_the_order_and_the_timestamps() -> None:
    env, sink = environment("off"), ListSink()
    script = [at(3, "c"), at(1, "a"), at(None, {"b": [2]})]
    env.from_source(ScriptedSource(script)).sink_to(sink)
    env.execute("order")
    assert sink.records == script
    assert sink.values == ["c", "a", {"b": [2]}]


def test_records_of_any_type_pass_through_a_job_without_checkpoints() -> None:
    env, sink = environment("off"), ListSink()
    record = object()
    env.from_collection([record]).sink_to(sink)
    env.execute("objects")
    assert sink.values == [record]


class FailsOnce(KeyedProcessFunction):
    """Numbers the records of a key; the first attempt fails in the middle."""

    def open(self, ctx: Any) -> None:
        self.attempt = ctx.get_attempt_number()
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0))

    def process_element(self, value: Any, ctx: Any) -> Any:
        if value[1] == 121 and self.attempt == 0:
            raise RuntimeError("the first attempt fails here")
        self.count.update(self.count.value() + 1)
        yield ctx.get_current_key(), self.count.value()


@pytest.mark.parametrize("interval", ["off", "1ms", "10s"])
def test_a_restart_shows_no_record_twice_and_loses_none(interval: str) -> None:
    env, sink = environment(interval, parallelism=2), ListSink()
    env.configure({"execution.batch-size": 8})
    env.from_source(ScriptedSource(*SCRIPTS)).key_by(0).process(FailsOnce()).sink_to(sink)
    env.execute("restarts")
    counts = {key: sum(k == key for k, _ in sink.values) for key in {k for k, _ in sink.values}}
    assert sum(counts.values()) == 200
    assert sorted(sink.values) == sorted((k, n) for k, c in counts.items() for n in range(1, c + 1))


def test_watermarks_of_two_scripts_are_combined() -> None:
    """WM-30: a record is late only when both scripts are beyond it."""
    env, sink = environment("off"), ListSink()
    first = [at(1, ("k", "a")), watermark(100)]
    second = [at(2, ("k", "b")), watermark(5), at(8, ("k", "in time")), watermark(200)]
    (
        env.from_source(ScriptedSource(first, second))
        .key_by(0)
        .window(TumblingEventTimeWindows.of(10))
        .apply(lambda key, window, values: sorted(value[1] for value in values))
        .sink_to(sink)
    )
    env.execute("combined")
    assert sink.values == [["a", "b", "in time"]]


@pytest.mark.parametrize("interval", ["off", "10s"])
def test_two_streams_into_one_sink_lose_nothing(interval: str) -> None:
    """Their writers have the same run, subtask and checkpoint: the second one's were taken for the
    first one's, committed again."""
    env, sink = environment(interval), ListSink()
    env.from_collection([1, 2]).sink_to(sink)
    env.from_collection([10, 20]).sink_to(sink)
    env.execute("two")
    assert sorted(sink.values) == [1, 2, 10, 20]
