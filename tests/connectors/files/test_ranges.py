"""Ranges of checkpoint ids against plain sets of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamlet.connectors.files.ranges import Ranges, common, joined, minus, united, without

IDS = st.sets(st.integers(1, 12))


def ranges(ids: set[int]) -> Ranges:
    return joined((one, one) for one in ids)


@given(IDS, IDS)
def test_ranges_are_sets_of_ids(one: set[int], other: set[int]) -> None:
    assert without(ranges(one), ranges(other)) == ranges(one - other)
    assert common(ranges(one), ranges(other)) == ranges(one & other)
    assert joined([*ranges(one), *ranges(other)]) == ranges(one | other)


@given(IDS)
def test_joined_ranges_are_ascending_and_apart(ids: set[int]) -> None:
    found = ranges(ids)
    assert all(first <= last for first, last in found)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(found))


def test_runs_are_apart_and_none_is_empty() -> None:
    assert united({"a": [(1, 2)]}, {"a": [(3, 3)], "b": [(1, 1)]}) == {"a": [(1, 3)], "b": [(1, 1)]}
    assert minus({"a": [(1, 2)], "b": [(1, 1)]}, {"b": [(1, 9)]}) == {"a": [(1, 2)]}
