"""A running `agg` gives the same for batches of columns as for the records in them."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.columns import records_of
from streamlet.elements import ColumnBatch, KeyColumn
from streamlet.operators.keyed import AggOperator
from streamlet.operators.operator import Output
from streamlet.state.key_index import keys_array
from streamlet.testing import OperatorHarness

NAN = float("nan")
PRICES = [
    (pa.int64(), st.one_of(st.none(), st.integers(-5, 5))),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.one_of(st.none(), st.floats(-9, 9), st.sampled_from([NAN, -0.0, 1e308]))),
    (pa.uint8(), st.integers(0, 255)),
    (pa.bool_(), st.booleans()),
]
KEYS = [
    (pa.int32(), st.integers(0, 3)),
    (pa.string(), st.sampled_from("abc")),
    (pa.float64(), st.sampled_from([0.0, 1.0, 2.5])),
    (pa.bool_(), st.one_of(st.none(), st.booleans())),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
]
NAMED = {
    "bids": agg.count(),
    "total": agg.sum("price"),
    "least": agg.min("price"),
    "most": agg.max("price"),
    "average": agg.mean("price"),
    "first": agg.first("price"),
    "last": agg.last("price"),
}
names_to_aggregate = st.lists(st.sampled_from(sorted(NAMED)), min_size=1, unique=True)


def operator(names: Any = ("bids", "total"), key_fields: Any = ("auction",)) -> Any:
    named = {name: NAMED[name] for name in names}
    return lambda: AggOperator(NamedAggregates(named), key_fields)


@st.composite
def batches(draw: Any) -> Any:
    """Batches with one type of key, and prices of all types."""
    key_type, keys = draw(st.sampled_from(KEYS))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        price_type, prices = draw(st.sampled_from(PRICES))
        rows = draw(st.lists(st.tuples(keys, prices), min_size=1, max_size=8))
        auctions, values = zip(*rows, strict=True)
        found.append(
            pa.record_batch(
                {"auction": pa.array(auctions, key_type), "price": pa.array(values, price_type)}
            )
        )
    return found


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(names_to_aggregate, batches(), st.data())
def test_columns_and_rows_mixed_and_restored_give_what_rows_give(
    names: Any, all_records: Any, data: Any
) -> None:
    make = operator(names)
    with (
        OperatorHarness(make, key_by="auction") as rows,
        OperatorHarness(make, key_by="auction") as mixed,
    ):
        for records in all_records:
            stamps = list(range(records.num_rows))
            rows.send_batch(records_of(records), stamps)
            if data.draw(st.booleans()):
                mixed.send_columns(records, stamps)
            else:
                mixed.send_batch(records_of(records), stamps)
            assert repr(mixed.output_with_timestamps()) == repr(rows.output_with_timestamps())
            if data.draw(st.booleans()):
                mixed.restore(mixed.snapshot())
        assert mixed.state_size() == rows.state_size()


@pytest.mark.parametrize("backend", ["heap", pytest.param("rocksdb", marks=pytest.mark.slow)])
def test_state_goes_over_from_columns_to_rows_and_back(backend: str) -> None:
    records = pa.record_batch({"auction": [7, 8, 7], "price": [1, 2, 3]})
    with OperatorHarness(operator(), key_by="auction", backend=backend) as harness:
        harness.send_columns(records)
        harness.restore(harness.snapshot())
        harness.send_batch(records_of(records))
        harness.restore(harness.snapshot())
        harness.send_columns(records)
        found = [(r["auction"], r["bids"], r["total"]) for r in harness.output()]
    assert found[:3] == [(7, 1, 1), (8, 1, 2), (7, 2, 4)]
    assert found[-3:] == [(7, 5, 9), (8, 3, 6), (7, 6, 12)]


def sent(make: Any, records: pa.RecordBatch, key_by: Any = "auction") -> Any:
    with OperatorHarness(make, key_by=key_by) as harness:
        harness.send_columns(records)
        return harness.output()


def test_results_of_columns_are_columns() -> None:
    found = Output()
    with OperatorHarness(operator(), key_by="auction") as harness:
        harness._operator.process_batch(0, keyed([1, 0], ["a", "b"]), found)
    [batch] = found.take()
    assert isinstance(batch, ColumnBatch)
    assert batch.records.schema.names == ["auction", "bids", "total"]
    assert batch.timestamps is not None
    assert batch.timestamps.tolist() == [0, 1]
    assert records_of(batch.records) == [
        {"auction": "b", "bids": 1, "total": 0},
        {"auction": "a", "bids": 1, "total": 1},
    ]


def keyed(codes: list[int], distinct: list[Any]) -> ColumnBatch:
    rows = np.arange(len(codes))
    keys = KeyColumn(np.array(codes), keys_array(distinct))
    return ColumnBatch(pa.record_batch({"price": rows}), rows, keys)


def test_keys_without_rows_get_no_state() -> None:
    found = Output()
    with OperatorHarness(operator(), key_by="auction") as harness:
        harness._operator.process_batch(0, keyed([3, 1, 3], ["a", "b", "c", "d"]), found)
        assert harness.state_size() == 2
    [batch] = found.take()
    assert isinstance(batch, ColumnBatch)
    assert [record["bids"] for record in records_of(batch.records)] == [1, 1, 2]


def test_several_key_fields_stand_each_in_its_column() -> None:
    records = pa.record_batch({"auction": [1, 1], "channel": ["x", "y"], "price": [5, 6]})
    make = operator(["bids"], ("auction", "channel"))
    found = sent(make, records, key_by=lambda record: (record["auction"], record["channel"]))
    assert found == [
        {"auction": 1, "channel": "x", "bids": 1},
        {"auction": 1, "channel": "y", "bids": 1},
    ]


def test_a_batch_without_rows_gives_nothing() -> None:
    records = pa.record_batch({"auction": pa.array([], pa.int64()), "price": pa.array([], "int64")})
    assert sent(operator(), records) == []
    assert sent(operator(["bids"], ("a", "b")), records) == []


def test_what_columns_cannot_hold_comes_as_rows() -> None:
    records = pa.record_batch({"auction": [1, 1], "price": [2**62, 2**62]})
    assert [record["total"] for record in sent(operator(), records)] == [2**62, 2**63]


def test_an_aggregate_without_column_form_gets_the_records() -> None:
    make = lambda: AggOperator(NamedAggregates({"all": agg.collect()}), ("auction",))  # noqa: E731
    [record] = sent(make, pa.record_batch({"auction": [1], "price": [2]}))
    assert record["all"] == [{"auction": 1, "price": 2}]


def test_an_error_names_the_record() -> None:
    records = pa.record_batch({"auction": [1, 2], "price": ["cheap", "dear"]})
    with pytest.raises(TypeError) as caught:
        sent(operator(), records)
    assert "key 1, record {'auction': 1, 'price': 'cheap'}" in caught.value.__notes__[-1]
