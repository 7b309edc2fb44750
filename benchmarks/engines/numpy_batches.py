"""numpy over batches of 65,536 rows, with the state in arrays: near the least that it can cost.

It leans on small dense integer keys, which an engine cannot count on. Windows are given out at the
end; there is no watermark and no state that outlives the process.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow.parquet as pq

from benchmarks.bids import AUCTIONS, BATCH, BIDDERS
from benchmarks.engines.told import Answer, main

GAP_MS = 30_000


def columns(path: str, *names: str) -> Iterator[list[np.ndarray]]:
    """The columns of these names, batch by batch."""
    for batch in pq.ParquetFile(path).iter_batches(BATCH, columns=list(names)):
        yield [batch.column(name).to_numpy(zero_copy_only=False) for name in names]


def filter_and_map(path: str) -> Answer:
    count = total = 0
    for (price,) in columns(path, "price"):
        euros = price[price > 500] * 908 // 1_000
        count += len(euros)
        total += int(euros.sum())
    return count, total


def running_count(path: str) -> Answer:
    counts = np.zeros(AUCTIONS, np.int64)
    count = total = 0
    for (auction,) in columns(path, "auction"):
        order = np.argsort(auction, kind="stable")
        ordered = auction[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        lengths = np.diff(np.r_[starts, len(ordered)])
        within = np.arange(len(ordered)) - np.repeat(starts, lengths) + 1
        so_far = np.empty_like(within)
        so_far[order] = within + counts[ordered]
        counts[ordered[starts]] += lengths
        count += len(so_far)
        total += int(so_far.sum())
    return count, total


def tumbling(path: str) -> Answer:
    windows: dict[int, np.ndarray] = {}
    for auction, price, ts in columns(path, "auction", "price", "ts"):
        window = ts // 10_000
        for number in np.unique(window):
            mine = window == number
            sums = windows.setdefault(int(number), np.zeros((2, AUCTIONS), np.int64))
            sums[0] += np.bincount(auction[mine], minlength=AUCTIONS)
            sums[1] += np.bincount(auction[mine], price[mine], AUCTIONS).astype(np.int64)
    return (
        sum(int(np.count_nonzero(sums[0])) for sums in windows.values()),
        sum(int(sums[1].sum()) for sums in windows.values()),
    )


def sessions(path: str) -> Answer:
    """All of a bidder's bids in order of time; a gap begins a session."""
    parts = list(columns(path, "bidder", "ts"))
    bidder = np.concatenate([part[0] for part in parts])
    ts = np.concatenate([part[1] for part in parts])
    order = np.argsort((bidder << 42) + (ts - ts.min()), kind="stable")
    bidder, ts = bidder[order], ts[order]
    begins = np.r_[True, (bidder[1:] != bidder[:-1]) | (ts[1:] - ts[:-1] > GAP_MS)]
    starts = np.flatnonzero(begins)
    lengths = np.diff(np.r_[starts, len(ts)])
    ends = ts[np.r_[starts[1:], len(ts)] - 1] + GAP_MS
    return len(starts), int((lengths * (ends - ts[starts])).sum())


def hot_auctions(path: str) -> Answer:
    slices: dict[int, np.ndarray] = {}
    for auction, ts in columns(path, "auction", "ts"):
        part = ts // 2_000
        for number in np.unique(part):
            counts = np.bincount(auction[part == number], minlength=AUCTIONS)
            slices[int(number)] = slices.get(int(number), 0) + counts
    windows = total = 0
    for last in range(min(slices), max(slices) + 5):
        parts = [slices[n] for n in range(last - 4, last + 1) if n in slices]
        windows += bool(parts)
        total += int(sum(parts).max()) if parts else 0
    return windows, total


assert BIDDERS < 2**20, "a bidder and a timestamp must fit into one integer"

if __name__ == "__main__":
    main(filter_and_map, running_count, tumbling, sessions, hot_auctions)
