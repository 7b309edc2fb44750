"""Sessions that touch are one, in whatever order their elements come."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.eventtime.sessions import Merge, merge_session

TWO = [(0, 10), (20, 30)]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(12, 18, Merge(1, 1, 12, 18), id="between"),
        pytest.param(-9, -1, Merge(0, 0, -9, -1), id="before"),
        pytest.param(31, 40, Merge(2, 2, 31, 40), id="after"),
        pytest.param(2, 8, Merge(0, 1, 0, 10), id="swallowed"),
        pytest.param(5, 15, Merge(0, 1, 0, 15), id="prolongs"),
        pytest.param(15, 25, Merge(1, 2, 15, 30), id="begins earlier"),
        pytest.param(10, 15, Merge(0, 1, 0, 15), id="touches the end"),
        pytest.param(15, 20, Merge(1, 2, 15, 30), id="touches the start"),
        pytest.param(5, 25, Merge(0, 2, 0, 30), id="bridges"),
        pytest.param(10, 20, Merge(0, 2, 0, 30), id="bridges by touching"),
        pytest.param(-5, 50, Merge(0, 2, -5, 50), id="covers all"),
    ],
)
def test_new_session_among_two(start: Any, end: Any, expected: Any) -> None:
    """WN-10."""
    assert merge_session(TWO, start, end) == expected


def test_first_session_of_a_key_is_new() -> None:
    assert merge_session([], 5, 8) == Merge(0, 0, 5, 8)


def sessions_of(elements: Any) -> Any:
    sessions: list[tuple[int, int]] = []
    for start, length in elements:
        merge = merge_session(sessions, start, start + length)
        sessions[merge.first : merge.stop] = [(merge.start, merge.end)]
    return sessions


elements = st.lists(st.tuples(st.integers(-60, 60), st.integers(1, 8)), max_size=30)


@given(elements)
def test_sessions_are_ordered_never_touch_and_cover_just_their_elements(taken: Any) -> None:
    """§3.4 invariants, WN-10."""
    sessions = sessions_of(taken)
    assert all(a[1] < b[0] for a, b in pairwise(sessions))
    covered = {at for start, length in taken for at in range(start, start + length)}
    assert covered == {at for start, end in sessions for at in range(start, end)}


@given(elements.flatmap(lambda taken: st.tuples(st.just(taken), st.permutations(taken))))
def test_order_of_elements_does_not_matter(orders: Any) -> None:
    """§3.4 invariants."""
    one, other = orders
    assert sessions_of(one) == sessions_of(other)
