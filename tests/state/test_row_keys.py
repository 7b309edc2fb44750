"""Row keys of the RocksDB store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamlet.state.layout import Layout
from streamlet.state.row_keys import RowKeys, cut_outer, end_of_range

KEYS = st.recursive(
    st.one_of(
        st.none(),
        st.integers(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(),
        st.text(min_size=200, max_size=400),
        st.binary(),
        st.decimals(allow_nan=False),
        st.uuids(),
        st.dates(),
        st.just(datetime(2024, 1, 1, tzinfo=UTC)),
    ),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


@given(KEYS, KEYS)
def test_entry_comes_back_from_its_row_key(a: Any, b: Any) -> None:
    for layout, entry in (
        (Layout.KEY, a),
        (Layout.TIMER, (5, a)),
        (Layout.MAP, (a, b)),
        (Layout.WINDOW, ((0, 10), b)),
    ):
        row_keys = RowKeys(layout, b"\0\1")
        assert row_keys.entry_of(row_keys.of(entry)) == entry


@given(KEYS, KEYS, KEYS)
def test_rows_of_an_outer_are_those_with_its_prefix(a: Any, b: Any, inner: Any) -> None:
    row_keys = RowKeys(Layout.MAP, b"\0\1")
    row_key = row_keys.of((a, inner))
    assert cut_outer(row_key) == row_keys.outer_prefix(a)
    other = row_keys.outer_prefix(b)
    assert row_key.startswith(other) == (other == row_keys.outer_prefix(a))


@given(st.binary(min_size=1), st.binary())
def test_range_ends_right_above_its_prefix(prefix: bytes, more: bytes) -> None:
    end = end_of_range(prefix)
    if prefix.strip(b"\xff"):
        assert prefix + more < end
        assert not end.startswith(prefix)
