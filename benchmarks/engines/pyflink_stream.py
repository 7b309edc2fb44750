"""PyFlink's DataStream API in its default process mode, lines parsed by orjson in Python."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from pyflink.common import Duration, Time, Types, WatermarkStrategy
from pyflink.common.watermark_strategy import TimestampAssigner
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSource, StreamFormat
from pyflink.datastream.functions import (
    AggregateFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    ProcessWindowFunction,
    RuntimeContext,
)
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)

from benchmarks.engines.told import Answer, main, numbered

PAIR = Types.TUPLE([Types.LONG(), Types.LONG()])
TRIPLE = Types.TUPLE([Types.LONG(), Types.LONG(), Types.LONG()])


class Tally(FlatMapFunction):
    """Counts results and adds up their last numbers; gives nothing on, and tells at the end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = self._total = 0

    def flat_map(self, value: Any) -> Iterator[Any]:
        self._count += 1
        self._total += value[-1]
        return iter(())

    def close(self) -> None:
        Path(self._path).write_text(json.dumps([self._count, self._total]))


class LastNumber(TimestampAssigner):
    """The timestamp is what a tuple ends with."""

    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return value[-1]


class Counting(KeyedProcessFunction):
    """Running count."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[tuple[int, int]]:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        yield value[0], count


class CountAndSum(AggregateFunction):
    """How many, and the sum of the numbers in the middle."""

    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: Any, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + 1, accumulator[1] + value[1]

    def get_result(self, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator

    def merge(self, acc_a: tuple[int, int], acc_b: tuple[int, int]) -> tuple[int, int]:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Count(AggregateFunction):
    """How many."""

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


class Totals(ProcessWindowFunction):
    """(key, count, sum)."""

    def process(self, key: int, context: Any, elements: Iterable[Any]) -> Iterable[Any]:
        for count, total in elements:
            yield key, count, total


class Weight(ProcessWindowFunction):
    """(key, count times the length of the window)."""

    def process(self, key: int, context: Any, elements: Iterable[int]) -> Iterable[Any]:
        window = context.window()
        for count in elements:
            yield key, count * (window.end - window.start)


class OfWindow(ProcessWindowFunction):
    """(end of the window, count)."""

    def process(self, key: int, context: Any, elements: Iterable[int]) -> Iterable[Any]:
        for count in elements:
            yield context.window().end, count


def answer(path: str, names: tuple[str, ...], build: Callable[[DataStream], DataStream]) -> Answer:
    """Runs what `build` makes of these fields of the bids."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.set_python_executable(sys.executable)
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), path).build()
    lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "bids")

    def parse(line: str) -> tuple[int, ...]:
        bid = orjson.loads(line)
        return tuple(bid[name] for name in names)

    bids = lines.map(parse, Types.TUPLE([Types.LONG() for _ in names]))
    if names[-1] == "ts":
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
        bids = bids.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(LastNumber()))
    with tempfile.TemporaryDirectory() as directory:
        told = f"{directory}/told"
        build(bids).flat_map(Tally(told), Types.LONG()).print()
        env.execute("bench")
        count, total = json.loads(Path(told).read_text())
    return count, total


def first(value: Any) -> int:
    """The key is what a tuple begins with."""
    return value[0]


def filter_and_map(path: str) -> Answer:
    def build(bids: DataStream) -> DataStream:
        dear = bids.filter(lambda bid: bid[1] > 500)
        return dear.map(lambda bid: (bid[0], bid[1] * 908 // 1_000), PAIR)

    return answer(path, ("auction", "price"), build)


def running_count(path: str) -> Answer:
    def build(bids: DataStream) -> DataStream:
        return bids.key_by(first, Types.LONG()).process(Counting(), PAIR)

    return answer(path, ("auction",), build)


def tumbling(path: str) -> Answer:
    def build(bids: DataStream) -> DataStream:
        windows = bids.key_by(first, Types.LONG()).window(
            TumblingEventTimeWindows.of(Time.seconds(10))
        )
        return windows.aggregate(CountAndSum(), Totals(), PAIR, TRIPLE)

    return answer(path, ("auction", "price", "ts"), build)


def sessions(path: str) -> Answer:
    def build(bids: DataStream) -> DataStream:
        windows = bids.key_by(first, Types.LONG()).window(
            EventTimeSessionWindows.with_gap(Time.seconds(30))
        )
        return windows.aggregate(Count(), Weight(), Types.LONG(), PAIR)

    return answer(path, ("bidder", "ts"), build)


def hot_auctions(path: str) -> Answer:
    def build(bids: DataStream) -> DataStream:
        windows = bids.key_by(first, Types.LONG()).window(
            SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(2))
        )
        counts = windows.aggregate(Count(), OfWindow(), Types.LONG(), PAIR)
        ends = counts.key_by(first, Types.LONG()).window(
            TumblingEventTimeWindows.of(Time.seconds(2))
        )
        return ends.reduce(lambda a, b: a if a[1] >= b[1] else b)

    return answer(path, ("auction", "ts"), build)


if __name__ == "__main__":
    main(numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions))
