"""Batches of columns: to rows and back, and their keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.columns import (
    dicts_of,
    encode_fields,
    records_of,
    to_columns,
    to_rows,
    uniform_parts,
    values_of,
)
from streamlet.elements import ColumnBatch, KeyColumn, RowBatch
from streamlet.errors import RecordError
from streamlet.state.key_index import keys_array

NANOS = pa.timestamp("ns", tz="UTC")
MICRO = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)


def columns(**fields: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(fields)


def keyed() -> ColumnBatch:
    keys = KeyColumn(np.array([0, 1, 0]), keys_array(["a", "b"]))
    return ColumnBatch(columns(n=[1, 2, 3]), np.array([10, 20, 30]), keys)


def test_columns_become_dicts_with_their_timestamps_and_keys() -> None:
    rows = to_rows(keyed())
    assert rows == RowBatch([{"n": 1}, {"n": 2}, {"n": 3}], [10, 20, 30], ["a", "b", "a"])
    assert rows.timestamps is not None
    assert {type(stamp) for stamp in rows.timestamps} == {int}


def test_timestamps_that_are_a_column_are_its_very_values() -> None:
    records = columns(at=[10_000, 20_000, 30_000], n=[1, 2, 3])
    batch = ColumnBatch(records, records.column("at").to_numpy())
    is_kept = np.array([True, False, True])
    for part in (
        batch,
        batch.slice(1, 3),
        batch.filter(is_kept),
        batch.filter(is_kept).slice(1, 2),
    ):
        rows = to_rows(part)
        assert rows.timestamps == [record["at"] for record in rows.values]
    rows = to_rows(batch.slice(1, 3))
    assert rows.timestamps is not None
    assert rows.timestamps[0] is rows.values[0]["at"]


def test_timestamps_that_lie_elsewhere_are_their_own() -> None:
    records = columns(at=[10, 20, 30, 40])
    stamps = records.column("at").to_numpy()
    assert to_rows(ColumnBatch(records, stamps + 1)).timestamps == [11, 21, 31, 41]
    assert to_rows(ColumnBatch(records.slice(0, 2), stamps[::2])).timestamps == [10, 30]
    assert to_rows(ColumnBatch(records.slice(0, 2), stamps[2:])).timestamps == [30, 40]


def test_no_rows_have_no_timestamps_to_look_for() -> None:
    nothing = pa.Array.from_buffers(pa.int64(), 0, [None, None])
    records = pa.RecordBatch.from_arrays([nothing], ["at"])
    assert to_rows(ColumnBatch(records, np.array([], np.int64))) == RowBatch([], [])


def test_rows_stay_the_rows_they_are() -> None:
    batch = RowBatch([1])
    assert to_rows(batch) is batch


def test_slice_and_filter_keep_records_stamps_and_keys_together() -> None:
    assert to_rows(keyed().slice(1, 9)) == to_rows(keyed()).slice(1, 3)
    assert to_rows(keyed().slice(0, 2)) == to_rows(keyed()).slice(0, 2)
    assert to_rows(keyed().filter(np.array([True, False, True]))) == to_rows(keyed()).take([0, 2])


def test_slice_of_everything_is_the_batch_itself() -> None:
    batch = keyed()
    assert batch.slice(0, 3) is batch


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([1, 2], pa.int8()), [1, 2]),
        (pa.array([1, None]), [1, None]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([1.5, -0.0], pa.float32()), [1.5, -0.0]),
        (pa.array([True, None]), [True, None]),
        (pa.nulls(2), [None, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([date(2024, 1, 1)]), [date(2024, 1, 1)]),
        (pa.array([Decimal("1.10")]), [Decimal("1.10")]),
        (pa.array([[1], None, []]), [[1], None, []]),
        (pa.chunked_array([[1], [2, 3]]), [1, 2, 3]),
        (pa.chunked_array([], pa.int64()), []),
        (pa.array([1, 2, 3]).slice(1), [2, 3]),
    ],
)
def test_column_becomes_python_values(column: Any, values: list[Any]) -> None:
    assert values_of(column) == values
    assert list(map(type, values_of(column))) == list(map(type, values))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([1_501], NANOS), MICRO),
        (pa.array([1_501], NANOS).dictionary_encode(), MICRO),
        (pa.array([[1_501]], pa.list_(NANOS)), [MICRO]),
        (pa.array([[1_501]], pa.large_list(NANOS)), [MICRO]),
        (pa.array([{"a": 1_501}], pa.struct([("a", NANOS)])), {"a": MICRO}),
        (pa.array([[("k", 1_501)]], pa.map_(pa.string(), NANOS)), [("k", MICRO)]),
        (pa.array([1_501], pa.time64("ns")), time(0, 0, 0, 1)),
        (pa.array([1_501], pa.duration("ns")), timedelta(microseconds=1)),
    ],
)
def test_nanoseconds_are_cut_at_any_depth(column: pa.Array, value: Any) -> None:
    assert values_of(column) == [value]


def test_rows_of_no_columns_are_empty_dicts() -> None:
    assert records_of(columns(a=[1, 2]).select([])) == [{}, {}]


def test_dicts_become_columns_and_a_field_that_one_lacks_is_null() -> None:
    made = to_columns([{"a": 1}, {"b": "x", "a": None}], "filter")
    assert made.to_pydict() == {"a": [1, None], "b": [None, "x"]}


def test_record_with_a_default_for_what_it_lacks_is_left_alone() -> None:
    record = defaultdict(int, a=1)
    made = to_columns([{"b": 1}, record], "filter")
    assert made.to_pydict() == {"b": [1, None], "a": [None, 1]}
    assert record == {"a": 1}


class Bid(NamedTuple):
    auction: int
    price: float


def test_named_tuples_have_fields_as_dicts_have() -> None:
    records = [Bid(1, 2.5), {"a": 1}]
    assert dicts_of(records, "'keep'") == [{"auction": 1, "price": 2.5}, {"a": 1}]


def test_dicts_stay_the_very_dicts() -> None:
    records = [{"a": 1}, {"a": 2}]
    assert dicts_of(records, "'keep'") is records


@pytest.mark.parametrize("record", [5, "text", ("a", 1), None, {}])
def test_only_records_with_fields_can_become_columns(record: Any) -> None:
    with pytest.raises(RecordError, match=f"'keep' works on columns.*{type(record).__name__}"):
        dicts_of([{"a": 1}, record], "'keep'")


@pytest.mark.parametrize("value", [object(), 2**70, (1, "x")])
def test_values_that_fit_into_no_column_are_refused(value: Any) -> None:
    with pytest.raises(RecordError, match=r"'keep' works on columns.*the field 'a'"):
        to_columns([{"n": 1, "a": value}], "'keep'")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.5),
        (True, 1),
        ("x", b"x"),
        (Decimal("1.5"), 1),
        (date(2024, 1, 1), datetime(2024, 1, 1, 12, tzinfo=UTC)),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),  # noqa: DTZ001 - the point
        ([1], [1.5]),
        ({"x": 1}, {"y": 1}),
        ({"x": 1}, {"x": "1"}),
    ],
)
def test_records_whose_fields_differ_in_type_never_share_columns(one: Any, other: Any) -> None:
    """Or 1 would be 1.0 in one batch and 1 in another, and 1 / 2 something else."""
    values = [one, one, other, None, one]
    records = [{"a": value} for value in values]
    parts = [records[rows] for rows in uniform_parts(records)]
    assert parts == [[{"a": one}] * 2, [{"a": other}, {"a": None}], [{"a": one}]]
    alone = [records_of(to_columns([{"a": value}], "p")) for value in (one, other)]
    assert alone == [records_of(to_columns(part[:1], "p")) for part in parts[:2]]


def test_batch_of_one_type_per_field_stays_whole() -> None:
    east = timezone(timedelta(hours=2))
    records: list[dict[str, Any]] = [
        {"a": 1, "b": None, "at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"a": None, "b": [1], "at": datetime(2024, 1, 1, tzinfo=east)},
        {"b": [2, 3], "at": None, "a": 5},
    ]
    assert list(uniform_parts(records)) == [slice(0, 3)]


def test_records_whose_fields_differ_never_share_columns() -> None:
    """Or what one lacks would be null in company, and not be there when it is alone."""
    some: list[dict[str, Any]] = [{"a": 1, "b": 2}, {"b": 3, "a": 4}, {"a": 5}]
    records = [*some, {"a": 6, "b": None}, {"a": 7, "c": 8}]
    parts = [records[rows] for rows in uniform_parts(records)]
    assert parts == [records[:2], records[2:3], records[3:4], records[4:]]


FIELD = st.one_of(st.none(), st.integers(0, 9), st.floats(0, 9), st.text(max_size=2))


@pytest.mark.slow
@given(st.lists(st.fixed_dictionaries({}, optional={"a": FIELD, "b": FIELD}), min_size=1))
def test_uniform_parts_are_the_batch_in_order_and_each_keeps_its_values(
    records: list[dict[str, Any]],
) -> None:
    records = [{"n": n, **record} for n, record in enumerate(records)]
    parts = [records[rows] for rows in uniform_parts(records)]
    assert [record for part in parts for record in part] == records
    for part in parts:
        back = records_of(to_columns(part, "p"))
        assert back == part
        for record, made in zip(part, back, strict=True):
            assert [type(made[name]) for name in record] == [type(v) for v in record.values()]


KEY_COLUMNS: list[Callable[[], pa.Array]] = [
    lambda: pa.nulls(3),
    lambda: pa.array([True, None, False, True]),
    lambda: pa.array(["x", "y", None, "x"]),
    lambda: pa.array(["x", "y", "x"], pa.string_view()),
    lambda: pa.array([1, 2, 1], pa.uint8()),
    lambda: pa.array([0.0, -0.0, 1.5]),
    lambda: pa.array([b"ab", b"cd", b"ab"], pa.binary(2)),
    lambda: pa.array([1, 86_400_000, 2], pa.date64()),
    lambda: pa.array([1_001, 1_002, 5_000], NANOS),
    lambda: pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), pa.array(["x", "x", None])),
    lambda: pa.array([], pa.string()),
]


@pytest.mark.parametrize("make", KEY_COLUMNS)
def test_codes_say_the_value_of_each_row(make: Callable[[], pa.Array]) -> None:
    column = make()
    codes, distinct = encode_fields(pa.RecordBatch.from_arrays([column], ["k"]), ["k"])
    assert distinct[codes].tolist() == values_of(column)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "x", "y"]), st.integers(0, 2), st.sampled_from([None, True])
        )
    )
)
def test_codes_of_several_fields_say_the_tuple_of_each_row(rows: list[Any]) -> None:
    kinds = [pa.string(), pa.int64(), pa.bool_()]
    arrays = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds)]
    records = pa.RecordBatch.from_arrays(arrays, ["a", "b", "c"])
    codes, distinct = encode_fields(records, ["a", "b", "c"])
    assert distinct[codes].tolist() == rows
    assert len(set(distinct)) == len(distinct)


def test_no_field_is_one_key_for_all_rows() -> None:
    codes, distinct = encode_fields(columns(a=[1, 2]), [])
    assert (codes.tolist(), distinct.tolist()) == ([0, 0], [None])
