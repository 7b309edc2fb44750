"""Batches of columns, and what groups may have before them, for tests that try many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from streamlet import aggregates as agg
from streamlet.column_folds.groups import Groups
from streamlet.folds import Aggregate, First, Last, Max, Mean, Min, Sum

NAN = float("nan")
MAKERS = [agg.sum, agg.min, agg.max, agg.mean, agg.first, agg.last]


def whole(bits: int, is_signed: bool) -> st.SearchStrategy[int]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    edges = [value for value in (low, low + 1, -1, 0, 1, high - 1, high) if low <= value]
    return st.one_of(st.sampled_from(edges), st.integers(low, high))


SMALL = st.integers(-9, 9)
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
    (pa.int64(), SMALL),
    (pa.uint8(), whole(8, False)),
    (pa.uint16(), whole(16, False)),
    (pa.uint32(), whole(32, False)),
    (pa.uint64(), whole(64, False)),
    (pa.uint64(), whole(63, False)),
    (pa.float16(), st.floats(width=16).map(np.float16)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), FLOATS),
    (pa.float64(), st.floats(-100, 100).map(lambda value: value + 0.0 or 1.5)),
    (pa.bool_(), st.booleans()),
    (pa.null(), st.none()),
    (pa.string(), st.text(max_size=2)),
    (pa.decimal128(9, 2), st.decimals(-999, 999, places=2)),
    (pa.timestamp("us"), st.datetimes()),
]


@st.composite
def columns(draw: Any, rows: int) -> Any:
    """One column; some have nulls."""
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


TOTALS = [SMALL, whole(64, True), whole(70, True), FLOATS.map(lambda value: value + 0.0)]
"""No sum that starts with 0 is ever -0.0."""
BESTS = [SMALL, whole(64, True), whole(65, False), FLOATS, st.booleans(), st.text(max_size=1)]


@st.composite
def accumulators(draw: Any, aggregate: Aggregate, count: int) -> list[Any]:
    """What an aggregate may have for so many groups: mostly of one kind, or still as at first."""
    if type(aggregate) in (Sum, Mean):
        values = draw(st.sampled_from([*TOTALS, st.one_of(TOTALS)]))
    elif type(aggregate) in (Min, Max, First, Last):
        values = draw(st.sampled_from([*BESTS, st.one_of(BESTS)]))
    else:
        values = st.integers(0, 2**40)
    if type(aggregate) is Mean:
        values = st.tuples(values, st.integers(1, 9))
    if type(aggregate) in (First, Last):
        values = st.lists(values, min_size=1, max_size=1)
    if draw(st.booleans()):
        values = st.one_of(values, st.builds(aggregate.create))
    found: list[Any] = draw(st.lists(values, min_size=count, max_size=count))
    return found


def grouped(keys: list[int], more: set[int]) -> tuple[list[int], Groups]:
    """The keys with rows, then those of `more` that have none; and a group for each."""
    distinct = list(dict.fromkeys([*keys, *sorted(more)]))
    codes = [distinct.index(key) for key in keys]
    return distinct, Groups(np.array(codes, np.int32), len(distinct))
