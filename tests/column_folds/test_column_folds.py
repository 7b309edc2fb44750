"""Columns fold to exactly what rows fold to: the same values, of the same types."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.forms import as_array
from streamlet.column_folds.groups import Groups
from streamlet.column_folds.named import FORMS, NamedFolds
from streamlet.column_folds.obstacles import FOLDING_COLUMNS, rows_because
from streamlet.columns import records_of

NAN = float("nan")


def whole(bits: int, is_signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    edges = [value for value in (low, low + 1, -1, 0, 1, high - 1, high) if low <= value]
    return st.one_of(st.sampled_from(edges), st.integers(low, high))


FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 1e308, -1e308, 1e-320, NAN, float("inf"), float("-inf")]),
    st.floats(),
    st.floats(-100, 100),
)
KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pa.int8(), whole(8, True)),
    (pa.int16(), whole(16, True)),
    (pa.int32(), whole(32, True)),
    (pa.int64(), whole(64, True)),
    (pa.int64(), st.integers(-9, 9)),
    (pa.uint8(), whole(8, False)),
    (pa.uint16(), whole(16, False)),
    (pa.uint32(), whole(32, False)),
    (pa.uint64(), whole(64, False)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), FLOATS),
    (pa.float64(), st.floats(-100, 100).map(lambda value: value + 0.0 or 1.5)),
    (pa.bool_(), st.booleans()),
    (pa.null(), st.none()),
    (pa.string(), st.text(max_size=2)),
    (pa.decimal128(9, 2), st.decimals(-999, 999, places=2)),
    (pa.timestamp("us"), st.datetimes()),
]
NUMERIC = [agg.sum, agg.min, agg.max, agg.mean, agg.first, agg.last]


@st.composite
def columns(draw: Any, rows: int) -> Any:
    """One column, and an aggregate over it."""
    arrow_type, values = draw(st.sampled_from(KINDS))
    if draw(st.booleans()):
        values = st.one_of(values, st.none())
    return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), arrow_type)


@st.composite
def batches(draw: Any) -> Any:
    """Batches whose columns keep their names, and sometimes change their types."""
    names = ["a", "b"]
    found = []
    for _ in range(draw(st.integers(1, 4))):
        rows = draw(st.integers(0, 12))
        records = pa.record_batch([draw(columns(rows)) for _ in names], names)
        keys = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows))
        found.append((records, keys))
    return found


def one_by_one(
    named: NamedAggregates, accumulators: list[Any], codes: list[int], records: Any
) -> list[Any] | None:
    """What the row path does; gives the result after each row, None if there is an error."""
    running = []
    try:
        for code, parts in zip(codes, named.parts(records_of(records)), strict=True):
            accumulators[code] = named.add(accumulators[code], parts)
            running.append(named.result(accumulators[code]))
    except (TypeError, OverflowError):
        return None
    return running


def grouped(keys: list[int]) -> tuple[list[int], Groups]:
    distinct = list(dict.fromkeys(keys))
    codes = [distinct.index(key) for key in keys]
    return distinct, Groups(np.array(codes, np.int32), len(distinct))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_batches_of_columns_fold_as_rows_do(data: Any) -> None:
    picked = data.draw(st.lists(st.tuples(st.sampled_from(NUMERIC), st.sampled_from("ab"))))
    named = NamedAggregates(
        {"count": agg.count()} | {str(n): make(field) for n, (make, field) in enumerate(picked)}
    )
    state: dict[int, Any] = {}
    for records, keys in data.draw(batches()):
        distinct, groups = grouped(keys)
        before = [state.get(key) or named.create() for key in distinct]
        given_before, expected = copy.deepcopy(before), copy.deepcopy(before)
        results = one_by_one(named, expected, groups.codes.tolist(), records)
        folds = NamedFolds.of(named, records.schema)
        assert folds is not None
        folded = folds.fold(groups, records, before)
        assert repr(before) == repr(given_before)
        assert (folded is None) == (results is None)
        if folded is None:
            break
        assert repr(folded) == repr(expected)
        state.update(zip(distinct, expected, strict=True))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_running_results_are_those_after_each_row(data: Any) -> None:
    picked = data.draw(st.tuples(st.sampled_from(NUMERIC), st.sampled_from("ab")))
    named = NamedAggregates({"count": agg.count(), "other": picked[0](picked[1])})
    state: dict[int, Any] = {}
    for records, keys in data.draw(batches()):
        distinct, groups = grouped(keys)
        before = [state.get(key) or named.create() for key in distinct]
        expected = copy.deepcopy(before)
        results = one_by_one(named, expected, groups.codes.tolist(), records)
        folds = NamedFolds.of(named, records.schema)
        assert folds is not None
        arrays = folds.run(groups, records, before)
        if results is None:
            assert arrays is None
            break
        if arrays is not None:
            assert repr(before) == repr(expected)
            assert repr(records_of(pa.record_batch(arrays, named.names))) == repr(results)
        state.update(zip(distinct, expected, strict=True))


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_where_folds_merge_partials_may_come_after(data: Any) -> None:
    rows = data.draw(st.integers(0, 12))
    records = pa.record_batch({"a": data.draw(columns(rows))})
    named = NamedAggregates({"x": data.draw(st.sampled_from(NUMERIC))("a"), "n": agg.count()})
    folds = NamedFolds.of(named, records.schema)
    assert folds is not None
    cut = data.draw(st.integers(0, rows))
    older = folds.fold(Groups(np.zeros(cut, int), 1), records[:cut], None)
    newer = folds.fold(Groups(np.zeros(rows - cut, int), 1), records[cut:], None)
    if folds.merges and older is not None and newer is not None:
        whole = folds.fold(Groups(np.zeros(rows, int), 1), records, None)
        assert whole is not None
        assert repr([named.merge(older[0], newer[0])]) == repr(whole)


def fold_one(make: Any, values: Any, older: Any = None, codes: Any = None) -> Any:
    """All rows in one group; the accumulators of the one aggregate."""
    records = pa.record_batch({"x": values})
    named = NamedAggregates({"result": make("x")})
    folds = NamedFolds.of(named, records.schema)
    assert folds is not None
    groups = Groups(np.array(codes or [0] * len(records)), 1 + max(codes or [0]))
    before = None if older is None else [[accumulator] for accumulator in older]
    found = folds.fold(groups, records, before)
    return None if found is None else [accumulator for [accumulator] in found]


def arrow(values: Any, arrow_type: Any = None) -> Any:
    return pa.array(values, arrow_type)


FOLDED = [
    (agg.sum, arrow([1, 2]), None, [3]),
    (agg.sum, arrow([2**63 - 1] * 3), None, [3 * (2**63 - 1)]),
    (agg.sum, arrow([-(2**63)] * 3), None, [-3 * 2**63]),
    (agg.sum, arrow([2**64 - 1] * 3, pa.uint64()), [5], [3 * (2**64 - 1) + 5]),
    (agg.sum, arrow([1]), [10**40], [10**40 + 1]),
    (agg.sum, arrow([True, True]), None, [2]),
    (agg.sum, arrow([0.1] * 10), None, [sum([0.1] * 10)]),
    (agg.sum, arrow([-0.0]), None, [0.0]),
    (agg.sum, arrow([1, 2]), [0.5], [3.5]),
    (agg.sum, arrow([0.5]), [2**53 + 1], [2**53 + 1 + 0.5]),
    (agg.sum, arrow([None], pa.float64()), None, [0]),
    (agg.sum, arrow([None], pa.null()), [7], [7]),
    (agg.mean, arrow([1, None, 2]), [(4, 1)], [(7, 3)]),
    (agg.mean, arrow([0.5, 0.25]), None, [(0.75, 2)]),
    (agg.min, arrow([5, 3, None]), [4], [3]),
    (agg.max, arrow([5, 3, None]), [9], [9]),
    (agg.min, arrow([2**64 - 1], pa.uint64()), None, [2**64 - 1]),
    (agg.max, arrow([True, False]), None, [True]),
    (agg.min, arrow([0.5, float("-inf")]), None, [float("-inf")]),
    (agg.max, arrow([1]), [1.0], [1.0]),
    (agg.min, arrow([None], pa.int64()), None, [None]),
    (agg.min, arrow([1.0, NAN]), [NAN], [NAN]),
    (agg.max, arrow([NAN, 1.0]), None, [NAN]),
    (agg.max, arrow([1.0, NAN, 2.0]), None, [2.0]),
    (agg.max, arrow([-0.0, 0.0]), None, [-0.0]),
    (agg.min, arrow(["b", None, "a"]), None, ["a"]),
    (agg.sum, arrow([Decimal("1.10"), None]), None, [Decimal("1.10")]),
    (agg.first, arrow(["b", "a"]), None, [["b"]]),
    (agg.first, arrow(["b", "a"]), [["z"]], [["z"]]),
    (agg.last, arrow(["b", None]), [["z"]], [[None]]),
]


@pytest.mark.parametrize(("make", "values", "older", "expected"), FOLDED)
def test_fold_is_exact_and_of_plain_python_types(
    make: Any, values: Any, older: Any, expected: Any
) -> None:
    assert repr(fold_one(make, values, older)) == repr(expected)


@pytest.mark.parametrize(
    ("make", "values", "older"),
    [
        (agg.min, arrow([1]), ["text"]),
        (agg.sum, arrow([0.5]), [10**400]),
        (agg.sum, arrow([0.5]), ["text"]),
        (agg.sum, arrow(["text"]), None),
    ],
)
def test_rows_that_fail_are_left_to_the_caller_who_names_the_record(
    make: Any, values: Any, older: Any
) -> None:
    assert fold_one(make, values, older) is None


def test_ints_are_added_to_sums_of_which_some_are_floats() -> None:
    assert repr(fold_one(agg.sum, arrow([1, 2]), [1, 0.5], [0, 1])) == "[2, 2.5]"
    assert repr(fold_one(agg.sum, arrow([1, 2]), [1.5, 0.5], [0, 1])) == "[2.5, 2.5]"


def test_sum_that_met_no_float_stays_an_int() -> None:
    values = arrow([0.5, None], pa.float64())
    assert repr(fold_one(agg.sum, values, [1, 2], [0, 1])) == "[1.5, 2]"


def test_group_without_rows_stays_as_it_was() -> None:
    older: dict[Any, Any] = {
        agg.sum: 7, agg.mean: (7, 2), agg.min: 7, agg.max: None, agg.first: [], agg.last: [7]
    }  # fmt: skip
    for make, accumulator in older.items():
        folded = fold_one(make, arrow([1, 2]), [accumulator] * 3, [0, 2])
        assert repr(folded[1]) == repr(accumulator)


def test_huge_batch_of_few_groups_sums_without_wrapping() -> None:
    rows = 70_000
    values, codes = np.full(rows, 2**62), np.arange(rows) % 3
    [first, *_] = fold_one(agg.sum, pa.array(values), None, codes.tolist())
    assert first == 2**62 * -(-rows // 3)


def running_of(make: Any, values: Any, older: Any, codes: Any) -> Any:
    records = pa.record_batch({"x": values})
    folds = NamedFolds.of(NamedAggregates({"result": make("x")}), records.schema)
    assert folds is not None
    groups = Groups(np.array(codes), 1 + max(codes))
    accumulators = [[accumulator] for accumulator in older]
    arrays = folds.run(groups, records, accumulators)
    if arrays is None:
        assert accumulators == [[accumulator] for accumulator in older]
        return None
    return arrays[0].to_pylist(), accumulators


MEANS = [(2**53 + 1) / 2, 2.0, (2**53 + 4) / 3, 3.0]
RUNNING = [
    (agg.sum, arrow([1, 2, 3, None]), [10, 0], [11, 2, 14, 2], [[14], [2]]),
    (agg.mean, arrow([1, None, 4, 3]), [(0, 0)] * 2, [1.0, None, 2.5, 3.0], [[(5, 2)], [(3, 1)]]),
    (agg.min, arrow([5, 2, 7, 1]), [6, None], [5, 2, 5, 1], [[5], [1]]),
    (agg.max, arrow([5, 2, 7, 1]), [6, None], [6, 2, 7, 2], [[7], [2]]),
    (agg.sum, arrow([0.1, 5.0, 0.2, None]), [1, 0], [1.1, 5.0, 1.3, 5.0], [[1.3], [5.0]]),
    (agg.mean, arrow([1, 2, 3, 4]), [(2**53, 1), (0, 0)], MEANS, [[(2**53 + 4, 3)], [(6, 2)]]),
    (agg.max, arrow(["a", "b", "c", None]), [None, "z"], ["a", "z", "c", "z"], [["c"], ["z"]]),
    (agg.min, arrow([True, False] * 2), [None] * 2, [True, False] * 2, [[True], [False]]),
    (agg.max, arrow([-(2**63), 2**63 - 1] * 2), [0, 0], [0, 2**63 - 1] * 2, [[0], [2**63 - 1]]),
    (agg.first, arrow(["a", "b", "c", "d"]), [[], ["z"]], ["a", "z", "a", "z"], [["a"], ["z"]]),
    (agg.last, arrow(["a", "b", "c", "d"]), [[], ["z"]], ["a", "b", "c", "d"], [["c"], ["d"]]),
]


@pytest.mark.parametrize(("make", "values", "older", "results", "newer"), RUNNING)
def test_running_results(make: Any, values: Any, older: Any, results: Any, newer: Any) -> None:
    found = running_of(make, values, older, [0, 1, 0, 1])
    if make in (agg.first, agg.last):
        newer = [[accumulator] for accumulator in newer]
    assert repr(found) == repr((results, newer))


@pytest.mark.parametrize(
    ("make", "values", "older"),
    [
        (agg.sum, arrow([2**62, 2**62]), [0]),
        (agg.sum, arrow([1]), [2**63 - 1]),
        (agg.sum, arrow([None, 0.5]), [0]),
        (agg.max, arrow([1]), [2**64]),
        (agg.sum, arrow(["text"]), [0]),
        (agg.last, arrow([2**63], pa.uint64()), [[]]),
    ],
)
def test_running_results_that_arrow_cannot_hold_are_left_to_the_caller(
    make: Any, values: Any, older: Any
) -> None:
    assert running_of(make, values, older, [0] * len(values)) is None


def test_running_count_ranks_rows_within_their_group() -> None:
    keys = np.random.default_rng(7).integers(0, 70_000, 100_000)
    named = NamedAggregates({"bids": agg.count()})
    records = pa.record_batch({"x": keys})
    folds = NamedFolds.of(named, records.schema)
    assert folds is not None
    accumulators = [named.create() for _ in range(70_000)]
    found = folds.run(Groups(keys, 70_000), records, accumulators)
    assert found is not None
    seen: dict[int, int] = {}
    for key, bids in zip(keys.tolist(), found[0].to_pylist(), strict=True):
        seen[key] = seen.get(key, 0) + 1
        assert bids == seen[key]
    assert [bids for [bids] in accumulators] == [seen.get(key, 0) for key in range(70_000)]


def results_of(make: Any, accumulators: Any) -> Any:
    named = NamedAggregates({"result": make("x")})
    [results] = named.results([[accumulator] for accumulator in accumulators])
    return as_array(results)


@pytest.mark.parametrize(
    ("make", "accumulators", "expected"),
    [
        (agg.sum, [1, 2], arrow([1, 2])),
        (agg.sum, [0.5, NAN], arrow([0.5, NAN])),
        (agg.mean, [(3, 2), (0, 0)], arrow([1.5, None])),
        (agg.min, [None, None], pa.nulls(2)),
        (agg.first, [["a"], []], arrow(["a", None])),
    ],
)
def test_results_have_the_types_that_arrow_sees_in_them(
    make: Any, accumulators: Any, expected: Any
) -> None:
    found = results_of(make, accumulators)
    assert found.type == expected.type
    assert repr(found.to_pylist()) == repr(expected.to_pylist())


@pytest.mark.parametrize("accumulators", [[2**63], [0, 0.5], [["\ud800"], ["a"]]])
def test_results_that_arrow_would_change_are_left_to_the_caller(accumulators: Any) -> None:
    make = agg.first if isinstance(accumulators[0], list) else agg.sum
    assert results_of(make, accumulators) is None


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
