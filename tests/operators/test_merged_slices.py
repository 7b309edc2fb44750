"""Slices of rows that are merged as arrays give what merging accumulators one by one gives."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet import SlidingEventTimeWindows
from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.elements import RowBatch
from streamlet.operators import merged_keys, merged_slices, ordered_keys, slice_arrays
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.merged_slices import ARRAYS_FROM
from streamlet.operators.operator import Output
from streamlet.operators.slice_arrays import SliceArrays
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.testing import OperatorHarness
from tests.operators.sliced_model import Subtasks

SLIDING = SlidingEventTimeWindows.of(15, 5)
AGGREGATES = {"n": agg.count(), "sum": agg.sum(1), "least": agg.min(1), "most": agg.max(1)}


def sliced() -> SlicedWindowOperator:
    contents = AggContents(NamedAggregates(AGGREGATES), ("key",))
    return SlicedWindowOperator(SLIDING, 5, contents, None)


def fired(records: list[tuple[Any, Any, int]], arrays_from: int, budget: int = 4_096) -> list[Any]:
    """What (key, value, timestamp) gives, as text that tells 1 from 1.0 and 0.0 from -0.0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merged_slices, "ARRAYS_FROM", arrays_from)
        patch.setattr(ordered_keys, "_BLOCK", 1)
        patch.setattr(merged_keys, "_FIRED_AT_ONCE", 20)
        patch.setattr(slice_arrays, "_MERGED_AT_ONCE", 2)
        with OperatorHarness(sliced, key_by=0, firing_budget=budget) as harness:
            for key, value, timestamp in records:
                harness.send((key, value), timestamp)
                harness.watermark(timestamp - 12)
            harness.finish()
            return list(map(repr, harness.output_with_timestamps()))


