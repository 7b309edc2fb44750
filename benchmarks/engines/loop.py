"""Plain dict loops over rows: what a Python programmer writes who needs no engine.

No watermarks, no state that outlives the process: windows are given out at the end. Results have
the form that the engine's have: a dict each, or what the user's function made.
"""

from __future__ import annotations

from collections import defaultdict
from operator import itemgetter

from benchmarks.engines.bid_files import rows
from benchmarks.engines.told import Answer, main, numbered


def filter_and_map(path: str) -> Answer:
    count = total = 0
    for batch in rows(path, "auction", "price"):
        euros = [(auction, price * 908 // 1_000) for auction, price in batch if price > 500]
        count += len(euros)
        total += sum(map(itemgetter(1), euros))
    return count, total


def running_count(path: str) -> Answer:
    counts: dict[int, int] = {}
    count = total = 0
    for batch in rows(path, "auction"):
        results = []
        for (auction,) in batch:
            counts[auction] = so_far = counts.get(auction, 0) + 1
            results.append({"auction": auction, "bids": so_far})
        count += len(results)
        total += sum(map(itemgetter("bids"), results))
    return count, total


def tumbling(path: str) -> Answer:
    windows: dict[tuple[int, int], list[int]] = {}
    for batch in rows(path, "auction", "price", "ts"):
        for auction, price, ts in batch:
            key = (ts // 10_000, auction)
            window = windows.get(key)
            if window is None:
                windows[key] = [1, price]
            else:
                window[0] += 1
                window[1] += price
    results = [
        {
            "auction": auction,
            "window_start": window * 10_000,
            "window_end": window * 10_000 + 10_000,
            "bids": bids,
            "total": total,
        }
        for (window, auction), (bids, total) in windows.items()
    ]
    return len(results), sum(map(itemgetter("total"), results))


def sessions(path: str) -> Answer:
    gap_ms = 30_000
    open_sessions: dict[int, list[list[int]]] = defaultdict(list)
    for batch in rows(path, "bidder", "ts"):
        for bidder, ts in batch:
            _add(open_sessions[bidder], ts, ts + gap_ms)
    results = [
        {"bidder": bidder, "window_start": start, "window_end": end, "bids": count}
        for bidder, ended in open_sessions.items()
        for start, end, count in ended
    ]
    return len(results), sum(
        result["bids"] * (result["window_end"] - result["window_start"]) for result in results
    )


def _add(of_bidder: list[list[int]], start: int, end: int) -> None:
    last = of_bidder[-1] if of_bidder else None
    if last is not None and last[0] <= end and start <= last[1]:
        last[0], last[1], last[2] = min(last[0], start), max(last[1], end), last[2] + 1
        # It may have grown into those before it.
        while len(of_bidder) > 1 and of_bidder[-2][1] >= last[0]:
            before = of_bidder.pop(-2)
            last[0], last[2] = min(before[0], last[0]), last[2] + before[2]
        return
    touched = [s for s in of_bidder if s[0] <= end and start <= s[1]]
    for session in touched:
        of_bidder.remove(session)
    merged = [
        min([start, *(s[0] for s in touched)]),
        max([end, *(s[1] for s in touched)]),
        1 + sum(s[2] for s in touched),
    ]
    of_bidder.append(merged)
    of_bidder.sort()


def hot_auctions(path: str) -> Answer:
    slices: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for batch in rows(path, "auction", "ts"):
        for auction, ts in batch:
            slices[ts // 2_000][auction] += 1
    results = []
    for last in range(min(slices), max(slices) + 5):
        counts: dict[int, int] = defaultdict(int)
        for part in range(last - 4, last + 1):
            for auction, count in slices.get(part, {}).items():
                counts[auction] += count
        if counts:
            results.append({"window_end": last * 2_000 + 2_000, "most": max(counts.values())})
    return len(results), sum(map(itemgetter("most"), results))


WORKLOADS = numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions)

if __name__ == "__main__":
    main(WORKLOADS)
