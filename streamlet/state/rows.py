"""Entries of keyed state as Arrow rows, and rows as entries: the format of checkpoints.

layout   key   namespace      map_key     value
KEY      key                              value
MAP      key                  map key     value
WINDOW   key   (start, end)               value
TIMER    key                  timestamp
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice, repeat
from typing import Any, Final
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from streamlet.errors import InternalError, note_place
from streamlet.state.codec import decode, encode, encode_all
from streamlet.state.layout import TOMBSTONE, Layout, StateSpec

STATE_ROWS: Final = pa.schema(
    [
        pa.field("state", pa.string(), nullable=False),
        pa.field("key_group", pa.uint16(), nullable=False),
        pa.field("key", pa.binary(), nullable=False),
        pa.field("namespace", pa.binary(), nullable=False),
        pa.field("map_key", pa.binary(), nullable=False),
        pa.field("value", pa.binary(), nullable=False),
        pa.field("deleted", pa.bool_(), nullable=False),
    ]
)
"""Keyed state as a table; an empty namespace or map key means that there is none."""


def encoded(
    spec: StateSpec, layer: dict[Any, Any], max_parallelism: int, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The entries of one frozen layer, up to `batch_rows` at a time."""
    entries = _flat_entries(spec, layer) if spec.layout.is_flat else _nested_entries(spec, layer)
    while chunk := list(islice(entries, batch_rows)):
        yield _batch(spec, chunk, max_parallelism)


def decoded(spec: StateSpec, rows: pa.RecordBatch) -> Iterator[tuple[Any, Any]]:
    """Entry and value or TOMBSTONE of each row; a nested entry is `(outer, inner)`."""
    revive = spec.revive
    entry_of = _ENTRY_OF[spec.layout]
    for key, namespace, map_key, value, deleted in zip(
        *(rows.column(name).to_pylist() for name in _ENTRY_COLUMNS), strict=True
    ):
        yield entry_of(key, namespace, map_key), TOMBSTONE if deleted else revive(value)


def by_state(batch: pa.RecordBatch, key_groups: range) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of these key groups, separately for each state."""
    groups = batch.column("key_group")
    bounds = pc.min_max(groups).as_py()
    if not batch.num_rows:
        return
    if bounds["min"] < key_groups.start or bounds["max"] >= key_groups.stop:
        is_mine = pc.and_(
            pc.greater_equal(groups, key_groups.start), pc.less(groups, key_groups.stop)
        )
        batch = batch.filter(is_mine)
    states = batch.column("state").cast(pa.string())
    names = states.unique().to_pylist()
    for name in names:
        yield name, batch if len(names) == 1 else batch.filter(pc.equal(states, name))


def layouts_of(rows: pa.RecordBatch) -> frozenset[Layout]:
    """The layouts that rows of this shape can have."""
    if len(rows.column("namespace")[0].as_py()):
        return frozenset({Layout.WINDOW})
    if len(rows.column("map_key")[0].as_py()):
        return frozenset({Layout.MAP, Layout.TIMER})
    return frozenset({Layout.KEY})


def check_key_groups(rows: pa.RecordBatch, key_groups: range, state: str, place: str) -> None:
    """Raises InternalError when a key was routed to a subtask that does not own it (KG-8)."""
    bounds = pc.min_max(rows.column("key_group")).as_py()
    if bounds["min"] < key_groups.start or bounds["max"] >= key_groups.stop:
        raise InternalError(
            f"state {state!r} {place} has keys in the key groups {bounds['min']} to "
            f"{bounds['max']}, expected [{key_groups.start}, {key_groups.stop}): "
            "records were routed by another key"
        )


def row_keys(rows: pa.RecordBatch) -> pa.BinaryArray:
    """Namespace, key and map key in one: unique in a state, and prefix-free in each part."""
    parts = (rows.column(name) for name in ("namespace", "key", "map_key"))
    joined: pa.BinaryArray = pc.binary_join_element_wise(*parts, b"")
    return joined


def key_groups_of(keys: list[bytes], max_parallelism: int) -> pa.Array:
    """`keys.key_group` of encoded keys, without a Python step per key but the crc32."""
    hashes = pa.array(map(crc32, keys), pa.uint32())
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hashes = pc.bit_wise_xor(hashes, pc.shift_right(hashes, pa.scalar(shift, pa.uint32())))
        hashes = pc.multiply(hashes, pa.scalar(factor, pa.uint32()))
    hashes = pc.bit_wise_xor(hashes, pc.shift_right(hashes, pa.scalar(16, pa.uint32())))
    divisor = pa.scalar(max_parallelism, pa.uint32())
    remainders = pc.subtract(hashes, pc.multiply(pc.divide(hashes, divisor), divisor))
    return remainders.cast(pa.uint16())


_ENTRY_COLUMNS: Final = ("key", "namespace", "map_key", "value", "deleted")

_ENTRY_OF: Final[dict[Layout, Callable[[bytes, bytes, bytes], Any]]] = {
    Layout.KEY: lambda key, namespace, map_key: decode(key),
    Layout.MAP: lambda key, namespace, map_key: (decode(key), decode(map_key)),
    Layout.WINDOW: lambda key, namespace, map_key: (decode(namespace), decode(key)),
    Layout.TIMER: lambda key, namespace, map_key: (decode(map_key), decode(key)),
}


def _flat_entries(spec: StateSpec, layer: dict[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    if spec.layout is Layout.KEY:
        return zip(layer, repeat(None), layer.values())
    return ((key, timestamp, value) for (timestamp, key), value in layer.items())


def _nested_entries(spec: StateSpec, layer: dict[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """(inner, encoded outer, value): an outer is encoded once, whatever its size."""
    return chain.from_iterable(
        zip(inners, repeat(encode(outer)), inners.values()) for outer, inners in layer.items()
    )


def _batch(
    spec: StateSpec, chunk: list[tuple[Any, Any, Any]], max_parallelism: int
) -> pa.RecordBatch:
    first, second, values = zip(*chunk, strict=True)
    nothing = pa.repeat(pa.scalar(b"", pa.binary()), len(chunk))
    keys, namespaces, map_keys = nothing, nothing, nothing
    if spec.layout is Layout.MAP:
        keys, map_keys = second, encode_all(first)
    elif spec.layout is Layout.WINDOW:
        keys, namespaces = encode_all(first), second
    elif spec.layout is Layout.TIMER:
        keys, map_keys = encode_all(first), encode_all(second)
    else:
        keys = encode_all(first)
    columns = [
        pa.repeat(pa.scalar(spec.name, pa.string()), len(chunk)),
        key_groups_of(keys, max_parallelism),
        *(pa.array(part, pa.binary()) for part in (keys, namespaces, map_keys)),
        pa.array(_payloads(spec, values), pa.binary()),
        pa.array([value is TOMBSTONE for value in values], pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=STATE_ROWS)


def _payloads(spec: StateSpec, values: tuple[Any, ...]) -> list[bytes]:
    payload = spec.payload
    try:
        return [b"" if value is TOMBSTONE else payload(value) for value in values]
    except Exception as error:
        note_place(error, f"while writing state {spec.name!r} into a checkpoint")
        raise
