"""Accumulators in arrays come back as they were, of the same types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.column_folds.kept import (
    FLOATS,
    INTS,
    OBJECTS,
    Older,
    kept_array,
    pairs_of,
    with_fresh,
)
from streamlet.column_folds.named import NamedFolds


@pytest.mark.parametrize(
    ("accumulators", "dtype", "expected"),
    [
        ([-(2**63), 2**63 - 1], INTS, INTS),
        ([2**63], INTS, OBJECTS),
        ([1, True], INTS, OBJECTS),
        ([1, None], INTS, OBJECTS),
        ([1, 0.0], INTS, OBJECTS),
        ([0.5, -0.0], FLOATS, FLOATS),
        ([0.5, 0], FLOATS, OBJECTS),
        ([np.float64(0.5)], FLOATS, OBJECTS),
        ([(1, 2), (0, 0)], pairs_of(INTS), pairs_of(INTS)),
        ([(2**63, 2)], pairs_of(INTS), OBJECTS),
        ([(0.5, 2)], pairs_of(FLOATS), pairs_of(FLOATS)),
        ([(0.5, 2), (0, 0)], pairs_of(FLOATS), OBJECTS),
        ([[1], []], OBJECTS, OBJECTS),
        ([(1, 2)], OBJECTS, OBJECTS),
        ([1, 2], OBJECTS, OBJECTS),
        ([], INTS, INTS),
        ([], pairs_of(INTS), pairs_of(INTS)),
    ],
)
def test_kept_array_is_of_objects_where_numbers_would_not_come_back_as_they_were(
    accumulators: list[Any], dtype: Any, expected: Any
) -> None:
    kept = kept_array(accumulators, dtype)
    assert kept.dtype == expected
    assert kept.shape == (len(accumulators),)
    assert repr(kept.tolist()) == repr(accumulators)


def test_older_objects_become_numbers_and_those_that_met_only_nulls_are_new() -> None:
    kept = np.array([1.5, 0, -0.0, "nothing"], OBJECTS)
    older = Older(kept, np.array([False, False, False, True]))
    typed = older.typed(FLOATS, 0)
    assert typed is not None
    assert repr(typed.kept.tolist()) == "[1.5, 0.0, -0.0, 0.0]"
    assert typed.is_new.tolist() == [False, True, False, True]
    assert older.accumulators(0) == [1.5, 0, -0.0, 0]


@pytest.mark.parametrize("accumulator", [1, 2**64, False, None, "text"])
def test_older_objects_that_are_no_such_numbers_stay_objects(accumulator: Any) -> None:
    older = Older(np.array([1.5, accumulator], OBJECTS), np.array([False, False]))
    assert older.typed(FLOATS, 0) is None


def test_fresh_tuple_stands_among_tuples_of_floats() -> None:
    kept = kept_array([(0.5, 1), (0.25, 2)], pairs_of(FLOATS))
    assert with_fresh(kept, np.array([False, False]), (0, 0)) is kept
    found = with_fresh(kept, np.array([False, True]), (0, 0))
    assert repr(found.tolist()) == "[(0.5, 1), (0, 0)]"


def test_dtypes_follow_the_aggregate_and_the_type_of_its_column() -> None:
    schema = pa.schema({"w": pa.uint8(), "r": pa.float32(), "b": pa.bool_(), "t": pa.string()})

    def dtypes(*aggregates: Any) -> Any:
        named = NamedAggregates({str(at): each for at, each in enumerate(aggregates)})
        folds = NamedFolds.of(named, schema)
        return None if folds is None else folds.dtypes

    assert dtypes(agg.count(), agg.sum("w"), agg.sum("b"), agg.max("w")) == [INTS] * 4
    assert dtypes(agg.sum("r"), agg.min("r")) == [FLOATS] * 2
    assert dtypes(agg.mean("w"), agg.mean("b")) == [pairs_of(INTS)] * 2
    assert dtypes(agg.mean("r")) == [pairs_of(FLOATS)]
    assert dtypes(agg.max("b"), agg.max("t"), agg.mean("t"), agg.first("w")) == [OBJECTS] * 4
