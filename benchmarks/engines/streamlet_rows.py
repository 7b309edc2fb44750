"""streamlet with Python functions and rows; checkpoints as the environment says."""

from __future__ import annotations

from typing import Any, NamedTuple

from benchmarks.engines.told import Answer, main
from benchmarks.workloads import Tally
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


class Bid(NamedTuple):
    """The columns that the workloads need."""

    auction: int
    bidder: int
    price: int
    ts: int


def bids(env: StreamExecutionEnvironment, path: str) -> DataStream[Bid]:
    """In event time, at most 5 s out of order."""
    strategy: WatermarkStrategy[Any] = WatermarkStrategy.for_bounded_out_of_orderness("5s")
    source: FileSource[Bid] = FileSource.parquet(path, record_type=Bid)
    return env.from_source(source, strategy.with_timestamp_assigner("ts"), "bids")


def executed(env: StreamExecutionEnvironment, tally: Tally) -> Answer:
    env.execute("bench")
    return tally.answer


def filter_and_map(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(lambda result: int(result[1]))
    dear = bids(env, path).filter(lambda bid: bid.price > 500)
    dear.map(lambda bid: (bid.auction, bid.price * 908 // 1_000)).sink_to(tally)
    return executed(env, tally)


def running_count(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(lambda result: int(result["bids"]))
    bids(env, path).key_by("auction").agg(bids=agg.count()).uid("count").sink_to(tally)
    return executed(env, tally)


def tumbling(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(lambda result: int(result["total"]))
    windows = bids(env, path).key_by("auction").window(TumblingEventTimeWindows.of("10s"))
    windows.agg(bids=agg.count(), total=agg.sum("price")).uid("totals").sink_to(tally)
    return executed(env, tally)


def sessions(path: str) -> Answer:
    def weight(result: Any) -> int:
        return int(result["bids"] * (result["window_end"] - result["window_start"]))

    env, tally = StreamExecutionEnvironment(), Tally(weight)
    windows = bids(env, path).key_by("bidder").window(EventTimeSessionWindows.with_gap("30s"))
    windows.agg(bids=agg.count()).uid("sessions").sink_to(tally)
    return executed(env, tally)


def hot_auctions(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(lambda result: int(result["most"]))
    windows = bids(env, path).key_by("auction").window(SlidingEventTimeWindows.of("10s", "2s"))
    counts = windows.agg(bids=agg.count()).uid("counts")
    # All counts of one window end at one time, so they fall into one window of two seconds.
    ends = counts.key_by(lambda row: row["window_end"]).window(TumblingEventTimeWindows.of("2s"))
    ends.agg(most=agg.max("bids")).uid("hottest").sink_to(tally)
    return executed(env, tally)


if __name__ == "__main__":
    main(filter_and_map, running_count, tumbling, sessions, hot_auctions)
