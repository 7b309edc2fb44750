"""bytewax 0.21: its own operators, bids read as tuples in batches, one worker, no recovery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.engines.bid_files import rows
from benchmarks.engines.told import Answer, main, numbered

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rows(StatelessSourcePartition[tuple[Any, ...]]):
    """The columns of a file as tuples."""

    def __init__(self, path: str, names: tuple[str, ...]) -> None:
        self._batches = rows(path, *names)

    def next_batch(self) -> list[tuple[Any, ...]]:
        return next(self._batches)  # StopIteration is the end, as bytewax wants it


class Bids(DynamicSource[tuple[Any, ...]]):
    """The bids of one file, read by one worker."""

    def __init__(self, path: str, *names: str) -> None:
        self._path = path
        self._names = names

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Rows:
        return Rows(self._path, self._names)


class Tally(DynamicSink[int], StatelessSinkPartition[int]):
    """Counts what it gets and adds it up."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Tally:
        return self

    def write_batch(self, items: list[int]) -> None:
        self.count += len(items)
        self.total += sum(items)


def run(source: Bids, build: Callable[[Stream[Any]], Stream[int]]) -> Answer:
    flow, tally = Dataflow("bench"), Tally()
    op.output("out", build(op.input("bids", flow, source)), tally)
    run_main(flow)
    return tally.count, tally.total


def time_of(row: tuple[Any, ...]) -> datetime:
    """bytewax wants datetimes; the timestamp is the last column."""
    return EPOCH + timedelta(milliseconds=row[-1])


CLOCK = win.EventClock(
    time_of,
    wait_for_system_duration=timedelta(seconds=5),
    # Time stands still for it: else a slow run makes its own records late, and drops them.
    now_getter=lambda: EPOCH,
)


def filter_and_map(path: str) -> Answer:
    def build(bids: Stream[Any]) -> Stream[int]:
        dear = op.filter("dear", bids, lambda bid: bid[1] > 500)
        euros = op.map("euros", dear, lambda bid: (bid[0], bid[1] * 908 // 1_000))
        return op.map("number", euros, lambda result: result[1])

    return run(Bids(path, "auction", "price"), build)


def running_count(path: str) -> Answer:
    def count(so_far: int | None, _: Any) -> tuple[int, int]:
        now = (so_far or 0) + 1
        return now, now

    def build(bids: Stream[Any]) -> Stream[int]:
        keyed = op.key_on("auction", bids, lambda bid: str(bid[0]))
        counts = op.stateful_map("count", keyed, count)
        return op.map("number", counts, lambda result: result[1])

    return run(Bids(path, "auction"), build)


def tumbling(path: str) -> Answer:
    windower = win.TumblingWindower(length=timedelta(seconds=10), align_to=EPOCH)

    def build(bids: Stream[Any]) -> Stream[int]:
        keyed = op.key_on("auction", bids, lambda bid: str(bid[0]))
        totals = win.fold_window(
            "totals",
            keyed,
            CLOCK,
            windower,
            lambda: (0, 0),
            lambda so_far, bid: (so_far[0] + 1, so_far[1] + bid[1]),
            _added,
        )
        return op.map("number", totals.down, lambda result: result[1][1][1])

    return run(Bids(path, "auction", "price", "ts"), build)


def sessions(path: str) -> Answer:
    windower = win.SessionWindower(gap=timedelta(seconds=30))

    def fold(so_far: tuple[int, int, int], bid: tuple[int, int]) -> tuple[int, int, int]:
        return so_far[0] + 1, min(so_far[1], bid[1]), max(so_far[2], bid[1])

    def build(bids: Stream[Any]) -> Stream[int]:
        keyed = op.key_on("bidder", bids, lambda bid: str(bid[0]))
        counts = win.fold_window(
            "sessions",
            keyed,
            CLOCK,
            windower,
            lambda: (0, 2**62, 0),
            fold,
            lambda a, b: (a[0] + b[0], min(a[1], b[1]), max(a[2], b[2])),
        )
        return op.map("number", counts.down, _weight)

    return run(Bids(path, "bidder", "ts"), build)


def hot_auctions(path: str) -> Answer:
    windower = win.SlidingWindower(
        length=timedelta(seconds=10), offset=timedelta(seconds=2), align_to=EPOCH
    )

    def build(bids: Stream[Any]) -> Stream[int]:
        keyed = op.key_on("auction", bids, lambda bid: str(bid[0]))
        counts = win.fold_window(
            "counts", keyed, CLOCK, windower, lambda: 0, lambda n, _: n + 1, lambda a, b: a + b
        )
        by_window = op.map("by window", counts.down, lambda r: (str(r[1][0]), r[1][1]))
        most = op.max_final("most", by_window)
        return op.map("number", most, lambda result: result[1])

    return run(Bids(path, "auction", "ts"), build)


def _added(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _weight(result: tuple[str, tuple[int, tuple[int, int, int]]]) -> int:
    count, first_ms, last_ms = result[1][1]
    return count * (last_ms + 30_000 - first_ms)


if __name__ == "__main__":
    main(numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions))
