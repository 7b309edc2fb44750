"""streamlet with Python functions and rows; checkpoints as the environment says.

Keys come from functions: named fields of these records would stay columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

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


class Sale(NamedTuple):
    """What is paid for an auction, and when."""

    auction: int
    price: int
    ts: int


class Offer(NamedTuple):
    """That somebody bids for an auction."""

    auction: int
    ts: int


class Click(NamedTuple):
    """That a bidder does something."""

    bidder: int
    ts: int


auction = attrgetter("auction")


class Tally:
    """A sink that counts what it gets and adds up one number of each result."""

    def __init__(self, number: Callable[[Any], int]) -> None:
        self.count = 0
        self.total = 0
        self._number = number

    def __call__(self, values: Sequence[Any]) -> None:
        self.count += len(values)
        self.total += sum(map(self._number, values))

    @property
    def answer(self) -> Answer:
        return self.count, self.total


def bids(env: StreamExecutionEnvironment, path: str, record_type: type) -> DataStream[Any]:
    """In event time, at most 5 s out of order."""
    strategy: WatermarkStrategy[Any] = WatermarkStrategy.for_bounded_out_of_orderness("5s")
    reader = FileSource.json_lines if path.endswith(".jsonl") else FileSource.parquet
    source = reader(path, record_type=record_type)
    return env.from_source(source, strategy.with_timestamp_assigner("ts"), "bids")


def executed(env: StreamExecutionEnvironment, tally: Tally) -> Answer:
    env.execute("bench")
    return tally.answer


def filter_and_map(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(itemgetter(1))
    dear = bids(env, path, Sale).filter(lambda bid: bid.price > 500)
    dear.map(lambda bid: (bid.auction, bid.price * 908 // 1_000)).sink_to(tally)
    return executed(env, tally)


def running_count(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(itemgetter("bids"))
    bids(env, path, Offer).key_by(auction).agg(bids=agg.count()).uid("count").sink_to(tally)
    return executed(env, tally)


def tumbling(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(itemgetter("total"))
    windows = bids(env, path, Sale).key_by(auction).window(TumblingEventTimeWindows.of("10s"))
    windows.agg(bids=agg.count(), total=agg.sum("price")).uid("totals").sink_to(tally)
    return executed(env, tally)


def sessions(path: str) -> Answer:
    def weight(result: Any) -> int:
        return int(result["bids"] * (result["window_end"] - result["window_start"]))

    env, tally = StreamExecutionEnvironment(), Tally(weight)
    clicks = bids(env, path, Click).key_by(attrgetter("bidder"))
    windows = clicks.window(EventTimeSessionWindows.with_gap("30s"))
    windows.agg(bids=agg.count()).uid("sessions").sink_to(tally)
    return executed(env, tally)


def hot_auctions(path: str) -> Answer:
    env, tally = StreamExecutionEnvironment(), Tally(itemgetter("most"))
    offers = bids(env, path, Offer).key_by(auction)
    counts = offers.window(SlidingEventTimeWindows.of("10s", "2s")).agg(bids=agg.count())
    # All counts of one window end at one time, so they fall into one window of two seconds.
    ends = counts.uid("counts").key_by(lambda row: row["window_end"])
    hottest = ends.window(TumblingEventTimeWindows.of("2s"))
    hottest.agg(most=agg.max("bids")).uid("hottest").sink_to(tally)
    return executed(env, tally)


WORKLOADS = numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions)

if __name__ == "__main__":
    main(WORKLOADS)
