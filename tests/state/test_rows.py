"""Entries as Arrow rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from streamlet.errors import StateTypeError
from streamlet.state.codec import Encoded, decode, encode
from streamlet.state.keys import key_group
from streamlet.state.layout import TOMBSTONE, Layout, StateSpec
from streamlet.state.rows import STATE_ROWS, by_state, decoded, encoded, layouts_of, row_keys


def rows_of(layout: Layout, layer: Mapping[Any, Any], owned: bool = False) -> pa.RecordBatch:
    (batch,) = encoded(StateSpec("s", "value", layout, owned=owned), dict(layer), 128, 100)
    return batch


def test_columns_of_each_layout() -> None:
    key = rows_of(Layout.KEY, {"k": 1}).to_pylist()[0]
    assert (key["state"], key["key_group"]) == ("s", key_group("k", 128))
    assert (key["key"], key["namespace"], key["map_key"]) == (encode("k"), b"", b"")
    entry = rows_of(Layout.MAP, {"k": {7: 1}}).to_pylist()[0]
    assert (entry["key"], entry["namespace"], entry["map_key"]) == (encode("k"), b"", encode(7))
    window = rows_of(Layout.WINDOW, {(0, 10): {"k": 1}}).to_pylist()[0]
    assert (window["key"], window["map_key"]) == (encode("k"), b"")
    assert decode(window["namespace"]) == (0, 10)
    timer = rows_of(Layout.TIMER, {(5, "k"): True}).to_pylist()[0]
    assert (timer["key"], timer["map_key"], timer["value"]) == (encode("k"), encode(5), b"")


@pytest.mark.parametrize("layout", Layout)
def test_entries_come_back(layout: Layout) -> None:
    is_flat = layout in (Layout.KEY, Layout.TIMER)
    outer = {Layout.WINDOW: (0, 10), Layout.TIMER: (5, "k")}.get(layout, "k")
    layer: dict[Any, Any] = {outer: TOMBSTONE} if is_flat else {outer: {"i": 1, "j": TOMBSTONE}}
    batch = rows_of(layout, layer)
    assert batch.schema == STATE_ROWS
    expected = {outer: TOMBSTONE} if is_flat else {(outer, "i"): 1, (outer, "j"): TOMBSTONE}
    assert dict(decoded(StateSpec("s", "value", layout), batch)) == expected
    assert layout in layouts_of(batch)


def test_rows_are_split_by_state_and_key_group() -> None:
    first = rows_of(Layout.KEY, {key: key for key in range(100)})
    columns = [pa.array(["t"] * 100), *first.columns[1:]]
    second = pa.RecordBatch.from_arrays(columns, schema=STATE_ROWS)
    both = pa.Table.from_batches([first, second]).combine_chunks().to_batches()[0]
    parts = dict(by_state(both, range(10, 50)))
    assert parts.keys() == {"s", "t"}
    for part in parts.values():
        groups = part.column("key_group").to_pylist()
        assert len(groups) == sum(10 <= key_group(key, 128) < 50 for key in range(100))
        assert all(10 <= group < 50 for group in groups)
    assert list(by_state(first.slice(0, 0), range(128))) == []


def test_state_column_may_be_dictionary_encoded() -> None:
    batch = rows_of(Layout.KEY, {"k": 1})
    column = batch.column("state").dictionary_encode()
    assert [name for name, _ in by_state(batch.set_column(0, "state", column), range(128))] == ["s"]


def test_row_key_is_namespace_key_and_map_key() -> None:
    batch = rows_of(Layout.MAP, {"k": {7: 1}})
    assert row_keys(batch).to_pylist() == [encode("k") + encode(7)]


def test_value_that_cannot_be_written_names_its_state() -> None:
    with pytest.raises(StateTypeError) as caught:
        rows_of(Layout.KEY, {"k": object()}, owned=True)
    assert "'s'" in caught.value.__notes__[0]


def test_encoded_values_are_written_as_they_are() -> None:
    assert rows_of(Layout.KEY, {"k": Encoded(b"\x90")}).to_pylist()[0]["value"] == b"\x90"
