"""Pipelines whose records travel as columns up to what folds them; the same output as of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import pyarrow.compute as pc

from streamlet import (
    CumulativeEventTimeWindows,
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from streamlet import aggregates as agg
from streamlet.api.stream import DataStream
from streamlet.api.windowed import Assigner
from streamlet.sink import Sink
from streamlet.testing import at, watermark
from streamlet.testing.script import Step
from streamlet.testing.simulation import ReplayedScript, ReplayedSource
from tests.state.colliding_keys import colliding, number_of
from tests.testing.simulation.simulated_pipelines import (
    COLUMNS,
    GAP_MS,
    LATE,
    Env,
    Record,
    Simulated,
    Windows,
    counted_and_summed,
    cumulated,
    in_event_time,
    partitions,
    running_count,
    sessions,
    sliced,
)

LATE_RECORDS: Final = 90
CROWD: Final = 36
FAR_BITS: Final = 52
"""Keys so far apart are looked for at places apart once there are a few."""


def whole(key: str) -> int:
    """Keys that are whole numbers are looked up in another way than others. Many collide."""
    partition, _, number = key[1:].partition("-")
    return colliding(int(number) << FAR_BITS | int(partition))


def text_of(key: int | str) -> str:
    """The key as the expected output has it."""
    if isinstance(key, str):
        return key
    number, partition = divmod(number_of(key), 1 << FAR_BITS)
    return f"k{partition}-{number}"


def as_columns(env: Env, to_key: Callable[[str], Any]) -> DataStream[Any]:
    """The records with the columns key and number."""
    source = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
    dicts = source.map(lambda record: {"key": to_key(record[0]), "n": record[2]}).uid("dicts")
    return dicts.select(key=pc.field("key"), number=pc.field("n")).uid("columns")


def as_tuple(row: dict[str, Any]) -> tuple[Any, ...]:
    """One result as it is expected."""
    key, *others = (row[name] for name in COLUMNS)
    return text_of(key), *others


def windowed_columns(
    assigner: Assigner, windows: Windows, to_key: Callable[[str], Any]
) -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        windowed = as_columns(env, to_key).key_by("key").window(assigner)
        counted = windowed.agg(count=agg.count(), total=agg.sum("number")).uid("windows")
        counted.map(as_tuple).uid("rows").sink_to(sink).uid("sink")

    return Simulated(build, counted_and_summed(windows))


def tumbling_columns() -> Simulated:
    return windowed_columns(TumblingEventTimeWindows.of(100), sliced(100, 100), whole)


def sliding_columns() -> Simulated:
    """Long windows: most slices are merged from what was learnt of them before."""
    return windowed_columns(SlidingEventTimeWindows.of(250, 50), sliced(250, 50), str)


def cumulative_columns() -> Simulated:
    return windowed_columns(CumulativeEventTimeWindows.of(150, 50), cumulated(), str)


def session_columns() -> Simulated:
    return windowed_columns(EventTimeSessionWindows.with_gap(GAP_MS), sessions(), whole)


def crowded_session_columns() -> Simulated:
    """Of each record a crowd of keys, so that timers come in runs, and the index grows."""

    def crowd(key: str) -> list[str]:
        partition, _, number = key.partition("-")
        return [f"{partition}-{CROWD * int(number) + place}" for place in range(CROWD)]

    def dicts_of(record: Record) -> list[dict[str, Any]]:
        return [{"key": whole(key), "n": record[2]} for key in crowd(record[0])]

    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
        dicts = source.flat_map(dicts_of).uid("dicts")
        columns = dicts.select(key=pc.field("key"), number=pc.field("n")).uid("columns")
        windowed = columns.key_by("key").window(EventTimeSessionWindows.with_gap(GAP_MS))
        counted = windowed.agg(count=agg.count(), total=agg.sum("number")).uid("windows")
        counted.map(as_tuple).uid("rows").sink_to(sink).uid("sink")

    windows = {
        (key, start, end): numbers
        for (one, start, end), numbers in sessions().items()
        for key in crowd(one)
    }
    return Simulated(build, counted_and_summed(windows))


def running_columns() -> Simulated:
    def build(env: Env, sink: Sink[Any]) -> None:
        keyed = as_columns(env, whole).key_by("key")
        counted = keyed.agg(count=agg.count(), total=agg.sum("number")).uid("count")
        rows = counted.map(lambda row: (text_of(row["key"]), row["count"], row["total"]))
        rows.uid("rows").sink_to(sink).uid("sink")

    return Simulated(build, running_count().expected)


def rows_and_columns() -> Simulated:
    """Half of the records come as rows, so that a slice is now one and then the other."""

    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedSource(partitions()), in_event_time()).uid("source")
        dicts = source.map(lambda record: {"key": whole(record[0]), "number": record[2]})
        dicts = dicts.uid("dicts")
        even = dicts.filter(lambda record: record["number"] % 2 == 0).uid("even")
        odd = dicts.filter(pc.bit_wise_and(pc.field("number"), 1) == 1).uid("odd")
        columns = odd.select(key=pc.field("key"), number=pc.field("number")).uid("columns")
        windowed = even.union(columns).key_by("key").window(SlidingEventTimeWindows.of(200, 50))
        counted = windowed.agg(count=agg.count(), total=agg.sum("number")).uid("windows")
        counted.map(as_tuple).uid("rows").sink_to(sink).uid("sink")

    return Simulated(build, counted_and_summed(sliced(200, 50)))


def late_columns() -> Simulated:
    """Every third record comes far too late.

    By one channel up to the windows: then it is certain what comes before which watermark. And by
    a third of a second, as a watermark is not restored with what it has made late (WM-54).
    """
    script: list[Step] = []
    expected: list[Any] = []
    windows: Windows = defaultdict(list)
    for n in range(LATE_RECORDS):
        is_late = n % 3 == 2 and n > 20
        timestamp = 20 * n - 400 * is_late
        script.append(at(timestamp, {"key": f"k{n % 4}", "number": n}))
        if n % 2:
            script.append(watermark(20 * n - 15))
        if is_late:
            expected.append(("late", n))
            continue
        for start in (timestamp - timestamp % 50, timestamp - timestamp % 50 - 50):
            windows[f"k{n % 4}", start, start + 100].append(n)

    def build(env: Env, sink: Sink[Any]) -> None:
        source = env.from_source(ReplayedScript(script)).uid("source").set_parallelism(1)
        columns = source.select(key=pc.field("key"), number=pc.field("number")).uid("columns")
        keyed = columns.set_parallelism(1).key_by("key")
        windowed = keyed.window(SlidingEventTimeWindows.of(100, 50)).side_output_late_data(LATE)
        counted = windowed.agg(count=agg.count(), total=agg.sum("number")).uid("windows")
        rows = counted.map(as_tuple).uid("rows")
        late = counted.get_side_output(LATE).map(lambda record: ("late", record["number"]))
        rows.union(late.uid("late")).sink_to(sink).uid("sink")

    return Simulated(build, counted_and_summed(windows) + expected)
