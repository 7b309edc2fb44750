"""dear_bids.py against a dict of minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamlet.testing import TripleRun
from tests.e2e.command import CommandLine, Result
from tests.e2e.golden import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

RunExample = Callable[..., Result]
TripleRunExample = Callable[..., TripleRun]
Minutes: TypeAlias = dict[tuple[int, int], tuple[int, float]]
MINUTE_MS = 60_000


def written(path: Path, count: int) -> list[dict[str, Any]]:
    """Bids by time and then up to 4 s late, in row groups of a few; some have no price."""
    random = Random(7)
    made: list[dict[str, Any]] = []
    for number in range(count):
        price = None if random.random() < 0.1 else random.randrange(20_000)
        made.append({"auction": random.randrange(9), "price": price, "ts": number * 400})
    made.sort(key=lambda bid: bid["ts"] + random.randrange(4_000))
    schema = pa.schema(
        [("auction", pa.int64()), ("price", pa.int32()), ("ts", pa.timestamp("ms", "UTC"))]
    )
    pq.write_table(pa.Table.from_pylist(made, schema), path, row_group_size=200)
    return made


def per_minute(bids: list[dict[str, Any]]) -> Minutes:
    """(auction, start of the minute) -> (bids, dearest), computed without the engine."""
    minutes: Minutes = {}
    for bid in bids:
        if (bid["price"] or 0) >= 10_000:
            window = bid["auction"], bid["ts"] // MINUTE_MS * MINUTE_MS
            count, dearest = minutes.get(window, (0, 0.0))
            minutes[window] = count + 1, max(dearest, bid["price"] * 0.00908)
    return minutes


def by_window(rows: list[dict[str, Any]]) -> Minutes:
    minutes = {(row["auction"], row["window_start"]): (row["bids"], row["dearest"]) for row in rows}
    assert len(minutes) == len(rows)
    return minutes


@pytest.mark.parametrize("words", [["-p", "1"], ["-p", "3", "-D", "state.backend.type=rocksdb"]])
def test_each_minute_of_an_auction_is_counted_once(
    run_example: RunExample, tmp_path: Path, words: list[str]
) -> None:
    bids = written(tmp_path / "bids.parquet", 3_000)
    run_example("dear_bids", *words, "--", tmp_path / "bids.parquet", tmp_path / "out")
    assert by_window(pq.read_table(tmp_path / "out").to_pylist()) == per_minute(bids)


def test_minutes_are_the_same_in_all_three_ways(
    triple_run_example: TripleRunExample, tmp_path: Path
) -> None:
    bids = written(tmp_path / "bids.parquet", 1_500)
    run = triple_run_example("dear_bids", tmp_path / "bids.parquet", tmp_path / "out")
    assert by_window(run.outputs["out"]) == per_minute(bids)


def test_bids_stay_columns_up_to_the_windows(tmp_path: Path) -> None:
    written(tmp_path / "bids.parquet", 1)
    script = ROOT / "examples" / "dear_bids.py"
    done = CommandLine(tmp_path)("plan", script, "--", tmp_path / "bids.parquet", tmp_path / "out")
    assert done.code == 0, done.err
    assert "=> [1]  hash by auction" in done.out
    assert "hash by auction, columns" in done.out
