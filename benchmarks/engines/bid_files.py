"""How loops, and peers that have no readers, get bids out of a file: as tuples or as columns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

ROWS: int = 4_096
"""Tuples in a batch."""
COLUMN_ROWS: int = 65_536
"""Rows in a batch of columns."""
CHUNK_BYTES: int = 4_096 * 90
JSON_BLOCK_BYTES: int = COLUMN_ROWS * 90


def rows(path: str, *names: str) -> Iterator[list[tuple[Any, ...]]]:
    """The columns of these names as tuples, in batches."""
    return _json_rows(path, names) if path.endswith(".jsonl") else _parquet_rows(path, names)


def columns(path: str, *names: str) -> Iterator[list[pa.Array]]:
    """The columns of these names, batch by batch."""
    if path.endswith(".jsonl"):
        # The parser makes columns of all fields unless it is told that the others do not matter.
        schema = pa.schema([(name, pa.int64()) for name in names])
        batches = pj.open_json(
            path,
            pj.ReadOptions(use_threads=False, block_size=JSON_BLOCK_BYTES),
            pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    else:
        batches = pq.ParquetFile(path).iter_batches(COLUMN_ROWS, columns=list(names))
    for batch in batches:
        yield [batch.column(name) for name in names]


def _parquet_rows(path: str, names: tuple[str, ...]) -> Iterator[list[tuple[Any, ...]]]:
    for batch in pq.ParquetFile(path).iter_batches(ROWS, columns=list(names)):
        values = (batch.column(name).to_numpy(zero_copy_only=False).tolist() for name in names)
        yield list(zip(*values, strict=True))


def _json_rows(path: str, names: tuple[str, ...]) -> Iterator[list[tuple[Any, ...]]]:
    decode = _decoder(names).decode_lines
    astuple = msgspec.structs.astuple
    with open(path, "rb") as file:
        while lines := file.readlines(CHUNK_BYTES):
            yield list(map(astuple, decode(b"".join(lines))))


@cache
def _decoder(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """One that makes nothing of the other fields."""
    return msgspec.json.Decoder(msgspec.defstruct("Bid", [(name, int) for name in names], gc=False))