@pytest.fixture
def merges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys each window had of which several slices were merged as arrays."""
    merging, sizes = SliceArrays.merging, list[int]()

    def counted(arrays: SliceArrays, spans: Any) -> Any:
        merged = yield from merging(arrays, spans)
        if len(spans) > 1:
            sizes.append(0 if merged is None else len(merged))
        return merged

    monkeypatch.setattr(SliceArrays, "merging", counted)
    return sizes


WHOLE = st.one_of(st.integers(-9, 9), st.sampled_from([2**62, -(2**62), 2**63 - 1, 2**64]))
FLOATS = st.sampled_from([0.0, -0.0, 0.1, 0.2, 1e308, -1e308, float("inf"), float("nan")])
KEYS = st.sampled_from(["b", "a", "c"])


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.one_of(KEYS, KEYS, st.integers(0, 2)),
            st.one_of(WHOLE, FLOATS, st.none(), st.booleans()),
            st.integers(0, 40),
        ),
        max_size=20,
    )
)
def test_any_values_and_keys_give_the_same_results(records: list[tuple[Any, Any, int]]) -> None:
    """SQL-3: also beyond 64 bits, for keys that do not compare, and for records out of order."""
    assert fired(records, 1) == fired(records, 10**9)


@pytest.mark.parametrize(
    ("values", "is_merged"),
    [
        ([1, -2, 3], True),
        ([0.1, 0.2, 0.3], True),
        ([-0.0, 0.0, -0.0], True),
        ([1e308, 1e308, 1e308], True),
        ([2**62, 2**62, 2**62], False),
        ([2**64, 1, 1], False),
        ([1, 1.0, 1], False),
        ([True, False, True], False),
        ([None, None, None], False),
        ([Decimal(1), Decimal(2), Decimal(3)], False),
        ([float("inf"), 1.0, 2.0], False),
        ([float("nan"), 1.0, 2.0], False),
    ],
    ids=str,
)
def test_values_are_merged_as_arrays_where_nothing_gets_lost(
    values: list[Any], is_merged: bool, merges: list[int]
) -> None:
    records = [(key, value, 5 * n) for n, value in enumerate(values) for key in "ba"]
    assert fired(records, 1) == fired(records, 10**9)
    assert (max(merges, default=0) == 2) == is_merged


@pytest.mark.parametrize("keys", [[3, 1, 2], ["b", "ä", "a"], [(2, "a"), (1, "b")], [None]])
def test_keys_fire_in_their_order_and_as_they_are(keys: list[Any], merges: list[int]) -> None:
    records = [(key, 1, timestamp) for timestamp in (1, 6) for key in keys]
    assert fired(records, 1) == fired(records, 10**9)
    assert len(keys) in merges


def test_keys_that_do_not_compare_fire_as_if_one_by_one(merges: list[int]) -> None:
    records = [(key, 1, timestamp) for timestamp in (1, 6, 11) for key in (date(2026, 1, 1), 1)]
    assert fired(records, 1) == fired(records, 10**9)
    assert not any(merges)


def test_a_slice_that_changes_after_it_was_merged_is_read_again(merges: list[int]) -> None:
    """SQL-3: a record behind a window that has fired counts into those that have not."""
    with pytest.MonkeyPatch.context() as patch, OperatorHarness(sliced, key_by=0) as harness:
        patch.setattr(merged_slices, "ARRAYS_FROM", 1)
        for timestamp in (1, 6):
            harness.send(("k", 1), timestamp)
        harness.watermark(9)
        harness.send(("k", 5), 7)
        harness.finish()
        assert [row["sum"] for row in harness.output()] == [1, 2, 7, 6]
    assert merges == [1, 1]


def test_small_slices_do_not_load_numpy(merges: list[int]) -> None:
    records = [(key, 1, timestamp) for timestamp in (1, 6) for key in range(9)]
    assert len(fired(records, ARRAYS_FROM)) == 4 * 9
    assert merges == []


def test_a_large_window_fires_within_the_budget(
    merges: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One window ends with a piece of a single key, and the next follows in another call."""
    advance, calls = SlicedWindowOperator.advance_watermark, list[int]()

    def counted(operator: Any, watermark_ms: int, budget: int, out: Output) -> bool:
        is_done = advance(operator, watermark_ms, budget, out)
        calls.append(sum(len(batch) for batch in out.elements if isinstance(batch, RowBatch)))
        return is_done

    records = [(key, key, timestamp) for timestamp in (1, 6) for key in range(50)]
    at_once = fired(records, 10**9)
    monkeypatch.setattr(SlicedWindowOperator, "advance_watermark", counted)
    assert fired(records, 1, budget=7) == at_once
    assert merges == [50, 50]
    assert max(calls) == 7


def test_keys_that_no_window_has_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers begin anew, and the slices that are still there are learnt once more."""
    monkeypatch.setattr(merged_slices, "ARRAYS_FROM", 1)
    monkeypatch.setattr("streamlet.operators.column_spans.FORGOTTEN_FROM", 10)
    with OperatorHarness(sliced, key_by=0) as harness:
        numbered = []
        for start in range(0, 500, 5):
            harness.send_batch([(start + n, 1) for n in range(5)], [start] * 5)
            harness.watermark(start)
            operator: Any = harness._operator
            arrays = operator._merged_slices._arrays
            numbered.append(0 if arrays is None else len(arrays._keys))
        harness.finish()
        assert [row["key"] for row in harness.output() if row["window_end"] == 300] == (
            list(range(285, 300))
        )
    assert 15 <= max(numbered) <= 8 * 5 + 15


def test_restored_slices_are_merged_as_those_that_were_never_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merges: list[int]
) -> None:
    """SQL-3: of a checkpoint between two windows, in memory and on disk."""
    monkeypatch.setattr(merged_slices, "ARRAYS_FROM", 1)
    results = []
    for backend in ("heap", "rocksdb"):
        subtasks = Subtasks(SLIDING, backend, tmp_path)
        subtasks.send([(key, time) for time in (1, 6, 7, 11) for key in "cab"])
        subtasks.watermark(4, 0)
        subtasks.restore(subtasks.snapshot(), 1)
        subtasks.send([("a", 12)])
        subtasks.watermark(50, 0)
        results.append(subtasks.fired)
        assert subtasks.state_size() == 0
        subtasks.close()
    assert results[0] == results[1]
    assert len(results[0]) == 15
    assert merges
