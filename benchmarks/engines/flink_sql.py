"""Flink SQL by the table environment of PyFlink: planned and run in the JVM, at parallelism 1.

The results are counted and added up by one more query on top. Mini-batches, which only that query
can use, keep it from giving an update per result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pyflink.table import EnvironmentSettings, TableEnvironment

from benchmarks.engines.told import Answer, main, numbered

SETTINGS: Final = {
    "parallelism.default": "1",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.exec.mini-batch.size": "10000",
}
BIDS: Final = """
CREATE TABLE bids (
  auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, ts BIGINT,
  happened AS TO_TIMESTAMP_LTZ(ts, 3), seen AS PROCTIME(),
  WATERMARK FOR happened AS happened - INTERVAL '5' SECOND
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json')
"""


def answer(path: str, query: str) -> Answer:
    """Runs the query on the bids, and counts and adds up its column `number`."""
    env = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name, value in SETTINGS.items():
        env.get_config().set(name, value)
    env.execute_sql(BIDS.format(path=Path(path).resolve().as_uri()))
    told = (0, 0)
    with env.execute_sql(f"SELECT count(*), sum(number) FROM ({query})").collect() as rows:
        for row in rows:  # each update replaces the one before it
            told = (row[0], row[1])
    return told


def filter_and_map(path: str) -> Answer:
    return answer(path, "SELECT auction, price * 908 / 1000 AS number FROM bids WHERE price > 500")


def running_count(path: str) -> Answer:
    return answer(
        path,
        """SELECT auction, count(*) OVER (
             PARTITION BY auction ORDER BY seen ROWS UNBOUNDED PRECEDING) AS number
           FROM bids""",
    )


def tumbling(path: str) -> Answer:
    return answer(
        path,
        """SELECT auction, window_start, count(*) AS bids, sum(price) AS number
           FROM TABLE(TUMBLE(TABLE bids, DESCRIPTOR(happened), INTERVAL '10' SECOND))
           GROUP BY auction, window_start, window_end""",
    )


def sessions(path: str) -> Answer:
    return answer(
        path,
        """SELECT bidder, count(*) * (max(ts) + 30000 - min(ts)) AS number
           FROM TABLE(
             SESSION(TABLE bids PARTITION BY bidder, DESCRIPTOR(happened), INTERVAL '30' SECOND))
           GROUP BY bidder, window_start, window_end""",
    )


def hot_auctions(path: str) -> Answer:
    return answer(
        path,
        """SELECT window_start, max(bids) AS number FROM (
             SELECT auction, window_start, window_end, count(*) AS bids
             FROM TABLE(
               HOP(TABLE bids, DESCRIPTOR(happened), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
             GROUP BY auction, window_start, window_end)
           GROUP BY window_start, window_end""",
    )


if __name__ == "__main__":
    main(numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions))
