"""The readable form of state rows in savepoints: keys and values as JSON beside the bytes."""

from __future__ import annotations

from typing import Final

import msgspec
import pyarrow as pa

from streamlet.state.codec import decode
from streamlet.state.rows import STATE_ROWS

_PARTS: Final = ("key", "namespace", "map_key", "value")
SAVEPOINT_ROWS: Final = pa.schema(
    [
        pa.field("operator", pa.string(), nullable=False),
        *STATE_ROWS,
        *(pa.field(f"{part}_json", pa.string()) for part in _PARTS),
    ]
)
"""STATE_ROWS, the operator's uid before them and JSON behind; a restore reads STATE_ROWS alone."""


def readable(rows: pa.RecordBatch, operator: str) -> pa.RecordBatch:
    """The rows as SAVEPOINT_ROWS. What only the job's own codec can read has null as its JSON."""
    columns = [pa.array([operator] * rows.num_rows, pa.string()), *rows.columns]
    for part in _PARTS:
        payloads = rows.column(part).to_pylist()
        columns.append(pa.array([_json_of(payload) for payload in payloads], pa.string()))
    return pa.RecordBatch.from_arrays(columns, schema=SAVEPOINT_ROWS)


def _json_of(payload: bytes) -> str | None:
    if not payload:
        return None
    try:
        value = decode(payload)
    except Exception:  # a codec of the user's, or a class that is not loaded: the bytes remain
        return None
    return msgspec.json.encode(value, enc_hook=str).decode()
