"""Folds of columns by example: exact at the ends of 64 bits, with nulls, NaN and -0.0."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.groups import Groups
from streamlet.column_folds.kept import Kept, kept_array
from streamlet.column_folds.named import NamedFolds
from tests.column_folds.random_columns import NAN


def folds_of(make: Any, values: Any) -> tuple[NamedFolds, pa.RecordBatch]:
    records = pa.record_batch({"x": values})
    folds = NamedFolds.of(NamedAggregates({"result": make("x")}), records.schema)
    assert folds is not None
    return folds, records


def kept_of(folds: NamedFolds, accumulators: Any) -> list[Kept]:
    return [kept_array(accumulators, folds.dtypes[0])]


def fold_one(make: Any, values: Any, older: Any = None, codes: Any = None) -> Any:
    """All rows in one group; the accumulators of the one aggregate."""
    folds, records = folds_of(make, values)
    groups = Groups(np.array(codes or [0] * len(records)), 1 + max(codes or [0]))
    before = [np.zeros(groups.count, folds.dtypes[0])] if older is None else kept_of(folds, older)
    found = folds.fold(groups, records, before, np.full(groups.count, older is None))
    return None if found is None else found[0].tolist()


def arrow(values: Any, arrow_type: Any = None) -> Any:
    return pa.array(values, arrow_type)


FOLDED = [
    (agg.sum, arrow([1, 2]), None, [3]),
    (agg.sum, arrow([2**63 - 1] * 3), None, [3 * (2**63 - 1)]),
    (agg.sum, arrow([-(2**63)] * 3), None, [-3 * 2**63]),
    (agg.sum, arrow([2**64 - 1] * 3, pa.uint64()), [5], [3 * (2**64 - 1) + 5]),
    (agg.sum, arrow([1]), [10**40], [10**40 + 1]),
    (agg.sum, arrow([1]), [2**63 - 2], [2**63 - 1]),
    (agg.sum, arrow([1]), [2**63 - 1], [2**63]),
    (agg.sum, arrow([-1]), [-(2**63)], [-(2**63) - 1]),
    (agg.sum, arrow([True, True]), None, [2]),
    (agg.sum, arrow([0.1] * 10), None, [reduce(add, [0.1] * 10)]),  # Python's sum rounds less
    (agg.sum, arrow([-0.0]), None, [0.0]),
    (agg.sum, arrow([1, 2]), [0.5], [3.5]),
    (agg.sum, arrow([0.5]), [2**53 + 1], [2**53 + 1 + 0.5]),
    (agg.sum, arrow([None], pa.float64()), None, [0]),
    (agg.sum, arrow([None], pa.null()), [7], [7]),
    (agg.mean, arrow([1, None, 2]), [(4, 1)], [(7, 3)]),
    (agg.mean, arrow([1]), [(2**63 - 1, 1)], [(2**63, 2)]),
    (agg.mean, arrow([0.5, 0.25]), None, [(0.75, 2)]),
    (agg.mean, arrow([None], pa.float64()), None, [(0, 0)]),
    (agg.mean, arrow([-0.0]), [(0, 0)], [(0.0, 1)]),
    (agg.min, arrow([5, 3, None]), [4], [3]),
    (agg.max, arrow([5, 3, None]), [9], [9]),
    (agg.min, arrow([2**64 - 1], pa.uint64()), None, [2**64 - 1]),
    (agg.max, arrow([True, False]), None, [True]),
    (agg.min, arrow([0.5, float("-inf")]), None, [float("-inf")]),
    (agg.max, arrow([1]), [1.0], [1.0]),
    (agg.min, arrow([None], pa.int64()), None, [None]),
    (agg.min, arrow([None, 0.5]), [None], [0.5]),
    (agg.min, arrow([0.0]), [-0.0], [-0.0]),
    (agg.max, arrow([0.0]), [-0.0], [-0.0]),
    (agg.max, arrow([1.0]), [NAN], [NAN]),
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
    folds, records = folds_of(make, values)
    groups = Groups(np.array(codes), 1 + max(codes))
    found = folds.run(groups, records, kept_of(folds, older), np.zeros(groups.count, np.bool_))
    return None if found is None else (found[0][0].to_pylist(), found[1][0].tolist())


MEANS = [(2**53 + 1) / 3, 2.0, (2**53 + 4) / 4, 3.0]
RUNNING = [
    (agg.sum, arrow([1, 2, 3, None]), [10, 0], [11, 2, 14, 2], [14, 2]),
    (agg.mean, arrow([1, None, 4, 3]), [(0, 0)] * 2, [1.0, None, 2.5, 3.0], [(5, 2), (3, 1)]),
    (agg.min, arrow([5, 2, 7, 1]), [6, None], [5, 2, 5, 1], [5, 1]),
    (agg.max, arrow([5, 2, 7, 1]), [6, None], [6, 2, 7, 2], [7, 2]),
    (agg.sum, arrow([0.1, 5.0, 0.2, None]), [1, 0], [1.1, 5.0, 1.3, 5.0], [1.3, 5.0]),
    (agg.mean, arrow([1, 2, 3, 4]), [(2**53, 2), (0, 0)], MEANS, [(2**53 + 4, 4), (6, 2)]),
    (agg.max, arrow(["a", "b", "c", None]), [None, "z"], ["a", "z", "c", "z"], ["c", "z"]),
    (agg.min, arrow([True, False] * 2), [None] * 2, [True, False] * 2, [True, False]),
    (agg.max, arrow([-(2**63), 2**63 - 1] * 2), [0, 0], [0, 2**63 - 1] * 2, [0, 2**63 - 1]),
    (agg.first, arrow(["a", "b", "c", "d"]), [[], ["z"]], ["a", "z", "a", "z"], [["a"], ["z"]]),
    (agg.last, arrow(["a", "b", "c", "d"]), [[], ["z"]], ["a", "b", "c", "d"], [["c"], ["d"]]),
]


@pytest.mark.parametrize(("make", "values", "older", "results", "newer"), RUNNING)
def test_running_results(make: Any, values: Any, older: Any, results: Any, newer: Any) -> None:
    found = running_of(make, values, older, [0, 1, 0, 1])
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
    none = [np.zeros(70_000, dtype) for dtype in folds.dtypes]
    found = folds.run(Groups(keys, 70_000), records, none, np.ones(70_000, np.bool_))
    assert found is not None
    [results], [counts] = found
    seen: dict[int, int] = {}
    for key, bids in zip(keys.tolist(), results.to_pylist(), strict=True):
        seen[key] = seen.get(key, 0) + 1
        assert bids == seen[key]
    assert counts.tolist() == [seen.get(key, 0) for key in range(70_000)]


def results_of(make: Any, values: Any, accumulators: Any) -> Any:
    folds, _ = folds_of(make, values)
    found = folds.results(kept_of(folds, accumulators))
    return None if found is None else found[0]


WHOLE, REAL, TEXT = arrow([], pa.int64()), arrow([], pa.float64()), arrow([], pa.string())


@pytest.mark.parametrize(
    ("make", "values", "accumulators", "expected"),
    [
        (agg.sum, WHOLE, [1, 2], arrow([1, 2])),
        (agg.sum, REAL, [0.5, NAN], arrow([0.5, NAN])),
        (agg.mean, WHOLE, [(3, 2), (0, 0)], arrow([1.5, None])),
        (agg.mean, WHOLE, [(2**53 + 1, 3)], arrow([(2**53 + 1) / 3])),
        (agg.mean, WHOLE, [(-(2**63), 3)], arrow([-(2**63) / 3])),
        (agg.mean, REAL, [(0.5, 2), (NAN, 1), (float("inf"), 3)], arrow([0.25, NAN, np.inf])),
        (agg.mean, REAL, [(0.5, 2), (0, 0)], arrow([0.25, None])),
        (agg.min, WHOLE, [None, None], pa.nulls(2)),
        (agg.max, REAL, [None, 0.5], arrow([None, 0.5])),
        (agg.first, TEXT, [["a"], []], arrow(["a", None])),
    ],
)
def test_results_have_the_types_that_arrow_sees_in_them(
    make: Any, values: Any, accumulators: Any, expected: Any
) -> None:
    found = results_of(make, values, accumulators)
    assert found.type == expected.type
    assert repr(found.to_pylist()) == repr(expected.to_pylist())


@pytest.mark.parametrize(
    ("make", "values", "accumulators"),
    [
        (agg.sum, WHOLE, [2**63]),
        (agg.sum, REAL, [0, 0.5]),
        (agg.first, TEXT, [["\ud800"], ["a"]]),
    ],
)
def test_results_that_arrow_would_change_are_left_to_the_caller(
    make: Any, values: Any, accumulators: Any
) -> None:
    assert results_of(make, values, accumulators) is None


def test_results_stay_when_the_accumulators_they_came_from_change() -> None:
    folds, _ = folds_of(agg.sum, WHOLE)
    kept = np.array([1, 2])
    found = folds.results([kept])
    kept[:] = 9
    assert found is not None
    assert found[0].to_pylist() == [1, 2]
