"""Which windows an element belongs to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.elements import MIN_TIMESTAMP
from streamlet.errors import ConfigError, RecordError
from streamlet.eventtime.windows import (
    CumulativeEventTimeWindows,
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    Window,
)


def untyped(value: Any) -> Any:
    """What a user without a type checker may pass."""
    return value


STARTS = [
    (-1, 0, 7, -7), (-7, 0, 7, -7), (-8, 0, 7, -14), (1, 3, 7, -4), (3, 3, 7, 3), (-10, 3, 7, -11),
    (-3, -2, 7, -9), (0, -5, 20, -5), (-12345, 100, 1000, -12900),
]  # fmt: skip


@pytest.mark.parametrize(("timestamp", "offset", "size", "start"), STARTS)
def test_start_of_a_tumbling_window(timestamp: Any, offset: Any, size: Any, start: Any) -> None:
    """WN-1."""
    assigner = TumblingEventTimeWindows.of(size, offset)
    assert assigner.spans(timestamp) == [(start, start + size)]
    assert assigner.assign_windows("x", timestamp) == [Window(start, start + size)]
    assert assigner.slide_ms == assigner.size_ms == size


@pytest.mark.parametrize(("timestamp", "offset", "slide", "start"), STARTS)
def test_newest_sliding_window_starts_like_a_tumbling_one(
    timestamp: Any, offset: Any, slide: Any, start: Any
) -> None:
    """WN-1, WN-3."""
    assigner = SlidingEventTimeWindows.of(3 * slide, slide, offset)
    assert list(assigner.starts(timestamp)) == [start, start - slide, start - 2 * slide]


def test_sliding_windows_come_newest_first() -> None:
    """WN-3."""
    assigner = SlidingEventTimeWindows.of("10s", "5s")
    assert assigner.assign_windows("x", 12_345) == [Window(10_000, 20_000), Window(5_000, 15_000)]


def test_size_that_is_no_multiple_of_the_slide() -> None:
    """WN-3."""
    starts = SlidingEventTimeWindows.of(5, 2).starts
    assert [list(starts(timestamp)) for timestamp in (4, 5)] == [[4, 2, 0], [4, 2]]


def test_element_between_windows_belongs_to_none() -> None:
    """WN-3."""
    starts = SlidingEventTimeWindows.of(2, 5).starts
    assert [list(starts(timestamp)) for timestamp in range(5)] == [[0], [0], [], [], []]


@given(
    st.integers(-(10**12), 10**12),
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.floats(-0.999, 0.999),
)
def test_element_is_in_exactly_the_windows_that_contain_it(
    timestamp: Any, size: Any, slide: Any, shift: Any
) -> None:
    """WN-2, WN-3: windows are [start, end)."""
    size, offset = min(size, 50 * slide), int(shift * slide)
    starts = list(SlidingEventTimeWindows.of(size, slide, offset).starts(timestamp))
    assert all(start <= timestamp < start + size for start in starts)
    assert all((start - offset) % slide == 0 for start in starts)
    assert starts == sorted(starts, reverse=True)
    oldest, newest = (starts[-1], starts[0]) if starts else (None, None)
    if starts:
        assert oldest - slide + size <= timestamp < newest + slide
    else:
        assert (timestamp - offset) % slide >= size


def test_window_is_a_tuple_and_ends_before_its_end() -> None:
    """WN-2."""
    window = Window(10, 20)
    assert window.max_timestamp() == 19
    assert window == (10, 20)
    assert sorted([Window(10, 20), Window(5, 30), Window(5, 20)])[0] == Window(5, 20)
    assert len({window, Window(10, 20)}) == 1


def test_session_lasts_from_the_element_for_the_gap() -> None:
    """WN-10."""
    assigner = EventTimeSessionWindows.with_gap("3s")
    assert assigner.gap_of("x") == 3_000
    assert assigner.assign_windows("x", 100) == [Window(100, 3_100)]


@pytest.mark.parametrize(("gap", "gap_ms"), [(5, 5), ("2s", 2_000)])
def test_dynamic_gap_comes_from_the_element(gap: Any, gap_ms: Any) -> None:
    """WN-10."""
    assigner = EventTimeSessionWindows.with_dynamic_gap(lambda element: element["gap"])
    assert assigner.gap_of({"gap": gap}) == gap_ms
    assert assigner.assign_windows({"gap": gap}, 100) == [Window(100, 100 + gap_ms)]


@pytest.mark.parametrize("gap", [0, -1, 1.5, None, "soon"])
def test_dynamic_gap_that_is_no_positive_duration_is_refused_with_the_record(gap: Any) -> None:
    """WN-10."""
    assigner = EventTimeSessionWindows.with_dynamic_gap(lambda element: element["gap"])
    with pytest.raises(RecordError, match="'gap'"):
        assigner.gap_of({"gap": gap})


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: TumblingEventTimeWindows.of(0), "size"),
        (lambda: TumblingEventTimeWindows.of("-1s"), "size"),
        (lambda: TumblingEventTimeWindows.of(10, 10), "offset"),
        (lambda: TumblingEventTimeWindows.of(10, -10), "offset"),
        (lambda: SlidingEventTimeWindows.of(0, 5), "size"),
        (lambda: SlidingEventTimeWindows.of(10, 0), "slide"),
        (lambda: SlidingEventTimeWindows.of(10, -5), "slide"),
        (lambda: SlidingEventTimeWindows.of(10, 5, 5), "offset"),
        (lambda: SlidingEventTimeWindows.of(10, 5, -5), "offset"),
        (lambda: EventTimeSessionWindows.with_gap(0), "gap"),
        (lambda: EventTimeSessionWindows.with_gap("-1m"), "gap"),
        (lambda: EventTimeSessionWindows.with_dynamic_gap(untyped(5)), "with_gap"),
        (lambda: TumblingEventTimeWindows.of(untyped(1.5)), "1.5"),
    ],
)
def test_window_that_cannot_be_is_refused_naming_the_argument(build: Any, name: Any) -> None:
    """WN-2, WN-10."""
    with pytest.raises(ConfigError, match=name):
        build()


@pytest.mark.parametrize("timestamp", [None, MIN_TIMESTAMP])
@pytest.mark.parametrize(
    "assigner",
    [
        TumblingEventTimeWindows.of(10),
        SlidingEventTimeWindows.of(10, 5),
        EventTimeSessionWindows.with_gap(10),
    ],
)
def test_element_without_event_time_is_refused(assigner: Any, timestamp: Any) -> None:
    """WN-4."""
    with pytest.raises(RecordError, match="with_timestamp_assigner"):
        assigner.assign_windows({"n": 1}, timestamp)
    assert assigner.is_event_time()


@given(st.integers(-(10**9), 10**9), st.integers(1, 50), st.integers(1, 9), st.integers(-50, 50))
def test_element_is_in_the_cumulative_windows_that_end_after_it(
    timestamp: int, step: int, steps: int, offset: int
) -> None:
    """SQL-2: [start, start + k * step) for every k up to the max size."""
    size, offset = step * steps, offset % (step * steps)
    windows = CumulativeEventTimeWindows.of(size, step, offset).assign_windows("x", timestamp)
    start = windows[0].start
    assert (start - offset) % size == 0
    assert start <= timestamp < start + size
    ends = [start + step * k for k in range(1, steps + 1)]
    assert windows == [Window(start, end) for end in ends if timestamp < end]


@pytest.mark.parametrize(("size", "step"), [("10s", "3s"), ("3s", "10s")])
def test_step_of_cumulative_windows_divides_their_size(size: str, step: str) -> None:
    """SQL-2."""
    with pytest.raises(ConfigError, match="must divide"):
        CumulativeEventTimeWindows.of(size, step)


def test_slices_are_as_long_as_windows_of_whole_slices_allow() -> None:
    """SQL-2, SQL-3."""
    assert SlidingEventTimeWindows.of(10, 5).slice_ms == 5
    assert SlidingEventTimeWindows.of(10, 4).slice_ms is None
    assert SlidingEventTimeWindows.of(2, 10).slice_ms is None
    assert CumulativeEventTimeWindows.of(15, 5).slice_ms == 5
