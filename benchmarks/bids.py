"""The records that every engine is given: bids of an auction house, out of order, in one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START_MS: Final = 1_700_000_000_000
PER_SECOND: Final = 10_000
"""Bids in a second of event time."""
LATE_MS: Final = 4_000
"""A bid is at most so far behind the latest one before it."""
AUCTIONS: Final = 10_000
BIDDERS: Final = 50_000
CHANNELS: Final = np.array(["app", "web", "phone", "partner"])
BATCH: Final = 65_536


def batches(rows: int, seed: int = 11) -> Iterator[pa.RecordBatch]:
    """Bids in batches of BATCH rows; few auctions and bidders have most of the bids."""
    random = np.random.default_rng(seed)
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        now_ms = START_MS + (first + np.arange(count)) * 1_000 // PER_SECOND
        yield pa.RecordBatch.from_pydict(
            {
                "auction": _zipf_like(random, AUCTIONS, count),
                "bidder": _zipf_like(random, BIDDERS, count),
                "price": random.integers(1, 1_000, count),
                "channel": CHANNELS[random.integers(0, len(CHANNELS), count)],
                "ts": now_ms - random.integers(0, LATE_MS, count),
            }
        )


def write_parquet(path: Path, rows: int) -> None:
    """One row group per batch."""
    writer: pq.ParquetWriter | None = None
    for batch in batches(rows):
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd")
        writer.write_batch(batch)
    if writer is not None:
        writer.close()


def write_json_lines(path: Path, rows: int) -> None:
    """The same bids, for engines that read rows of text."""
    import msgspec

    encode = msgspec.json.Encoder().encode_lines
    with path.open("wb") as file:
        for batch in batches(rows):
            file.write(encode(batch.to_pylist()))


def _zipf_like(random: np.random.Generator, kinds: int, count: int) -> np.ndarray:
    """Numbers below `kinds`; the first tenth of them has about half of the draws."""
    return (kinds * random.random(count) ** 3.3).astype(np.int64)
