"""The workloads of the benchmarks: each once as a plain dict loop, once as a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streamlet import StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy
from streamlet import aggregates as agg
from streamlet.connectors.files import FileSource

Record = tuple[int, int]


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
    def answer(self) -> tuple[int, int]:
        return self.count, self.total


def keyed_records(count: int, keys: int) -> list[Record]:
    """(key, 1) with keys drawn uniformly."""
    draw = Random(7).randrange
    return [(draw(keys), 1) for _ in range(count)]


def count_by_dict(records: Sequence[Record]) -> tuple[int, int]:
    """One result per record: (key, how many so far)."""
    counts: dict[int, int] = {}
    tally = Tally(lambda result: int(result[1]))
    for start in range(0, len(records), 4_096):
        results = []
        for key, one in records[start : start + 4_096]:
            counts[key] = count = counts.get(key, 0) + one
            results.append((key, count))
        tally(results)
    return tally.answer


def count_by_pipeline(records: Sequence[Record], config: dict[str, Any]) -> tuple[int, int]:
    """The same through `key_by` and `sum`."""
    env = StreamExecutionEnvironment(config)
    tally = Tally(lambda result: int(result[1]))
    env.from_collection(records).key_by(0).sum(1).uid("count").sink_to(tally)
    env.execute("running-count")
    return tally.answer


def write_bids(path: Path, count: int) -> None:
    """Bids in event time, up to 4 s out of order, as Parquet."""
    draw = Random(11).randrange
    rows = pa.table(
        {
            "auction": [min(draw(10_000), draw(10_000)) for _ in range(count)],
            "price": [draw(1_000) for _ in range(count)],
            "ts": [1_700_000_000_000 + index // 10 - draw(4_000) for index in range(count)],
        }
    )
    pq.write_table(rows, path, row_group_size=65_536)


def read_bids(path: Path) -> Iterator[list[dict[str, int]]]:
    """The bids as lists of dicts."""
    for batch in pq.ParquetFile(path).iter_batches(4_096):
        yield batch.to_pylist()


def tumble_by_dict(path: Path) -> tuple[int, int]:
    """Count and sum per auction and 10 s, in a plain loop; one result per window at the end."""
    windows: dict[tuple[int, int], list[int]] = {}
    for bids in read_bids(path):
        for bid in bids:
            key = (bid["ts"] // 10_000 * 10_000, bid["auction"])
            window = windows.get(key)
            if window is None:
                windows[key] = [1, bid["price"]]
            else:
                window[0] += 1
                window[1] += bid["price"]
    tally = Tally(lambda result: int(result["total"]))
    tally(
        [
            {"auction": auction, "window_start": start, "bids": bids, "total": total}
            for (start, auction), (bids, total) in windows.items()
        ]
    )
    return tally.answer


def tumble_by_pipeline(path: Path, config: dict[str, Any]) -> tuple[int, int]:
    """The same through `window` and `agg`."""
    env = StreamExecutionEnvironment(config)
    tally = Tally(lambda result: int(result["total"]))
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("5s").with_timestamp_assigner("ts")
    bids = env.from_source(FileSource.parquet(path), strategy, "bids")
    windows = bids.key_by("auction").window(TumblingEventTimeWindows.of("10s"))
    windows.agg(bids=agg.count(), total=agg.sum("price")).uid("totals").sink_to(tally)
    env.execute("tumbling-total")
    return tally.answer
