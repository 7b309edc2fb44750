"""Which operator a windowed stream becomes, and cumulative windows in all forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamlet import (
    CumulativeEventTimeWindows,
    ProcessWindowFunction,
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.api.stream import DataStream
from streamlet.api.windowed import WindowedStream
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.operators.window import WindowOperator

RECORDS = [("k", 1, 10), ("k", 6, 20), ("k", 12, 30), ("k", 31, 40)]
CUMULATIVE = CumulativeEventTimeWindows.of(15, 5)
SLIDING = SlidingEventTimeWindows.of(10, 5)


def windowed(assigner: Any) -> tuple[StreamExecutionEnvironment, WindowedStream[Any]]:
    env = StreamExecutionEnvironment()
    strategy: WatermarkStrategy[Any] = WatermarkStrategy.for_monotonous_timestamps()
    records = env.from_collection(RECORDS)
    stamped = records.assign_timestamps_and_watermarks(
        strategy.with_timestamp_assigner(lambda record: record[1])
    )
    return env, stamped.key_by(0).window(assigner)


class Spans(ProcessWindowFunction[Any, Any, Any, Any]):
    def process(self, key: Any, ctx: Any, elements: Any) -> Any:
        yield ctx.window().start, ctx.window().end, sum(value[2] for value in elements)


SUMS = [(0, 5, 10), (0, 10, 30), (0, 15, 60), (30, 35, 40), (30, 40, 40), (30, 45, 40)]
FORMS: dict[str, Callable[[WindowedStream[Any]], DataStream[Any]]] = {
    "agg": lambda w: w.agg(total=agg.sum(2)).map(lambda row: tuple(row.values())[1:]),
    "first": lambda w: w.agg(total=agg.sum(2), first=agg.first(2)).map(
        lambda row: tuple(row.values())[1:4]
    ),
    "reduce": lambda w: w.reduce(
        lambda a, b: (a[0], a[1], a[2] + b[2]), lambda key, span, one: (*span, one[2])
    ),
    "apply": lambda w: w.apply(lambda key, span, values: (*span, sum(v[2] for v in values))),
    "process": lambda w: w.process(Spans()),
}


@pytest.mark.parametrize("form", FORMS)
def test_cumulative_windows_in_every_form(form: str) -> None:
    """SQL-2: an element is in all windows that end after it."""
    _, stream = windowed(CUMULATIVE)
    assert sorted(FORMS[form](stream).execute_and_collect()) == SUMS


@pytest.mark.parametrize(
    ("assigner", "aggregate", "lateness_ms", "is_sliced"),
    [
        (SLIDING, agg.count(), 0, True),
        (CUMULATIVE, agg.quantile(2, 0.5), 0, True),
        (SLIDING, agg.first(2), 0, False),
        (SLIDING, agg.count(), 1, False),
        (SlidingEventTimeWindows.of(10, 4), agg.count(), 0, False),
        (TumblingEventTimeWindows.of(10), agg.count(), 0, False),
    ],
)
def test_windows_share_slices_where_that_changes_no_result(
    assigner: Any, aggregate: Any, lateness_ms: int, is_sliced: bool
) -> None:
    env, stream = windowed(assigner)
    stream.allowed_lateness(lateness_ms).agg(x=aggregate)
    factory = env.graph.nodes[-1].factory
    assert factory is not None
    assert type(factory()) is (SlicedWindowOperator if is_sliced else WindowOperator)
