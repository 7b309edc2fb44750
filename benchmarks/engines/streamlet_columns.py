"""streamlet with columns from the file to the sink; checkpoints as the environment says."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.engines.told import Answer, main, numbered
from streamlet import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.api.stream import DataStream
from streamlet.connectors.files import FileSource
from streamlet.sink import Sink, SinkWriter, WriterContext


class Tally(Sink[Any], SinkWriter[Any]):
    """Counts the results that it gets and adds up one field; the writer is the sink itself."""

    rows_because = None

    def __init__(self, field: str) -> None:
        self.count = 0
        self.total = 0
        self._field = field

    def create_writer(self, ctx: WriterContext) -> Tally:
        return self

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        self.count += len(values)
        self.total += sum(map(itemgetter(self._field), values))

    def write_columns(self, records: pa.RecordBatch, timestamps: Any) -> None:
        self.count += records.num_rows
        self.total += pc.sum(records.column(self._field)).as_py() or 0


def bids(env: StreamExecutionEnvironment, path: str, *names: str) -> DataStream[Any]:
    """These fields, in event time, at most 5 s out of order."""
    strategy: WatermarkStrategy[Any] = WatermarkStrategy.for_bounded_out_of_orderness("5s")
    reader = FileSource.json_lines if path.endswith(".jsonl") else FileSource.parquet
    source = reader(path, schema=pa.schema([(name, pa.int64()) for name in (*names, "ts")]))
    return env.from_source(source, strategy.with_timestamp_assigner("ts"), "bids")


def answer(env: StreamExecutionEnvironment, results: DataStream[Any], field: str) -> Answer:
    tally = Tally(field)
    results.sink_to(tally)
    env.execute("bench")
    return tally.count, tally.total


def filter_and_map(path: str) -> Answer:
    env = StreamExecutionEnvironment()
    dear = bids(env, path, "auction", "price").filter(pc.field("price") > 500)
    euros = dear.select(auction="auction", euro=pc.field("price") * 908 / 1_000)
    return answer(env, euros, "euro")


def running_count(path: str) -> Answer:
    env = StreamExecutionEnvironment()
    counts = bids(env, path, "auction").key_by("auction").agg(bids=agg.count())
    return answer(env, counts.uid("count"), "bids")


def tumbling(path: str) -> Answer:
    env = StreamExecutionEnvironment()
    auctions = bids(env, path, "auction", "price").key_by("auction")
    windows = auctions.window(TumblingEventTimeWindows.of("10s"))
    totals = windows.agg(bids=agg.count(), total=agg.sum("price"))
    return answer(env, totals.uid("totals"), "total")


def sessions(path: str) -> Answer:
    env = StreamExecutionEnvironment()
    bidders = bids(env, path, "bidder").key_by("bidder")
    counts = bidders.window(EventTimeSessionWindows.with_gap("30s")).agg(bids=agg.count())
    length = pc.field("window_end") - pc.field("window_start")
    weights = counts.uid("sessions").select(weight=pc.field("bids") * length)
    return answer(env, weights, "weight")


def hot_auctions(path: str) -> Answer:
    env = StreamExecutionEnvironment()
    auctions = bids(env, path, "auction").key_by("auction")
    windows = auctions.window(SlidingEventTimeWindows.of("10s", "2s"))
    # All counts of one window end at one time, so they fall into one window of two seconds.
    counts = windows.agg(bids=agg.count()).uid("counts")
    ends = counts.select(ends="window_end", bids="bids").key_by("ends")
    most = ends.window(TumblingEventTimeWindows.of("2s")).agg(most=agg.max("bids"))
    return answer(env, most.uid("hottest"), "most")


WORKLOADS = numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions)

if __name__ == "__main__":
    main(WORKLOADS)
