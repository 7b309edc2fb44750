"""Whole jobs whose source gives columns: the results are those of rows, to the last record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streamlet import (
    AggregateFunction,
    EventTimeSessionWindows,
    KeyedProcessFunction,
    OutputTag,
    Sink,
    SinkWriter,
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.api.stream import DataStream
from streamlet.sink import WriterContext
from streamlet.source import PartitionedSource, PartitionReader
from streamlet.testing import ListSink
from tests.runtime.pipelines import Fuse, Gate, GatedListSink, environment

BY_TS = WatermarkStrategy.for_bounded_out_of_orderness("50ms").with_timestamp_assigner("ts")
TUMBLING = TumblingEventTimeWindows.of("200ms")
DEAR = pc.field("price") > 40
ODD: OutputTag[Any] = OutputTag("odd")


def bids(count: int, seed: int = 5) -> list[dict[str, Any]]:
    """Three in four with a price; out of order by up to 50 ms."""
    random = Random(seed)
    return [
        {
            "n": seed * 1_000_000 + n,
            "auction": random.randrange(7),
            "share": random.choice([0.0, -0.0, 0.5, 1.0]),
            "channel": random.choice(["web", "app", None]),
            "price": random.choice([None, *[random.randrange(100)] * 3]),
            "ts": n * 10 + random.randrange(50),
        }
        for n in range(count)
    ]


PARTITIONS = {f"p{seed}": bids(120, seed) for seed in range(1, 4)}


@dataclass
class Bids(PartitionedSource[dict[str, Any]]):
    """The bids as RecordBatches, or as dicts; `step` of them at a time once the gate opens."""

    as_columns: bool
    partitions: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: PARTITIONS)
    step: int = 1_000
    gate: Gate = field(default_factory=lambda: Gate(is_open=True))
    bounded = True
    name = "bids"

    def __post_init__(self) -> None:
        self.rows_because = None if self.as_columns else "the test wants rows"

    def list_partitions(self) -> list[str]:
        return sorted(self.partitions)

    def open_partition(self, name: str, position: Any | None) -> PartitionReader[Any]:
        return _BidsReader(self, self.partitions[name], position or 0)


class _BidsReader(PartitionReader[Any]):
    def __init__(self, source: Bids, records: list[dict[str, Any]], start: int) -> None:
        self._source = source
        self._records = records
        self._next = start
        self._seen = -1

    def poll(self, max_records: int) -> Any:
        gate = self._source.gate
        if self._next >= len(self._records):
            return None
        if gate.opened <= self._seen and not gate.is_open:
            return []
        self._seen = gate.opened
        stop = min(self._next + min(max_records, self._source.step), len(self._records))
        given, self._next = self._records[self._next : stop], stop
        return _columns(given) if self._source.as_columns else given

    def position(self) -> int:
        return self._next


def _columns(records: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    schema = pa.schema(
        [
            ("n", pa.int64()),
            ("auction", pa.int32()),
            ("share", pa.float64()),
            ("channel", pa.dictionary(pa.int8(), pa.string())),
            ("price", pa.int64()),
            ("ts", pa.int64()),
        ]
    )
    return pa.RecordBatch.from_pylist(list(records), schema)


class Remember(KeyedProcessFunction[Any, Any, Any]):
    """The key and the record, and odd auctions on the side."""

    def process_element(self, value: Any, ctx: Any, /) -> Iterator[Any]:
        yield repr(ctx.get_current_key()), value
        if value["auction"] % 2:
            yield ODD, (ctx.timestamp(), value)


class Numbers(AggregateFunction[Any, list[int], list[int]]):
    """The sorted numbers of all records."""

    def create_accumulator(self) -> list[int]:
        return []

    def add(self, value: Any, accumulator: list[int], /) -> list[int]:
        return [*accumulator, value["n"]]

    def get_result(self, accumulator: list[int], /) -> list[int]:
        return sorted(accumulator)

    def merge(self, a: list[int], b: list[int], /) -> list[int]:
        return [*a, *b]


Build = Callable[[DataStream[Any]], DataStream[Any]]


def numbered(bid: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(bid.items())


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.append_column("double", pc.multiply(batch.column("price"), 2))


def windowed(stream: DataStream[Any]) -> DataStream[Any]:
    windows = stream.key_by("auction", "channel").window(TUMBLING)
    return windows.aggregate(Numbers(), lambda key, window, result: (key, window.start, result))


def aggregated(stream: DataStream[Any]) -> DataStream[Any]:
    windows = stream.filter(DEAR).key_by("auction", "share").window(TUMBLING)
    return windows.agg(count=agg.count(), total=agg.sum("price"), dearest=agg.max("price"))


def restamped(stream: DataStream[Any]) -> DataStream[Any]:
    return windowed(
        stream.assign_timestamps_and_watermarks(WatermarkStrategy.no_watermarks())
        .filter(DEAR)
        .assign_timestamps_and_watermarks(BY_TS)
    )


PIPELINES: dict[str, Build] = {
    "filter, select, map": lambda s: (
        s.filter(DEAR).select(n="n", euro=pc.field("price") * 0.5, share="share").map(numbered)
    ),
    "map batches": lambda s: s.map_batches(doubled).map(numbered),
    "rebalanced": lambda s: s.rebalance().filter(DEAR).shuffle().select(n="n").map(numbered),
    "row operator behind a key": lambda s: s.key_by("share").process(Remember()),
    "columns behind a key": lambda s: s.key_by("auction", "share").filter(DEAR).map(numbered),
    "running": lambda s: s.filter(DEAR).key_by("n").agg(total=agg.sum("price")),
    "window": windowed,
    "window aggregates": aggregated,
    "sliding aggregates": lambda s: (
        s.filter(DEAR)
        .key_by("channel")
        .window(SlidingEventTimeWindows.of("400ms", "100ms"))
        .agg(count=agg.count(), cheapest=agg.min("price"))
    ),
    "session aggregates": lambda s: (
        s.filter(DEAR)
        .key_by("auction")
        .window(EventTimeSessionWindows.with_gap("30ms"))
        .agg(count=agg.count(), mean=agg.mean("price"))
    ),
    "aggregates of all": lambda s: s.filter(DEAR).window_all(TUMBLING).agg(n=agg.count()),
    "window of all": lambda s: s.window_all(TumblingEventTimeWindows.of("300ms")).aggregate(
        Numbers()
    ),
    "timestamps anew": restamped,
    "rows and columns together": lambda s: (
        s.map(lambda bid: {**bid, "n": -bid["n"]})
        .union(s.filter(DEAR))
        .filter(pc.field("auction") < 5)
        .select(n="n", auction="auction")
    ),
    "side output": lambda s: (
        s.process(lambda bid, ctx: [(ODD, bid)] if bid["auction"] % 2 else [])
        .get_side_output(ODD)
        .select(n="n")
    ),
    "custom partitions": lambda s: (
        s.partition_custom(lambda key, count: key % count, "auction").filter(DEAR).map(numbered)
    ),
}


def results(build: Build, as_columns: bool, **settings: Any) -> list[str]:
    """The records with their timestamps, sorted: there is no order between subtasks."""
    env, sink = environment(**settings), ListSink()
    build(env.from_source(Bids(as_columns), BY_TS)).sink_to(sink)
    env.execute("bids")
    return sorted(map(repr, sink.records))


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("name", PIPELINES)
def test_columns_give_what_rows_give(name: str, parallelism: int) -> None:
    by_rows = results(PIPELINES[name], as_columns=False)
    by_columns = results(
        PIPELINES[name],
        as_columns=True,
        parallelism__default=parallelism,
        execution__batch_size=16,
        execution__column_batch_size=50,
    )
    assert by_columns == by_rows
    assert by_rows


def test_columns_really_reach_the_operators() -> None:
    """Or the tests above would compare rows with rows."""
    seen: list[int] = []

    def look(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append(batch.num_rows)
        assert pa.types.is_dictionary(batch.schema.field("channel").type)
        return batch

    env, sink = environment(), ListSink()
    env.from_source(Bids(as_columns=True), BY_TS).filter(DEAR).map_batches(look).sink_to(sink)
    env.execute("bids")
    dear = [bid for bids_ in PARTITIONS.values() for bid in bids_ if (bid["price"] or 0) > 40]
    assert sorted(value["n"] for value in sink.values) == [bid["n"] for bid in dear]
    assert sum(seen) == len(dear)


class CountingSink(Sink[Any]):
    """Keeps how many rows came as columns, and all records."""

    name = "counting"
    rows_because = None

    def __init__(self) -> None:
        self.column_rows = 0
        self.values: list[Any] = []

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return _CountingWriter(self)


class _CountingWriter(SinkWriter[Any]):
    def __init__(self, sink: CountingSink) -> None:
        self._sink = sink

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self._sink.values += values

    def write_columns(self, records: pa.RecordBatch, timestamps: Any) -> None:
        self._sink.column_rows += records.num_rows
        super().write_columns(records, timestamps)


def test_each_consumer_gets_columns_or_rows_as_it_takes_them() -> None:
    env, columns, rows, mixed = environment(), CountingSink(), ListSink(), CountingSink()
    env.set_parallelism(2)
    source = env.from_source(Bids(as_columns=True), BY_TS)
    dear = source.filter(DEAR)
    dear.rebalance().sink_to(columns)
    dear.key_by("auction").process(Remember()).sink_to(rows)
    source.map(lambda bid: bid).union(dear).sink_to(mixed)
    env.execute("bids")

    assert columns.column_rows == len(columns.values) == len(rows.values) == mixed.column_rows
    by_number = sorted(columns.values, key=lambda bid: bid["n"])
    assert by_number == sorted((bid for _, bid in rows.values), key=lambda bid: bid["n"])
    assert len(mixed.values) == len(columns.values) + sum(map(len, PARTITIONS.values()))


def test_columns_without_timestamps_have_none() -> None:
    env, sink = environment(), ListSink()
    env.from_source(Bids(as_columns=True)).filter(DEAR).sink_to(sink)
    env.execute("bids")
    assert {record.timestamp for record in sink.records} == {None}


def test_error_in_columns_names_the_operator_and_its_subtask() -> None:
    env: StreamExecutionEnvironment = environment(restart_strategy__type="none")
    env.from_source(Bids(as_columns=True)).filter(pc.field("cost") > 1).name("dear").print()
    with pytest.raises(Exception, match="there is no field 'cost'") as caught:
        env.execute("bids")
    notes = [*getattr(caught.value, "__notes__", ()), str(caught.value)]
    assert any("in operator 'dear' (subtask 1 of 1)" in note for note in notes)


@pytest.mark.slow
@pytest.mark.parametrize("parallelism", [1, 2])
def test_columns_come_once_whatever_fails_in_between(parallelism: int) -> None:
    """The position of a split stands behind the last batch that was emitted."""
    gate, fuse = Gate(), Fuse(1_000_030, 2_000_070, 3_000_110)
    env, sink = environment(), GatedListSink(gate)
    env.set_parallelism(parallelism)
    source = Bids(as_columns=True, step=9, gate=gate)
    stream: DataStream[Any] = env.from_source(source, BY_TS).uid("bids")
    stream = stream.filter(pc.field("n") > 0).uid("filter")
    stream = stream.key_by("auction").select(n="n").uid("select")
    stream.map(lambda bid: fuse(bid["n"])).uid("map").sink_to(sink).uid("sink")
    env.execute("bids")

    assert fuse.is_blown
    assert sorted(sink.values) == [bid["n"] for bids_ in PARTITIONS.values() for bid in bids_]
