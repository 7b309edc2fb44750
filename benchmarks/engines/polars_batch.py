"""polars over the whole file at once: a batch engine with every answer in a few expressions."""

from __future__ import annotations

import polars as pl

from benchmarks.engines.told import Answer, main, numbered

SCHEMA = {
    "auction": pl.Int64,
    "bidder": pl.Int64,
    "price": pl.Int64,
    "channel": pl.String,
    "ts": pl.Int64,
}


def scan(path: str) -> pl.LazyFrame:
    """Reads the columns that are asked for, when they are."""
    return pl.scan_ndjson(path, schema=SCHEMA) if path.endswith(".jsonl") else pl.scan_parquet(path)


def filter_and_map(path: str) -> Answer:
    dear = scan(path).filter(pl.col("price") > 500)
    euros = dear.select("auction", euro=pl.col("price") * 908 // 1_000).collect(engine="streaming")
    return euros.height, euros["euro"].sum()


def running_count(path: str) -> Answer:
    bids = scan(path).select("auction").collect(engine="streaming")
    counts = bids.with_columns(so_far=pl.int_range(1, pl.len() + 1).over("auction"))
    return counts.height, counts["so_far"].sum()


def tumbling(path: str) -> Answer:
    windows = (
        scan(path)
        .group_by(pl.col("ts") // 10_000, "auction")
        .agg(bids=pl.len(), total=pl.col("price").sum())
        .collect(engine="streaming")
    )
    return windows.height, windows["total"].sum()


def sessions(path: str) -> Answer:
    bids = scan(path).select("bidder", "ts").collect(engine="streaming").sort("bidder", "ts")
    begins = (pl.col("ts").diff() > 30_000) | (pl.col("bidder") != pl.col("bidder").shift())
    ended = bids.with_columns(session=begins.fill_null(True).cum_sum())
    ended = ended.group_by("session").agg(
        bids=pl.len(), length=pl.col("ts").max() + 30_000 - pl.col("ts").min()
    )
    return ended.height, (ended["bids"].cast(pl.Int64) * ended["length"]).sum()


def hot_auctions(path: str) -> Answer:
    slices = (
        scan(path)
        .group_by(pl.col("ts") // 2_000, "auction")
        .agg(bids=pl.len().cast(pl.Int64))
        .collect(engine="streaming")
    )
    shifted = [slices.with_columns(pl.col("ts") + later) for later in range(5)]
    counts = pl.concat(shifted).group_by("ts", "auction").agg(pl.col("bids").sum())
    most = counts.group_by("ts").agg(pl.col("bids").max())
    return most.height, most["bids"].sum()


if __name__ == "__main__":
    main(numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions))
