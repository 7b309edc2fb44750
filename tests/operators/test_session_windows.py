"""Session windows: golden traces, merging in any order, and nothing left at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet import OutputTag, ProcessWindowFunction, ValueStateDescriptor
from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.elements import MAX_TIMESTAMP
from streamlet.errors import RecordError
from streamlet.eventtime.windows import EventTimeSessionWindows, Window
from streamlet.functions import AggregateFunction
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.session import SessionWindowOperator
from streamlet.operators.window_contents import (
    AggregateContents,
    ListContents,
    ReduceContents,
    WindowContents,
)
from streamlet.testing import OperatorHarness, at, run_in_five_modes, watermark

LATE: OutputTag[Any] = OutputTag("late")
# Each restore opens a database anew.
BACKENDS = ["heap", pytest.param("rocksdb", marks=pytest.mark.slow)]


def total(a: tuple[str, int], b: tuple[str, int]) -> tuple[str, int]:
    return a[0], a[1] + b[1]


def with_bounds(key: Any, window: Window, result: Any) -> tuple[Any, ...]:
    return window.start, window.end, result[1]


def summed() -> WindowContents:
    return ReduceContents(total, with_bounds)


def listed() -> WindowContents:
    return ListContents(lambda key, window, values: (key, window.start, window.end, values))


def sessions(
    contents: Callable[[], WindowContents] = summed,
    assigner: EventTimeSessionWindows | None = None,
    lateness_ms: int = 0,
) -> Callable[[], SessionWindowOperator]:
    gap = assigner or EventTimeSessionWindows.with_gap(3_000)
    return lambda: SessionWindowOperator(gap, contents(), lateness_ms, LATE.id)


def one(timestamp: int) -> Any:
    return at(timestamp, ("k", 1))


GOLDEN = [
    one(1_000),
    watermark(1_999),
    one(2_000),
    watermark(4_998),
    one(4_500),
    one(8_500),
    watermark(7_400),
    one(7_000),
    watermark(11_501),
    one(11_600),
    watermark(14_600),
    one(10_000),
    one(14_500),
    watermark(20_000),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_golden_trace_without_lateness(backend: str) -> None:
    """WN-10, WN-20, WN-21; semantics 3.4."""
    outcome = run_in_five_modes(sessions(), GOLDEN, key_by=0, backend=backend)
    assert outcome.main == [
        at(11_499, (1_000, 11_500, 5)),
        at(14_599, (11_600, 14_600, 1)),
        at(17_499, (14_500, 17_500, 1)),
    ]
    assert outcome.side == {LATE.id: [at(10_000, ("k", 1))]}


@pytest.mark.parametrize("backend", BACKENDS)
def test_golden_trace_with_lateness(backend: str) -> None:
    """WN-26: the late element merges into a session that has fired, which fires at once."""
    outcome = run_in_five_modes(sessions(lateness_ms=10), GOLDEN, key_by=0, backend=backend)
    assert outcome.main == [
        at(11_499, (1_000, 11_500, 5)),
        at(14_599, (11_600, 14_600, 1)),
        at(14_599, (10_000, 14_600, 2)),
        at(17_499, (10_000, 17_500, 3)),
    ]
    assert outcome.side == {}


def test_elements_exactly_a_gap_apart_are_one_session() -> None:
    """WN-10."""
    script = [one(0), one(3_000), one(6_001)]
    outcome = run_in_five_modes(sessions(), script, key_by=0)
    assert outcome.values() == [(0, 6_000, 2), (6_001, 9_001, 1)]


def test_a_bridge_merges_lists_oldest_first() -> None:
    script = [at(t, ("k", t)) for t in (6_000, 0, 3_500, 3_000)]
    outcome = run_in_five_modes(sessions(listed), script, key_by=0)
    elements = [("k", 0), ("k", 6_000), ("k", 3_500), ("k", 3_000)]
    assert outcome.values() == [("k", 0, 9_000, elements)]


def test_a_dynamic_gap_may_reach_over_later_sessions() -> None:
    def gap(value: tuple[str, int]) -> int:
        return value[1]

    assigner = EventTimeSessionWindows.with_dynamic_gap(gap)
    script = [at(0, ("k", 5)), at(100, ("k", 5)), at(200, ("k", 5)), at(50, ("k", 60))]
    outcome = run_in_five_modes(sessions(listed, assigner), script, key_by=0)
    assert [value[1:3] for value in outcome.values()] == [(0, 5), (50, 110), (200, 205)]


def test_a_gap_that_is_not_positive_names_the_record() -> None:
    """WN-10."""
    assigner = EventTimeSessionWindows.with_dynamic_gap(lambda value: 0)
    with (
        OperatorHarness(sessions(assigner=assigner), key_by=0) as harness,
        pytest.raises(RecordError, match="'k', 1"),
    ):
        harness.send(("k", 1), 5)


def test_a_record_without_timestamp_is_refused() -> None:
    """WN-4."""
    with (
        OperatorHarness(sessions(), key_by=0) as harness,
        pytest.raises(RecordError, match="timestamp"),
    ):
        harness.send(("k", 1))


def test_an_element_that_merges_a_fired_session_into_an_open_one_waits_for_its_end() -> None:
    """The fired session is retained; the merged one ends later, so it has not fired yet."""
    script = [one(0), one(5_900), watermark(3_500), one(2_950), watermark(20_000)]
    outcome = run_in_five_modes(sessions(lateness_ms=5_000), script, key_by=0)
    assert outcome.values() == [(0, 3_000, 1), (0, 8_900, 3)]


def test_dropped_late_elements_are_counted() -> None:
    """Semantics 3.2 step 4."""
    gap = EventTimeSessionWindows.with_gap(3_000)
    outcome = run_in_five_modes(
        lambda: SessionWindowOperator(gap, summed(), 0, None),
        [watermark(10_000), one(7_000), one(7_002)],
        key_by=0,
    )
    assert outcome.metrics["numLateRecordsDropped"] == 1
    assert outcome.values() == [(7_002, 10_002, 1)]


def test_keys_have_sessions_of_their_own() -> None:
    script = [at(0, ("a", 1)), at(1, ("b", 2)), at(10, ("a", 3))]
    outcome = run_in_five_modes(sessions(listed), script, key_by=0)
    assert outcome.values() == [
        ("b", 1, 3_001, [("b", 2)]),
        ("a", 0, 3_010, [("a", 1), ("a", 3)]),
    ]


class Longest(AggregateFunction[tuple[str, int], list[int], int]):
    """Counts merges, to see that `merge` is called for sessions (WN-43)."""

    def create_accumulator(self) -> list[int]:
        return [0, 0]

    def add(self, value: tuple[str, int], accumulator: list[int]) -> list[int]:
        accumulator[0] += value[1]
        return accumulator

    def get_result(self, accumulator: list[int]) -> Any:
        return accumulator

    def merge(self, a: list[int], b: list[int]) -> list[int]:
        return [a[0] + b[0], a[1] + b[1] + 1]


def test_accumulators_are_merged_once_per_bridge() -> None:
    """WN-43."""
    script = [one(0), one(6_000), one(3_000), one(3_001)]
    contents = lambda: AggregateContents(Longest())  # noqa: E731
    outcome = run_in_five_modes(sessions(contents), script, key_by=0)
    assert outcome.values() == [[4, 1]]


class Sizes(ProcessWindowFunction):
    """Numbers the sessions of a key."""

    def open(self, ctx: Any) -> None:
        self.closed = 0

    def process(self, key: Any, ctx: Any, elements: Any) -> Any:
        count = ctx.global_state().get_state(ValueStateDescriptor("count", int, default=0))
        count.update(count.value() + 1)
        yield key, count.value(), len(elements), ctx.window(), ctx.current_watermark()

    def clear(self, ctx: Any) -> None:
        self.closed += 1


def test_a_process_function_has_global_state_and_the_new_watermark() -> None:
    script = [one(0), watermark(5_000), one(9_000), one(9_001)]
    contents = lambda: ListContents(Sizes())  # noqa: E731
    outcome = run_in_five_modes(sessions(contents), script, key_by=0, ends_empty=False)
    assert outcome.values() == [
        ("k", 1, 1, Window(0, 3_000), 5_000),
        ("k", 2, 2, Window(9_000, 12_001), MAX_TIMESTAMP),
    ]


class WithWindowState(ProcessWindowFunction):
    def process(self, key: Any, ctx: Any, elements: Any) -> Any:
        ctx.window_state()
        yield key


def test_window_state_is_refused_for_sessions() -> None:
    """WN-27."""
    with OperatorHarness(sessions(lambda: ListContents(WithWindowState())), key_by=0) as harness:
        harness.send(("k", 1), 0)
        with pytest.raises(TypeError, match="global_state"):
            harness.finish()


def brute_force(events: list[tuple[str, int]], gap_ms: int) -> list[tuple[str, int, int, int]]:
    """Sessions by sorting each key's timestamps."""
    found = []
    for key in {key for key, _ in events}:
        times = sorted(t for k, t in events if k == key)
        start, last, count = times[0], times[0], 0
        for time in times:
            if time - last > gap_ms:
                found.append((key, start, last + gap_ms, count))
                start, count = time, 0
            last, count = time, count + 1
        found.append((key, start, last + gap_ms, count))
    return sorted(found)


EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 120)), min_size=1, max_size=14)


@pytest.mark.slow
@given(EVENTS, st.integers(1, 30))
def test_sessions_are_the_same_in_whatever_order_elements_come(
    events: list[tuple[str, int]], gap_ms: int
) -> None:
    contents = lambda: ListContents(lambda key, w, values: (key, w.start, w.end, len(values)))  # noqa: E731
    assigner = EventTimeSessionWindows.with_gap(gap_ms)
    script = [at(time, (key, 0)) for key, time in events]
    outcome = run_in_five_modes(sessions(contents, assigner), script, key_by=0)
    assert sorted(outcome.values()) == brute_force(events, gap_ms)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=14),
    st.sampled_from([0, 1, 7, 40]),
)
def test_each_element_is_late_or_in_a_final_session_and_nothing_is_left(
    events: list[tuple[int, bool]], lateness_ms: int
) -> None:
    """With watermarks in between: no mode differs, no element is lost, none counts twice."""
    script: list[Any] = []
    for index, (time, is_watermark) in enumerate(events):
        script.append(watermark(time) if is_watermark else at(time, ("k", index)))
    assigner = EventTimeSessionWindows.with_gap(10)
    operator = sessions(listed, assigner, lateness_ms)
    outcome = run_in_five_modes(operator, script, key_by=0)
    late = {value[1] for value in outcome.side_values(LATE)}
    final: dict[int, tuple[int, int]] = {}
    for _, start, end, elements in outcome.values():
        for _, index in elements:
            final[index] = (start, end)
    assert late.isdisjoint(final)
    assert late | set(final) == {
        i for i, (_, is_watermark) in enumerate(events) if not is_watermark
    }


