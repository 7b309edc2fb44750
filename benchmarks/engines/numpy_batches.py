"""numpy over batches of 65,536 rows, with the state in arrays: near the least that it can cost.

Keys may be any number: each batch is dictionary-encoded, and its distinct keys get numbers that
say where in the arrays their state is. There is no watermark and no state that outlives the
process; windows are given out at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from benchmarks.engines.bid_files import columns
from benchmarks.engines.told import Answer, main, numbered

GAP_MS = 30_000


class Keys:
    """Numbers from 0 for the keys seen so far."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def encode(self, column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Which of the batch's distinct keys each row has, and the numbers of those keys."""
        encoded = column.dictionary_encode()
        numbers = self._numbers
        keys = encoded.dictionary.to_pylist()
        distinct = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
        return encoded.indices.to_numpy(), distinct


def grown(state: np.ndarray, size: int) -> np.ndarray:
    """The array, or one at least twice as large, so that there is room for `size` keys."""
    if size <= len(state):
        return state
    return np.concatenate([state, np.zeros(max(size, len(state)), state.dtype)])


def filter_and_map(path: str) -> Answer:
    count = total = 0
    for auction, price in columns(path, "auction", "price"):
        prices = price.to_numpy()
        dear = prices > 500
        auctions, euros = auction.to_numpy()[dear], prices[dear] * 908 // 1_000
        count += len(auctions)
        total += int(euros.sum())
    return count, total


def running_count(path: str) -> Answer:
    keys, counts = Keys(), np.zeros(1_024, np.int64)
    count = total = 0
    for (auction,) in columns(path, "auction"):
        indices, distinct = keys.encode(auction)
        counts = grown(counts, len(keys))
        # Sixteen bits are sorted by radix, and a batch has no more keys than rows.
        order = np.argsort(indices.astype(np.uint16), kind="stable")
        lengths = np.bincount(indices, minlength=len(distinct))
        firsts = np.cumsum(lengths) - lengths
        within = np.arange(1, len(indices) + 1) + np.repeat(counts[distinct] - firsts, lengths)
        so_far = np.empty_like(within)
        so_far[order] = within
        counts[distinct] += lengths
        count += len(so_far)
        total += int(so_far.sum())
    return count, total


def tumbling(path: str) -> Answer:
    keys = Keys()
    windows: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    empty = np.zeros(1_024, np.int64)
    for auction, price, ts in columns(path, "auction", "price", "ts"):
        indices, distinct = keys.encode(auction)
        prices = price.to_numpy()
        for number, mine in parts(ts.to_numpy() // 10_000):
            of_window = indices[mine]
            bids, totals = windows.get(number, (empty.copy(), empty.copy()))
            bids, totals = grown(bids, len(keys)), grown(totals, len(keys))
            bids[distinct] += np.bincount(of_window, minlength=len(distinct))
            sums = np.bincount(of_window, prices[mine], len(distinct))
            totals[distinct] += sums.astype(np.int64)
            windows[number] = bids, totals
    return (
        sum(int(np.count_nonzero(bids)) for bids, _ in windows.values()),
        sum(int(totals.sum()) for _, totals in windows.values()),
    )


def parts(numbers: np.ndarray) -> Sequence[tuple[int, np.ndarray]]:
    """Each number that occurs, and which rows have it; the numbers lie close together."""
    first, last = int(numbers.min()), int(numbers.max())
    return [(number, numbers == number) for number in range(first, last + 1)]


def sessions(path: str) -> Answer:
    """The latest session of each bidder is in arrays; it is put aside where a new one begins.

    A bid that is out of order may still join the two: they are when windows are given out.
    """
    keys, aside = Keys(), []
    starts = lasts = counts = np.zeros(1_024, np.int64)
    for bidder, ts in columns(path, "bidder", "ts"):
        indices, distinct = keys.encode(bidder)
        starts, lasts, counts = (grown(of, len(keys)) for of in (starts, lasts, counts))
        of_batch, start, last, count = pieces(indices, ts.to_numpy())
        of_key = distinct[of_batch]
        is_first = np.r_[True, of_key[1:] != of_key[:-1]]
        is_last = np.r_[is_first[1:], True]
        is_open = is_first & (counts[of_key] > 0)
        goes_on = is_open & (start - lasts[of_key] <= GAP_MS)
        ended = of_key[is_open & ~goes_on]
        aside.append((ended, starts[ended], lasts[ended], counts[ended]))
        on = of_key[goes_on]
        start[goes_on] = np.minimum(start[goes_on], starts[on])
        last[goes_on] = np.maximum(last[goes_on], lasts[on])
        count[goes_on] += counts[on]
        aside.append((of_key[~is_last], start[~is_last], last[~is_last], count[~is_last]))
        kept = of_key[is_last]
        starts[kept], lasts[kept], counts[kept] = start[is_last], last[is_last], count[is_last]
    still = np.flatnonzero(counts)
    aside.append((still, starts[still], lasts[still], counts[still]))
    return joined(*(np.concatenate(of) for of in zip(*aside, strict=True)))


def joined(key: np.ndarray, start: np.ndarray, last: np.ndarray, count: np.ndarray) -> Answer:
    """Sessions of one key that are no further apart than the gap are one."""
    order = np.lexsort((start, key))
    key, start, last, count = key[order], start[order], last[order], count[order]
    begins = np.r_[True, (key[1:] != key[:-1]) | (start[1:] - last[:-1] > GAP_MS)]
    firsts = np.flatnonzero(begins)
    ends = np.maximum.reduceat(last, firsts) + GAP_MS
    return len(firsts), int((np.add.reduceat(count, firsts) * (ends - start[firsts])).sum())


def pieces(indices: np.ndarray, ts: np.ndarray) -> tuple[np.ndarray, ...]:
    """The sessions of one batch in order of key and time: key, first and last time, bids."""
    first_ms = int(ts.min())
    # Key and time in one number: plain numbers are what numpy sorts fastest.
    ordered = np.sort((indices.astype(np.int64) << 42) | (ts - first_ms))
    begins = np.flatnonzero(np.r_[True, np.diff(ordered) > GAP_MS])
    lengths = np.diff(np.r_[begins, len(ordered)])
    times = (ordered & ((1 << 42) - 1)) + first_ms
    return ordered[begins] >> 42, times[begins], times[begins + lengths - 1], lengths


def hot_auctions(path: str) -> Answer:
    keys = Keys()
    slices: dict[int, np.ndarray] = {}
    for auction, ts in columns(path, "auction", "ts"):
        indices, distinct = keys.encode(auction)
        for number, mine in parts(ts.to_numpy() // 2_000):
            counts = grown(slices.get(number, np.zeros(1_024, np.int64)), len(keys))
            counts[distinct] += np.bincount(indices[mine], minlength=len(distinct))
            slices[number] = counts
    windows = total = 0
    for last in range(min(slices), max(slices) + 5):
        counts = np.zeros(len(keys), np.int64)
        for number in range(last - 4, last + 1):
            part = slices.get(number, counts[:0])[: len(keys)]
            counts[: len(part)] += part
        windows += bool(counts.any())
        total += int(counts.max())
    return windows, total


WORKLOADS = numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions)

if __name__ == "__main__":
    main(WORKLOADS)
