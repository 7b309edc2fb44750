"""filter by an expression, select and map_batches: the same for columns and for rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from streamlet.elements import ColumnBatch, RowBatch
from streamlet.errors import RecordError
from streamlet.operators.columns import (
    ColumnOperator,
    FilterColumnsOperator,
    MapBatchesOperator,
    SelectOperator,
)
from streamlet.operators.operator import Output
from streamlet.operators.stateless import MapOperator
from streamlet.testing import At, OperatorHarness, at, run_in_five_modes, watermark

DEAR = pc.field("price") > 10
BIDS: list[dict[str, Any]] = [
    {"auction": 1, "price": 5, "channel": "a"},
    {"auction": 2, "price": 20, "channel": None},
    {"auction": 1, "price": None, "channel": "b"},
    {"auction": 3, "price": 11, "channel": "a"},
]
STAMPS = [10, 20, 30, 40]
SCRIPT = [*(at(stamp, bid) for stamp, bid in zip(STAMPS, BIDS, strict=True)), watermark(50)]


def euros(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.append_column("euro", pc.multiply(batch.column("price"), 2))


OPERATORS: list[Callable[[], ColumnOperator]] = [
    lambda: FilterColumnsOperator(DEAR),
    lambda: SelectOperator({"auction": pc.field("auction"), "half": pc.field("price") / 2}),
    lambda: MapBatchesOperator(euros),
]


def given_columns(make: Callable[[], Any], records: list[dict[str, Any]]) -> list[At]:
    with OperatorHarness(make) as harness:
        harness.send_columns(pa.RecordBatch.from_pylist(records), STAMPS[: len(records)])
        return harness.output_with_timestamps()


def failed(make: Callable[[], Any], records: Any) -> str:
    """The error's text, which must come with the operator's name and subtask."""
    with OperatorHarness(make) as harness:
        send = harness.send_columns if isinstance(records, pa.RecordBatch) else harness.send_batch
        with pytest.raises(RecordError) as caught:
            send(records, STAMPS[: len(records)])
    assert "in operator 'harness' (subtask 1 of 1)" in caught.value.__notes__
    return str(caught.value)


@pytest.mark.parametrize("make", OPERATORS)
def test_columns_and_rows_give_the_same(make: Callable[[], ColumnOperator]) -> None:
    outcome = run_in_five_modes(make, SCRIPT)
    assert outcome.main == given_columns(make, BIDS)
    assert outcome.main


def test_filter_keeps_what_is_true_and_not_what_is_null() -> None:
    assert given_columns(OPERATORS[0], BIDS) == [at(20, BIDS[1]), at(40, BIDS[3])]


def test_filter_keeps_the_very_records_of_rows() -> None:
    """A set or a tuple in a field would come back from columns as a list."""
    record = {"price": 20, "tags": ("a", "b")}
    with OperatorHarness(OPERATORS[0]) as harness:
        harness.send(record)
        assert harness.output() == [record]


class Bid(NamedTuple):
    auction: int
    price: int | None


def test_named_tuples_are_columns_to_expressions_and_stay_what_they_are() -> None:
    bids = [Bid(1, 5), Bid(2, None), Bid(3, 9)]
    with OperatorHarness(lambda: FilterColumnsOperator(pc.field("price") > 1)) as harness:
        harness.send_batch(bids)
        kept = harness.output()
    assert kept == [bids[0], bids[2]]
    assert set(map(type, kept)) == {Bid}
    with OperatorHarness(lambda: SelectOperator({"cents": pc.field("price") * 100})) as harness:
        harness.send_batch(bids[:2])
        assert harness.output() == [{"cents": 500}, {"cents": None}]


def test_filter_keeps_keys_with_their_records() -> None:
    with OperatorHarness(OPERATORS[0], key_by="auction") as harness:
        harness.send_columns(pa.RecordBatch.from_pylist(BIDS), STAMPS)
        harness.send_batch(BIDS, STAMPS)
        assert harness.output() == [BIDS[1], BIDS[3]] * 2


def test_filter_by_a_field_that_is_null_everywhere_keeps_nothing() -> None:
    keep = FilterColumnsOperator(pc.field("is_kept"))
    with OperatorHarness(lambda: keep) as harness:
        harness.send({"is_kept": None})
        harness.send({"is_kept": True})
        assert harness.output() == [{"is_kept": True}]


def test_filter_by_what_is_neither_true_nor_false_is_refused() -> None:
    problem = failed(lambda: FilterColumnsOperator(pc.field("price")), BIDS)
    assert problem.startswith("filter(price) gives int64 values")
    assert "auction: int64, price: int64" in problem


def test_select_gives_its_columns_alone_in_their_order() -> None:
    (first, *_) = given_columns(OPERATORS[1], BIDS)
    assert first == at(10, {"auction": 1, "half": 2})
    assert list(first.value) == ["auction", "half"]


def test_a_record_is_worth_the_same_whoever_shares_its_batch() -> None:
    """5 / 2 is 2 among ints; among floats the 5 would be one, and 5.0 / 2 is 2.5."""
    prices: list[Any] = [5, 5.5, None, 5, 7]
    steps = [at(n, {"auction": n, "price": price}) for n, price in enumerate(prices)]
    outcome = run_in_five_modes(OPERATORS[1], steps)
    assert [value["half"] for value in outcome.values()] == [2, 2.75, None, 2, 3]


def test_what_a_record_lacks_is_refused_whoever_shares_its_batch() -> None:
    """As by a selector: null in company and an error alone would depend on chance."""
    for records in ([{"price": 5}], [*BIDS, {"price": 5}]):
        problem = failed(lambda: FilterColumnsOperator(pc.field("auction") > 1), records)
        assert "there is no field 'auction'" in problem


@pytest.mark.parametrize("make", OPERATORS)
def test_batch_of_nothing_gives_nothing(make: Callable[[], ColumnOperator]) -> None:
    out = Output()
    make().process_batch(0, ColumnBatch(pa.RecordBatch.from_pylist(BIDS).slice(0, 0)), out)
    assert out.take() == []
    with OperatorHarness(make) as harness:
        harness.send_batch([])
        assert harness.output() == []


@pytest.mark.parametrize("records", [BIDS, pa.RecordBatch.from_pylist(BIDS)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: FilterColumnsOperator(pc.field("cost") > 1),
        lambda: SelectOperator({"euro": pc.field("cost") * 2}),
    ],
)
def test_expression_over_a_field_that_is_not_there_names_those_that_are(
    make: Callable[[], Any], records: Any
) -> None:
    problem = failed(make, records)
    assert "there is no field 'cost' in the records" in problem
    assert "auction: int64, price: int64, channel: string" in problem


@pytest.mark.parametrize("make", OPERATORS)
def test_only_dicts_become_columns(make: Callable[[], Any]) -> None:
    assert "'harness' works on columns" in failed(make, [BIDS[0], ("price", 5)])


def test_map_batches_sees_record_batches_and_no_pythons_objects() -> None:
    seen: list[Any] = []

    def look(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.append(type(batch))
        return batch

    given_columns(lambda: MapBatchesOperator(look), BIDS)
    with OperatorHarness(lambda: MapBatchesOperator(look)) as harness:
        harness.send_batch(BIDS)
        assert harness.output() == BIDS
    assert seen == [pa.RecordBatch] * 2


@pytest.mark.parametrize("result", [None, [1], pa.table({"a": [1]})])
def test_map_batches_must_return_a_record_batch(result: Any) -> None:
    problem = failed(lambda: MapBatchesOperator(lambda batch: result), BIDS)
    assert f"it returned {type(result).__name__}" in problem


def test_map_batches_may_change_the_number_of_rows_only_without_timestamps() -> None:
    def make() -> MapBatchesOperator:
        return MapBatchesOperator(lambda batch: batch.slice(0, 1))

    with OperatorHarness(make) as harness:
        harness.send_columns(pa.RecordBatch.from_pylist(BIDS))
        assert harness.output() == BIDS[:1]
    problem = failed(make, pa.RecordBatch.from_pylist(BIDS))
    assert "got 4 records and returned 1" in problem


def test_exception_of_the_function_keeps_its_type_and_names_the_operator() -> None:
    def broken(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise ZeroDivisionError

    with (
        OperatorHarness(lambda: MapBatchesOperator(broken)) as harness,
        pytest.raises(ZeroDivisionError) as caught,
    ):
        harness.send_batch(BIDS)
    assert "in operator 'harness' (subtask 1 of 1)" in caught.value.__notes__


def test_operator_that_takes_no_columns_gets_rows_from_the_harness() -> None:
    assert given_columns(lambda: MapOperator(lambda bid: bid["auction"]), BIDS[:2]) == [
        at(10, 1),
        at(20, 2),
    ]


def test_given_batch_stays_as_it_was() -> None:
    """Other consumers may share it."""
    batch = RowBatch([dict(bid) for bid in BIDS], list(STAMPS), ["k"] * 4)
    for make in OPERATORS:
        with OperatorHarness(make) as harness:
            harness.send_batch(batch.values, batch.timestamps)
    assert batch == RowBatch(BIDS, STAMPS, ["k"] * 4)
