"""Routers: every record to one subtask (or to all), in order per receiver."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.columns import to_rows
from streamlet.elements import Batch, ColumnBatch, RowBatch
from streamlet.errors import FatalError, RecordError
from streamlet.graph import Broadcast, Custom, Forward, Global, Hash, Rebalance, Shuffle
from streamlet.runtime.partition import Router, make_router
from streamlet.selectors import compile_batch_selector, compile_selector
from streamlet.state.keys import canonical_key, key_group, key_group_range


def batch(size: int, first: int = 0) -> RowBatch:
    values = list(range(first, first + size))
    return RowBatch(values, [10 * value for value in values])


def routed(router: Router, *batches: RowBatch) -> dict[int, list[Any]]:
    received: dict[int, list[Any]] = {}
    for sent in batches:
        for target, part in router.route(sent):
            assert isinstance(part, RowBatch)
            assert part.values, "no part is empty"
            assert part.timestamps == [10 * value for value in part.values]
            received.setdefault(target, []).extend(part.values)
    return received


def router_of(partitioning: Any, parallelism: int = 3, sender: int = 1) -> Router:
    return make_router(partitioning, sender, parallelism, 128, Random(4))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "partitioning",
    [
        Rebalance(),
        Shuffle(),
        Hash(lambda value: value % 7, "key"),
        Custom(lambda key, parallelism: key % parallelism, lambda value: value, "own"),
    ],
)
def test_each_record_goes_to_one_receiver_in_order(partitioning: Any, size: int) -> None:
    """DS-5."""
    received = routed(router_of(partitioning), batch(size), batch(size, first=size))
    assert all(values == sorted(values) for values in received.values())
    assert sorted(value for values in received.values() for value in values) == [*range(2 * size)]


def test_forward_keeps_the_senders_index_and_global_takes_the_first() -> None:
    assert routed(router_of(Forward()), batch(4)) == {1: [0, 1, 2, 3]}
    assert routed(router_of(Global()), batch(4)) == {0: [0, 1, 2, 3]}


def test_broadcast_gives_all_to_all() -> None:
    assert routed(router_of(Broadcast()), batch(2)) == {0: [0, 1], 1: [0, 1], 2: [0, 1]}


def test_rebalance_is_even_over_batches_smaller_than_the_receivers() -> None:
    received = routed(router_of(Rebalance()), *(batch(1) for _ in range(30)))
    assert {len(values) for values in received.values()} == {10}


@pytest.mark.parametrize("parallelism", [1, 2, 3, 128])
def test_hash_sends_each_key_to_the_subtask_that_owns_its_key_group(parallelism: int) -> None:
    """KG-3, KG-8; and the canonical keys travel along."""
    keys = ["a", 1, 1.0, True, -0.0, ("x", 2), None, b"raw"]
    router = router_of(Hash(lambda value: keys[value], "key"), parallelism)
    seen = 0
    for target, part in router.route(batch(len(keys))):
        assert isinstance(part, RowBatch)
        assert part.keys is not None
        for value, key in zip(part.values, part.keys, strict=True):
            assert key == canonical_key(keys[value])
            owned = key_group_range(target, parallelism, 128)
            assert key_group(key, 128) in owned
            seen += 1
    assert seen == len(keys)


def test_key_that_cannot_be_had_names_the_record() -> None:
    router = router_of(Hash(lambda value: float("nan") if value == 2 else value, "price"))
    with pytest.raises(RecordError) as caught:
        list(router.route(batch(4)))
    assert "key_by(price), record 2" in caught.value.__notes__[0]


@pytest.mark.parametrize("target", [-1, 3, 1.0, True, None, "0"])
def test_custom_function_must_give_the_index_of_a_subtask(target: Any) -> None:
    router = router_of(Custom(lambda key, parallelism: target, lambda value: value, "own"))
    with pytest.raises(FatalError, match=r"own.*\[0, 3\)"):
        list(router.route(batch(1)))


def columns_of(size: int) -> ColumnBatch:
    records = pa.RecordBatch.from_pydict({"n": list(range(size))})
    return ColumnBatch(records, np.arange(size, dtype=np.int64) * 10)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "partitioning",
    [
        Forward(),
        Global(),
        Broadcast(),
        Rebalance(),
        Shuffle(),
        Custom(lambda key, parallelism: key % parallelism, lambda record: record["n"], "own"),
    ],
)
def test_columns_go_where_rows_go(partitioning: Any, size: int) -> None:
    """DS-5: the same receivers, records, timestamps and order."""
    sent = columns_of(size)
    by_columns = [(t, to_rows(part)) for t, part in router_of(partitioning).route(sent)]
    assert by_columns == list(router_of(partitioning).route(to_rows(sent)))


KEYS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-3, 3)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1.5]))),
    (pa.float32(), st.sampled_from([0.0, -0.0, 1.5, float("inf")])),
    (pa.string(), st.text(max_size=2)),
    (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b"])),
    (pa.binary(), st.binary(max_size=2)),
    (pa.decimal128(6, 2), st.sampled_from([Decimal("1.10"), Decimal("1.50"), Decimal(7)])),
    (pa.date32(), st.dates(date(1970, 1, 1), date(1970, 1, 3))),
    (pa.date64(), st.dates(date(1970, 1, 1), date(1970, 1, 3))),
    (pa.timestamp("us", "UTC"), st.just(datetime(2024, 1, 1, tzinfo=UTC))),
    (pa.timestamp("s", "Europe/Berlin"), st.integers(0, 3)),
    (pa.timestamp("ns", "UTC"), st.integers(0, 3_000)),
    (pa.timestamp("ms"), st.integers(0, 3)),
    (pa.null(), st.none()),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 3), max_size=1)),
]


@st.composite
def keyed_columns(draw: st.DrawFn) -> ColumnBatch:
    """One to three key fields of any types, with nulls, numbered and stamped."""
    size = draw(st.integers(1, 12))
    arrays = [pa.array(range(size), pa.int64())]
    for kind, values in draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3)):
        column = draw(st.lists(st.one_of(values, values, st.none()), min_size=size, max_size=size))
        arrays.append(pa.array(column, kind))
    names = ["n", *(f"k{position}" for position in range(1, len(arrays)))]
    return ColumnBatch(
        pa.RecordBatch.from_arrays(arrays, names), np.arange(size, dtype=np.int64) * 10
    )


def hash_by(fields: tuple[str, ...]) -> Hash:
    batch_selector = compile_batch_selector(*fields)
    return Hash(compile_selector(*fields), ", ".join(fields), fields, batch_selector)


def parts_or_error(router: Router, batch: Batch) -> Any:
    try:
        return [(target, to_rows(part)) for target, part in router.route(batch)]
    except RecordError as error:
        return str(error), error.__notes__


@pytest.mark.slow
@given(keyed_columns(), st.sampled_from([1, 2, 3, 128]))
def test_keyed_columns_go_to_the_subtasks_that_rows_go_to_with_the_same_keys(
    batch: ColumnBatch, parallelism: int
) -> None:
    """KG-3, KG-8; a key that cannot be is refused with the same record."""
    partitioning = hash_by(tuple(batch.records.schema.names[1:]))
    by_columns = parts_or_error(router_of(partitioning, parallelism), batch)
    by_rows = parts_or_error(router_of(partitioning, parallelism), to_rows(batch))
    # repr: it tells -0.0 from 0 and True from 1, which are equal
    assert repr(by_columns) == repr(by_rows)


def key_columns(column: pa.Array, parallelism: int = 1) -> list[ColumnBatch]:
    batch = ColumnBatch(pa.RecordBatch.from_arrays([column], ["k"]))
    parts = [part for _, part in router_of(hash_by(("k",)), parallelism).route(batch)]
    return [part for part in parts if isinstance(part, ColumnBatch)]


@pytest.mark.parametrize(
    ("column", "distinct"),
    [
        (pa.array([0.0, -0.0, 1.0]), [0, 1]),
        (pa.array([True, False, True]), [1, 0]),
        (pa.array([1_001, 1_999], pa.timestamp("ns", "UTC")), 1),
        (pa.array(["a", None, "a"]), ["a", None]),
    ],
)
def test_no_two_keys_of_a_batch_of_columns_are_equal(column: pa.Array, distinct: Any) -> None:
    (part,) = key_columns(column)
    assert part.keys is not None
    if distinct == 1:
        assert len(part.keys.distinct) == 1
    else:
        assert part.keys.distinct.tolist() == distinct


def test_each_receiver_gets_the_keys_it_owns_alone() -> None:
    parts = key_columns(pa.array(list(range(50)) * 2), parallelism=3)
    assert len(parts) == 3
    for part in parts:
        assert part.keys is not None
        assert sorted(part.keys.distinct) == sorted(set(part.records.column("k").to_pylist()))


def test_key_by_a_field_that_columns_lack_names_the_record_and_its_fields() -> None:
    with pytest.raises(RecordError, match="has no field 'k': its fields are 'n'") as caught:
        list(router_of(hash_by(("k",))).route(columns_of(2)))
    assert "key_by(k), record {'n': 0}" in caught.value.__notes__[0]


def test_window_all_of_columns_has_one_key() -> None:
    partitioning = Hash(lambda record: None, "nothing", (), lambda records: [None] * len(records))
    ((target, part),) = router_of(partitioning).route(columns_of(4))
    assert isinstance(part, ColumnBatch)
    assert to_rows(part).keys == [None] * 4
    assert key_group(None, 128) in key_group_range(target, 3, 128)
