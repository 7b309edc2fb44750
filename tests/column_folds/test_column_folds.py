"""Columns fold to exactly what rows fold to: the same values, of the same types."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.forms import as_arrays
from streamlet.column_folds.groups import Groups
from streamlet.column_folds.kept import FLOATS, INTS, OBJECTS, Kept, Mask, kept_array, pairs_of
from streamlet.column_folds.named import FORMS, NamedFolds
from streamlet.column_folds.obstacles import FOLDING_COLUMNS, rows_because
from streamlet.columns import records_of
from tests.column_folds.random_columns import MAKERS, accumulators, batches, columns, grouped


@st.composite
def several_aggregates(draw: Any) -> NamedAggregates:
    picked = draw(st.lists(st.tuples(st.sampled_from(MAKERS), st.sampled_from("ab"))))
    return NamedAggregates(
        {"count": agg.count()} | {str(n): make(field) for n, (make, field) in enumerate(picked)}
    )


@st.composite
def states(draw: Any, named: NamedAggregates) -> dict[int, list[Any]]:
    """What some keys have before the first batch."""
    keys = sorted(draw(st.sets(st.integers(0, 4))))
    of_aggregates = [draw(accumulators(each, len(keys))) for each in named.aggregates]
    return dict(zip(keys, map(list, zip(*of_aggregates, strict=True)), strict=False))


DTYPES = [OBJECTS, INTS, FLOATS, pairs_of(INTS), pairs_of(FLOATS)]


class Arrays:
    """The state as arrays; items of new keys mean nothing, and an array may be of another dtype."""

    def __init__(self, data: Any, folds: NamedFolds, before: list[list[Any] | None]) -> None:
        is_new = [each is None for each in before]
        self.is_new: Mask = np.array(is_new, np.bool_)
        self.older: list[Kept] = []
        for at, dtype in enumerate(folds.dtypes):
            olds = kept_array([each[at] for each in before if each is not None], dtype)
            if data.draw(st.booleans()):  # a type of column before may have had another
                olds = kept_array(olds.tolist(), data.draw(st.sampled_from(DTYPES)))
            kept = np.empty(len(before), olds.dtype)
            kept[self.is_new] = (
                "nothing" if olds.dtype == OBJECTS else np.array(7).astype(olds.dtype)
            )
            kept[~self.is_new] = olds
            self.older.append(kept)


def one_by_one(
    named: NamedAggregates, olds: list[Any], codes: list[int], records: Any
) -> list[Any] | None:
    """What the row path does; gives the result after each row, None if there is an error."""
    running = []
    try:
        for code, parts in zip(codes, named.parts(records_of(records)), strict=True):
            olds[code] = named.add(olds[code], parts)
            running.append(named.result(olds[code]))
    except (TypeError, ArithmeticError):  # of floats, of decimals
        return None
    return running


def assert_kept(folds: NamedFolds, newer: list[Kept], expected: list[list[Any]]) -> None:
    """The accumulators are these, in arrays of the best dtype."""
    found = [kept.tolist() for kept in newer]
    assert repr([list(each) for each in zip(*found, strict=True)]) == repr(expected)
    for kept, dtype in zip(newer, folds.dtypes, strict=True):
        assert kept.dtype == kept_array(kept.tolist(), dtype).dtype


class FedBatch(NamedTuple):
    """A batch for accumulators that exist, and what rows make of both."""

    folds: NamedFolds
    groups: Groups
    records: pa.RecordBatch
    arrays: Arrays
    expected: list[Any]
    results: Any
    """After each row; None: rows raise."""


def fed_batches(data: Any, named: NamedAggregates) -> Iterator[FedBatch]:
    """Batches one after the other, each on top of what rows made of those before."""
    state = data.draw(states(named))
    for records, keys in data.draw(batches()):
        distinct, groups = grouped(keys, data.draw(st.sets(st.integers(0, 4))))
        folds = NamedFolds.of(named, records.schema)
        assert folds is not None
        before = list(map(state.get, distinct))
        arrays = Arrays(data, folds, before)
        expected = [each or named.create() for each in copy.deepcopy(before)]
        results = one_by_one(named, expected, groups.codes.tolist(), records)
        yield FedBatch(folds, groups, records, arrays, expected, results)
        state.update(zip(distinct, expected, strict=True))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_batches_of_columns_fold_as_rows_do(data: Any) -> None:
    named = data.draw(several_aggregates())
    for fed in fed_batches(data, named):
        folds, arrays, untouched = fed.folds, fed.arrays, repr(fed.arrays.older)
        folded = folds.fold(fed.groups, fed.records, arrays.older, arrays.is_new)
        assert repr(arrays.older) == untouched
        assert (folded is None) == (fed.results is None)
        if folded is None:
            break
        assert_kept(folds, folded, fed.expected)
        assert not any(map(np.shares_memory, folded, arrays.older or []))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_running_results_are_those_after_each_row(data: Any) -> None:
    make, field = data.draw(st.tuples(st.sampled_from(MAKERS), st.sampled_from("ab")))
    named = NamedAggregates({"count": agg.count(), "other": make(field)})
    for fed in fed_batches(data, named):
        folds, arrays, untouched = fed.folds, fed.arrays, repr(fed.arrays.older)
        found = folds.run(fed.groups, fed.records, arrays.older, arrays.is_new)
        assert repr(arrays.older) == untouched
        if fed.results is None:
            assert found is None
            break
        if found is not None:
            assert_kept(folds, found[1], fed.expected)
            assert repr(records_of(pa.record_batch(found[0], named.names))) == repr(fed.results)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_results_of_arrays_are_those_of_their_accumulators(data: Any) -> None:
    named = data.draw(several_aggregates())
    records = pa.record_batch([data.draw(columns(0)), data.draw(columns(0))], ["a", "b"])
    folds = NamedFolds.of(named, records.schema)
    assert folds is not None
    count = data.draw(st.integers(1, 6))
    of_aggregates = [data.draw(accumulators(each, count)) for each in named.aggregates]
    kept = [kept_array(*each) for each in zip(of_aggregates, folds.dtypes, strict=True)]
    found = folds.results(kept)
    expected = named.results(list(map(list, zip(*of_aggregates, strict=True))))
    assert (found is None) == (as_arrays(expected) is None)
    if found is not None:
        assert repr([each.to_pylist() for each in found]) == repr(list(map(list, expected)))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_where_folds_merge_partials_may_come_after(data: Any) -> None:
    rows = data.draw(st.integers(0, 12))
    records = pa.record_batch({"a": data.draw(columns(rows))})
    named = NamedAggregates({"x": data.draw(st.sampled_from(MAKERS))("a"), "n": agg.count()})
    folds = NamedFolds.of(named, records.schema)
    assert folds is not None

    def fold(part: Any) -> list[Any] | None:
        assert folds is not None
        none = [np.zeros(1, dtype) for dtype in folds.dtypes]
        folded = folds.fold(Groups(np.zeros(len(part), int), 1), part, none, np.array([True]))
        return None if folded is None else [kept.tolist()[0] for kept in folded]

    cut = data.draw(st.integers(0, rows))
    older, newer = fold(records[:cut]), fold(records[cut:])
    if folds.merges and older is not None and newer is not None:
        assert repr(named.merge(older, newer)) == repr(fold(records))


@pytest.mark.parametrize(
    ("aggregate", "reason"),
    [
        (agg.count(), None),
        (agg.sum("x"), None),
        (agg.first("text"), None),
        (agg.sum(lambda record: 1), "its 'total' is selected by no field name"),
        (agg.max(0), "its 'total' is selected by no field name"),
        (agg.sum(), "its 'total' is of whole records"),
        (agg.collect("x"), "its 'total' is a collect"),
    ],
)
def test_aggregates_say_why_they_need_rows(aggregate: Any, reason: Any) -> None:
    named = NamedAggregates({"n": agg.count(), "total": aggregate})
    schema = pa.schema({"x": pa.int64(), "text": pa.string()})
    assert rows_because(named) == reason
    assert (NamedFolds.of(named, schema) is None) == (reason is not None)


def test_plans_know_which_aggregates_take_columns() -> None:
    assert frozenset(FORMS) == FOLDING_COLUMNS


@pytest.mark.parametrize("names", [["other"], ["x", "x"]])
def test_records_must_have_the_one_column(names: list[str]) -> None:
    schema = pa.schema([(name, pa.int64()) for name in names])
    assert NamedFolds.of(NamedAggregates({"total": agg.sum("x")}), schema) is None


def test_which_folds_merge() -> None:
    schema = pa.schema({"whole": pa.int64(), "real": pa.float64()})

    def merges(aggregate: Any) -> Any:
        folds = NamedFolds.of(NamedAggregates({"n": agg.count(), "x": aggregate}), schema)
        assert folds is not None
        return folds.merges

    assert merges(agg.sum("whole"))
    assert merges(agg.max("whole"))
    assert not merges(agg.max("real"))
    assert not merges(agg.sum("real"))
    assert not merges(agg.mean("real"))
