"""DuckDB over the whole file at once: a batch engine with every answer in one query."""

from __future__ import annotations

import duckdb

from benchmarks.engines.told import Answer, main, numbered

COLUMNS = "{auction: 'BIGINT', bidder: 'BIGINT', price: 'BIGINT', channel: 'VARCHAR', ts: 'BIGINT'}"


def answer(path: str, query: str) -> Answer:
    """Runs the query on the bids, and counts and adds up what is in its column `number`."""
    table = f"read_parquet('{path}')"
    if path.endswith(".jsonl"):
        table = f"read_json('{path}', format = 'newline_delimited', columns = {COLUMNS})"
    connection = duckdb.connect(config={"threads": 1})
    connection.sql(f"CREATE VIEW bids AS FROM {table}")
    columns = connection.sql(query).fetchnumpy()
    return len(columns["number"]), columns["number"].sum()


def filter_and_map(path: str) -> Answer:
    return answer(path, "SELECT auction, price * 908 // 1000 AS number FROM bids WHERE price > 500")


def running_count(path: str) -> Answer:
    return answer(
        path,
        """SELECT auction, count(*) OVER (PARTITION BY auction ROWS UNBOUNDED PRECEDING) AS number
           FROM bids""",
    )


def tumbling(path: str) -> Answer:
    return answer(
        path,
        """SELECT ts // 10000 AS win, auction, count(*) AS bids, sum(price)::BIGINT AS number
           FROM bids GROUP BY ALL""",
    )


def sessions(path: str) -> Answer:
    return answer(
        path,
        """WITH marked AS (
             SELECT bidder, ts, coalesce(ts - lag(ts) OVER times > 30000, false) AS begins
             FROM bids WINDOW times AS (PARTITION BY bidder ORDER BY ts)
           ), numbered AS (
             SELECT bidder, ts, count_if(begins) OVER (
               PARTITION BY bidder ORDER BY ts) AS session
             FROM marked
           )
           SELECT bidder, session, count(*) * (max(ts) + 30000 - min(ts)) AS number
           FROM numbered GROUP BY ALL""",
    )


def hot_auctions(path: str) -> Answer:
    return answer(
        path,
        """WITH slices AS (
             SELECT ts // 2000 AS slice, auction, count(*) AS bids FROM bids GROUP BY ALL
           ), counts AS (
             SELECT slice + later AS win, auction, sum(bids)::BIGINT AS bids
             FROM slices, (SELECT unnest([0, 1, 2, 3, 4]) AS later) GROUP BY ALL
           )
           SELECT win, max(bids) AS number FROM counts GROUP BY ALL""",
    )


if __name__ == "__main__":
    main(numbered(filter_and_map, running_count, tumbling, sessions, hot_auctions))