def test_a_key_may_begin_anew_after_its_stored_session_is_gone() -> None:
    """The removal of a session that a checkpoint holds is marked until the next checkpoint."""
    with OperatorHarness(sessions(), key_by=0) as harness:
        harness.send(("k", 1), 0)
        harness.snapshot()
        harness.watermark(5_000)
        harness.send(("k", 2), 9_000)
        harness.send(("k", 3), 9_001)
        harness.finish()
        assert harness.output() == [(0, 3_000, 1), (9_000, 12_001, 5)]
        assert harness.state_size() == 0


def collected() -> WindowContents:
    return AggContents(NamedAggregates({"all": agg.collect(), "records": agg.count()}), ("key",))


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("ab"), st.integers(0, 40)),
            st.tuples(st.none(), st.integers(0, 40)),
        ),
        max_size=14,
    ),
    st.sampled_from([0, 4]),
    st.booleans(),
)
def test_folded_batches_give_what_lists_of_the_elements_do(
    events: list[tuple[str | None, int]], lateness_ms: int, is_dynamic: bool
) -> None:
    """WN-10, WN-26: merging, firing at once and being late in the middle of a batch."""
    script: list[Any] = [
        watermark(time) if key is None else at(time, (key, index))
        for index, (key, time) in enumerate(events)
    ]
    gap = EventTimeSessionWindows.with_gap(5)
    if is_dynamic:
        gap = EventTimeSessionWindows.with_dynamic_gap(lambda value: 3 + value[1] % 3)
    lists = run_in_five_modes(sessions(listed, gap, lateness_ms), script, key_by=0)
    folds = run_in_five_modes(sessions(collected, gap, lateness_ms), script, key_by=0)
    rows = [tuple(row.values()) for row in folds.values()]
    assert [row[:4] for row in rows] == lists.values()
    assert all(row[4] == len(row[3]) for row in rows)
    assert folds.side == lists.side


@pytest.mark.parametrize("lateness_ms", [0, 5_000])
def test_an_error_in_a_fold_names_the_record(lateness_ms: int) -> None:
    """Those before it in the batch are folded first, as one merges two sessions."""
    contents = lambda: AggContents(NamedAggregates({"total": agg.sum(1)}), ("key",))  # noqa: E731
    with OperatorHarness(sessions(contents, lateness_ms=lateness_ms), key_by=0) as harness:
        values = [("k", 1), ("k", 2), ("k", 3), ("k", "x"), ("k", 5)]
        with pytest.raises(TypeError) as caught:
            harness.send_batch(values, [0, 5_000, 2_500, 2_600, 2_700])
        assert "record ('k', 'x')" in caught.value.__notes__[0]
        assert len(caught.value.__notes__) == 1


def test_an_error_in_a_result_names_the_session() -> None:
    """Although the results of many sessions are made at once."""
    contents = lambda: AggContents(NamedAggregates({"q": agg.quantile(1, 0.5)}), ("key",))  # noqa: E731
    with OperatorHarness(sessions(contents), key_by=0) as harness:
        harness.send_batch([("a", 1), ("b", 1), ("b", "x")], [0, 0, 1])
        with pytest.raises(TypeError) as caught:
            harness.watermark(10_000)
        assert "key 'b', session [0, 3001)" in caught.value.__notes__[0]
