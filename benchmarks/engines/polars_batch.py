"""polars over the whole file at once: a batch engine with every answer in a few expressions."""

from __future__ import annotations

import polars as pl

from benchmarks.engines.told import Answer, main


def filter_and_map(path: str) -> Answer:
    dear = pl.scan_parquet(path).filter(pl.col("price") > 500)
    euros = dear.select(euro=pl.col("price") * 908 // 1_000).collect(engine="streaming")
    return euros.height, euros["euro"].sum()


def running_count(path: str) -> Answer:
    counts = pl.read_parquet(path, columns=["auction"]).select(
        so_far=pl.int_range(1, pl.len() + 1).over("auction")
    )
    return counts.height, counts["so_far"].sum()


def tumbling(path: str) -> Answer:
    windows = (
        pl.scan_parquet(path)
        .group_by(pl.col("ts") // 10_000, "auction")
        .agg(bids=pl.len(), total=pl.col("price").sum())
        .collect(engine="streaming")
    )
    return windows.height, windows["total"].sum()


def sessions(path: str) -> Answer:
    bids = pl.read_parquet(path, columns=["bidder", "ts"]).sort("bidder", "ts")
    begins = (pl.col("ts").diff() > 30_000) | (pl.col("bidder") != pl.col("bidder").shift())
    numbered = bids.with_columns(session=begins.fill_null(True).cum_sum())
    ended = numbered.group_by("session").agg(
        bids=pl.len(), length=pl.col("ts").max() + 30_000 - pl.col("ts").min()
    )
    return ended.height, (ended["bids"].cast(pl.Int64) * ended["length"]).sum()


def hot_auctions(path: str) -> Answer:
    slices = (
        pl.scan_parquet(path)
        .group_by(pl.col("ts") // 2_000, "auction")
        .agg(bids=pl.len().cast(pl.Int64))
        .collect(engine="streaming")
    )
    shifted = [slices.with_columns(pl.col("ts") + later) for later in range(5)]
    counts = pl.concat(shifted).group_by("ts", "auction").agg(pl.col("bids").sum())
    most = counts.group_by("ts").agg(pl.col("bids").max())
    return most.height, most["bids"].sum()


if __name__ == "__main__":
    main(filter_and_map, running_count, tumbling, sessions, hot_auctions)
