"""Entries of keyed state as Arrow rows, and rows as entries: the format of checkpoints.

layout   key   namespace      map_key     value
KEY      key                              value
MAP      key                  map key     value
WINDOW   key   (start, end)               value
TIMER    key                  timestamp
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any, Final
from zlib import crc32

import numpy as np
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
    firsts, seconds, values = _columns_of(spec, layer)
    while first := list(islice(firsts, batch_rows)):
        second = list(islice(seconds, len(first)))
        yield _batch(spec, first, second, list(islice(values, len(first))), max_parallelism)


def decoded(spec: StateSpec, rows: pa.RecordBatch) -> Iterator[tuple[Any, Any]]:
    """Entry and value or TOMBSTONE of each row; a nested entry is `(outer, inner)`."""
    return zip(_entries(spec.layout, rows), _values(spec, rows), strict=True)


def _values(spec: StateSpec, rows: pa.RecordBatch) -> list[Any]:
    payloads, deleted = _pylist(rows, "value"), rows.column("deleted")
    if not pc.any(deleted).as_py():
        return spec.revive_all(payloads)
    is_gone = deleted.to_pylist()
    live = iter(spec.revive_all([p for p, gone in zip(payloads, is_gone, strict=True) if not gone]))
    return [TOMBSTONE if gone else next(live) for gone in is_gone]


def _entries(layout: Layout, rows: pa.RecordBatch) -> Iterable[Any]:
    keys = map(decode, _pylist(rows, "key"))
    if layout is Layout.KEY:
        return keys
    if layout is Layout.WINDOW:
        return zip(_decoded_distinct(rows, "namespace"), keys, strict=True)
    seconds = map(decode, _pylist(rows, "map_key"))
    if layout is Layout.TIMER:
        return zip(seconds, keys, strict=True)
    return zip(_decoded_distinct(rows, "key"), seconds, strict=True)


def _decoded_distinct(rows: pa.RecordBatch, column: str) -> list[Any]:
    """The column decoded, each of its values once: outers have many rows."""
    encoded = rows.column(column).dictionary_encode()
    outers = list(map(decode, encoded.dictionary.to_pylist()))
    return list(map(outers.__getitem__, encoded.indices.to_pylist()))


def _pylist(rows: pa.RecordBatch, column: str) -> list[bytes]:
    values: list[bytes] = rows.column(column).to_pylist()
    return values


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


def key_groups_of(keys: Sequence[bytes], max_parallelism: int) -> pa.Array:
    """`keys.key_group` of encoded keys, without a Python step per key but the crc32."""
    mixed = np.fromiter(map(crc32, keys), np.uint32, len(keys))
    mixed ^= mixed >> 16
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> 13
    mixed *= np.uint32(0xC2B2AE35)
    mixed ^= mixed >> 16
    return pa.array((mixed % np.uint32(max_parallelism)).astype(np.uint16))


def _columns_of(
    spec: StateSpec, layer: dict[Any, Any]
) -> tuple[Iterator[Any], Iterator[Any], Iterator[Any]]:
    """What `_batch` takes, entry by entry; an outer is encoded once, whatever its size."""
    if spec.layout is Layout.KEY:
        return iter(layer), repeat(b""), iter(layer.values())
    if spec.layout is Layout.TIMER:
        return map(itemgetter(1), layer), map(itemgetter(0), layer), iter(layer.values())
    return (
        chain.from_iterable(layer.values()),
        chain.from_iterable(repeat(encode(outer), len(inners)) for outer, inners in layer.items()),
        chain.from_iterable(inners.values() for inners in layer.values()),
    )


def _batch(
    spec: StateSpec,
    first: list[Any],
    second: list[Any],
    values: list[Any],
    max_parallelism: int,
) -> pa.RecordBatch:
    """Rows of entries: `first` is to be encoded, `second` is, but for a timer's timestamp."""
    has_removed = type(TOMBSTONE) in set(map(type, values))
    keys = encode_all(first)
    namespaces = map_keys = None
    if spec.layout is Layout.MAP:
        keys, map_keys = second, keys
    elif spec.layout is Layout.WINDOW:
        namespaces = second
    elif spec.layout is Layout.TIMER:
        map_keys = encode_all(second)
    columns = [
        pa.repeat(pa.scalar(spec.name, pa.string()), len(first)),
        key_groups_of(keys, max_parallelism),
        *(_binary(column, len(first)) for column in (keys, namespaces, map_keys)),
        pa.array(_payloads(spec, values, has_removed), pa.binary()),
        _deleted(values, has_removed),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=STATE_ROWS)


def _binary(column: list[bytes] | None, size: int) -> pa.Array:
    if column is None:
        return pa.repeat(pa.scalar(b"", pa.binary()), size)
    return pa.array(column, pa.binary())


def _deleted(values: list[Any], has_removed: bool) -> pa.Array:
    if not has_removed:
        return pa.repeat(pa.scalar(False), len(values))
    return pa.array([value is TOMBSTONE for value in values], pa.bool_())


def _payloads(spec: StateSpec, values: list[Any], has_removed: bool) -> list[bytes]:
    try:
        if not has_removed:
            return spec.payloads(values)
        live = iter(spec.payloads([value for value in values if value is not TOMBSTONE]))
        return [b"" if value is TOMBSTONE else next(live) for value in values]
    except Exception as error:
        note_place(error, f"while writing state {spec.name!r} into a checkpoint")
        raise
