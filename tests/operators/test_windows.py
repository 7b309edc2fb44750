"""Tumbling and sliding windows: when they fire, how often, what is late, and what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet import OutputTag, ProcessWindowFunction, ValueStateDescriptor
from streamlet.aggregates import NamedAggregates, collect, count, first, last, quantile, top
from streamlet.aggregates import sum as total
from streamlet.elements import MAX_TIMESTAMP
from streamlet.errors import RecordError
from streamlet.eventtime.windows import (
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    Window,
)
from streamlet.functions import AggregateFunction
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.window import WindowOperator
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
TEN = TumblingEventTimeWindows.of(10)


def listed() -> WindowContents:
    return ListContents(
        lambda key, window, values: (key, window.start, window.end, [v[1] for v in values])
    )


def windows(
    assigner: TumblingEventTimeWindows | SlidingEventTimeWindows = TEN,
    contents: Callable[[], WindowContents] = listed,
    lateness_ms: int = 0,
    tag_id: str | None = LATE.id,
) -> Callable[[], WindowOperator]:
    return lambda: WindowOperator(assigner, contents(), lateness_ms, tag_id)


def k(timestamp: int, value: Any = 1) -> Any:
    return at(timestamp, ("k", value))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_window_fires_once_at_its_last_millisecond(backend: str) -> None:
    """WN-21: the result carries the window's max timestamp."""
    script = [k(0, "a"), k(9, "b"), k(10, "c"), watermark(8), watermark(9), watermark(12)]
    outcome = run_in_five_modes(windows(), script, key_by=0, backend=backend)
    assert outcome.main == [at(9, ("k", 0, 10, ["a", "b"])), at(19, ("k", 10, 20, ["c"]))]


def test_results_come_before_the_watermark_that_fires_them() -> None:
    """WM-17."""
    with OperatorHarness(windows(), key_by=0) as harness:
        harness.send(("k", 1), 5)
        harness.watermark(8)
        harness.watermark(9)
        assert harness.output_with_watermarks() == [
            watermark(8),
            at(9, ("k", 0, 10, [1])),
            watermark(9),
        ]


def test_windows_fire_by_ascending_end() -> None:
    script = [k(35), k(5), k(25), k(15)]
    outcome = run_in_five_modes(windows(), script, key_by=0)
    assert [record.timestamp for record in outcome.main] == [9, 19, 29, 39]


def test_negative_timestamps_have_windows() -> None:
    """WM-7, WN-1."""
    outcome = run_in_five_modes(windows(), [k(-1, "a"), k(-10, "b")], key_by=0)
    assert outcome.values() == [("k", -10, 0, ["a", "b"])]


def test_offset_moves_the_windows() -> None:
    """WN-1."""
    assigner = TumblingEventTimeWindows.of(10, offset=3)
    outcome = run_in_five_modes(windows(assigner), [k(2), k(3)], key_by=0)
    assert [value[1] for value in outcome.values()] == [-7, 3]


def test_an_element_is_in_every_window_that_covers_it() -> None:
    """WN-3."""
    assigner = SlidingEventTimeWindows.of(10, 5)
    outcome = run_in_five_modes(windows(assigner), [k(7, "a"), k(12, "b")], key_by=0)
    assert outcome.values() == [
        ("k", 0, 10, ["a"]),
        ("k", 5, 15, ["a", "b"]),
        ("k", 10, 20, ["b"]),
    ]


@pytest.mark.parametrize("lateness_ms", [0, 3])
def test_an_element_between_windows_is_neither_kept_nor_late(lateness_ms: int) -> None:
    """WN-3, semantics 3.2: size < slide leaves gaps."""
    assigner = SlidingEventTimeWindows.of(2, 10)
    outcome = run_in_five_modes(windows(assigner, lateness_ms=lateness_ms), [k(5), k(11)], key_by=0)
    assert outcome.values() == [("k", 10, 12, [1])]
    assert outcome.side == {}


def test_an_element_of_an_expired_window_is_late_with_its_own_timestamp() -> None:
    """WN-20, WM-52."""
    script = [watermark(9), k(9, "late"), k(10, "in time")]
    outcome = run_in_five_modes(windows(), script, key_by=0)
    assert outcome.side == {LATE.id: [at(9, ("k", "late"))]}
    assert outcome.values() == [("k", 10, 20, ["in time"])]


def test_an_element_late_for_some_of_its_windows_is_kept_by_the_others() -> None:
    """WN-20: and it is not a late record."""
    assigner = SlidingEventTimeWindows.of(10, 5)
    outcome = run_in_five_modes(windows(assigner), [watermark(11), k(7, "a")], key_by=0)
    assert outcome.values() == [("k", 5, 15, ["a"])]
    assert outcome.side == {}


def test_without_a_tag_late_elements_are_counted() -> None:
    """Semantics 3.2 step 4."""
    script = [watermark(30), k(9), k(19), k(31)]
    outcome = run_in_five_modes(windows(tag_id=None), script, key_by=0)
    assert outcome.metrics == {"numLateRecordsDropped": 2}


@pytest.mark.parametrize("backend", BACKENDS)
def test_within_the_allowed_lateness_each_element_fires_the_whole_window(backend: str) -> None:
    """WN-26, WN-22."""
    script = [k(1, "a"), watermark(12), k(2, "b"), k(3, "c"), watermark(14), k(4, "too late")]
    outcome = run_in_five_modes(windows(lateness_ms=5), script, key_by=0, backend=backend)
    assert outcome.values() == [
        ("k", 0, 10, ["a"]),
        ("k", 0, 10, ["a", "b"]),
        ("k", 0, 10, ["a", "b", "c"]),
    ]
    assert outcome.side_values(LATE) == [("k", "too late")]


def test_a_key_that_comes_late_fires_a_window_that_never_had_it() -> None:
    """WN-26: the window is still retained for the other keys."""
    script = [at(1, ("a", 1)), watermark(12), at(2, ("b", 2))]
    outcome = run_in_five_modes(windows(lateness_ms=5), script, key_by=0)
    assert outcome.values() == [("a", 0, 10, [1]), ("b", 0, 10, [2])]


def test_a_fired_window_does_not_fire_again_at_its_cleanup() -> None:
    """WN-22, WN-23."""
    script = [k(1), watermark(9), watermark(14), watermark(100)]
    outcome = run_in_five_modes(windows(lateness_ms=5), script, key_by=0)
    assert outcome.values() == [("k", 0, 10, [1])]


def test_windows_of_other_keys_do_not_fire_with_a_late_element() -> None:
    script = [at(1, ("a", 1)), at(2, ("b", 2)), watermark(9), at(3, ("a", 3)), watermark(12)]
    outcome = run_in_five_modes(windows(lateness_ms=5), script, key_by=0)
    assert sorted(outcome.values()) == [
        ("a", 0, 10, [1]),
        ("a", 0, 10, [1, 3]),
        ("b", 0, 10, [2]),
    ]


def test_a_lateness_beyond_all_time_keeps_windows_until_the_end() -> None:
    """WN-22: the cleanup time saturates."""
    script = [k(1), watermark(50), k(2)]
    outcome = run_in_five_modes(windows(lateness_ms=MAX_TIMESTAMP), script, key_by=0)
    assert outcome.values() == [("k", 0, 10, [1]), ("k", 0, 10, [1, 1])]


def test_a_record_without_timestamp_is_refused() -> None:
    """WN-4."""
    with (
        OperatorHarness(windows(), key_by=0) as harness,
        pytest.raises(RecordError, match="timestamp"),
    ):
        harness.send(("k", 1))


def test_an_error_in_a_window_function_names_the_key_and_the_window() -> None:
    def fails(key: Any, window: Window, values: list[Any]) -> None:
        raise ValueError("no")

    with OperatorHarness(windows(contents=lambda: ListContents(fails)), key_by=0) as harness:
        harness.send(("k", 1), 12)
        with pytest.raises(ValueError, match="no") as caught:
            harness.watermark(19)
    assert "key 'k', window [10, 20)" in caught.value.__notes__[0]


@pytest.mark.parametrize("lateness_ms", [0, 5])
def test_one_firing_budget_after_another_fires_every_key_once(lateness_ms: int) -> None:
    with OperatorHarness(windows(lateness_ms=lateness_ms), key_by=0, firing_budget=3) as harness:
        harness.send_batch([(f"k{n}", n) for n in range(10)], [5] * 10)
        harness.send_batch([(f"k{n}", n) for n in range(4)], [15] * 4)
        harness.watermark(40)
        assert Counter(v[:2] for v in harness.output()) == Counter(
            [(f"k{n}", 0) for n in range(10)] + [(f"k{n}", 10) for n in range(4)]
        )
        assert harness.state_size() == 0


class Accumulated(AggregateFunction[Any, list[Any], Any]):
    """Hands out the accumulator itself; a wrong `merge` shows that it is not called (WN-43)."""

    def create_accumulator(self) -> list[Any]:
        return []

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        accumulator.append(value[1])
        return accumulator

    def get_result(self, accumulator: list[Any]) -> Any:
        return accumulator

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        raise AssertionError("merge is for sessions only")


@pytest.mark.parametrize("lateness_ms", [0, 5])
def test_a_result_that_is_the_accumulator_does_not_change_later(lateness_ms: int) -> None:
    """The result of the first firing must not grow with the second."""
    script = [k(1, "a"), watermark(9), k(2, "b")]
    contents = lambda: AggregateContents(Accumulated())  # noqa: E731
    outcome = run_in_five_modes(windows(contents=contents, lateness_ms=lateness_ms), script, 0)
    assert outcome.values() == ([["a"], ["a", "b"]] if lateness_ms else [["a"]])


class PerWindow(ProcessWindowFunction):
    """Counts firings per window and per key, and clears both as it should."""

    def process(self, key: Any, ctx: Any, elements: Any) -> Any:
        fired = ctx.window_state().get_state(ValueStateDescriptor("fired", int, default=0))
        every = ctx.global_state().get_state(ValueStateDescriptor("fired", int, default=0))
        fired.update(fired.value() + 1)
        every.update(every.value() + 1)
        yield ctx.window().start, fired.value(), every.value(), len(list(elements))

    def clear(self, ctx: Any) -> None:
        ctx.window_state().get_state(ValueStateDescriptor("fired", int)).clear()
        ctx.global_state().get_state(ValueStateDescriptor("fired", int)).clear()


@pytest.mark.parametrize("backend", BACKENDS)
def test_window_state_belongs_to_key_and_window(backend: str) -> None:
    """WN-27, WN-23: `clear` is called for each window, and nothing is left."""
    assigner = SlidingEventTimeWindows.of(10, 5)
    script = [k(7), watermark(9), k(8), watermark(16), watermark(40)]
    contents = lambda: ListContents(PerWindow())  # noqa: E731
    operator = windows(assigner, contents, lateness_ms=20)
    outcome = run_in_five_modes(operator, script, key_by=0, backend=backend)
    assert outcome.values() == [(0, 1, 1, 1), (0, 2, 2, 2), (5, 1, 3, 2)]


@pytest.mark.parametrize("lateness_ms", [0, 3])
def test_clear_is_called_for_every_key_of_a_window(lateness_ms: int) -> None:
    """WN-23."""
    cleared: list[Any] = []

    class Clears(ProcessWindowFunction):
        def process(self, key: Any, ctx: Any, elements: Any) -> Any:
            return None

        def clear(self, ctx: Any) -> None:
            cleared.append(ctx.window())

    operator = windows(contents=lambda: ListContents(Clears()), lateness_ms=lateness_ms)
    with OperatorHarness(operator, key_by=0) as harness:
        harness.send_batch([("a", 1), ("b", 1), ("a", 1)], [1, 2, 11])
        harness.watermark(12)
        assert cleared == [Window(0, 10)] * 2
        harness.finish()
        assert cleared == [Window(0, 10)] * 2 + [Window(10, 20)]


class OneElement(ProcessWindowFunction):
    def process(self, key: Any, ctx: Any, elements: Any) -> Any:
        return [(key, list(elements), ctx.window().max_timestamp())]


def test_after_a_reduce_the_process_function_sees_one_element() -> None:
    """WN-42."""
    contents = lambda: ReduceContents(lambda a, b: (a[0], a[1] + b[1]), OneElement())  # noqa: E731
    outcome = run_in_five_modes(windows(contents=contents), [k(1, 1), k(2, 2)], key_by=0)
    assert outcome.values() == [("k", [("k", 3)], 9)]


def test_a_reduce_may_change_what_it_has_folded_and_no_record() -> None:
    """State hands out copies: the folded dict is the function's own."""

    def fold(folded: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        folded["n"] += value["n"]
        return folded

    script = [at(1, {"key": "k", "n": 1}), at(2, {"key": "k", "n": 2}), watermark(9)]
    script.append(at(3, {"key": "k", "n": 4}))
    operator = windows(contents=lambda: ReduceContents(fold), lateness_ms=5)
    outcome = run_in_five_modes(operator, script, key_by="key")
    assert outcome.values() == [{"key": "k", "n": 3}, {"key": "k", "n": 7}]


AGGREGATES = {
    "records": count(),
    "total": total("n"),
    "first": first(),
    "last": last("n"),
    "all": collect("tags"),
    "best": top(2, "n"),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_agg_gives_key_bounds_and_aggregates_of_whole_records(backend: str) -> None:
    """Records kept by an accumulator come back as they were, across a restore and a refire."""
    named = NamedAggregates(AGGREGATES)
    records = [{"key": "k", "n": n, "tags": (n, [n])} for n in (2, 3, 1)]
    script = [at(1, records[0]), at(2, records[1]), watermark(9), at(3, records[2])]
    operator = windows(contents=lambda: AggContents(named, ("key",)), lateness_ms=5)
    outcome = run_in_five_modes(operator, script, key_by="key", backend=backend)
    assert outcome.values()[-1] == {
        "key": "k",
        "window_start": 0,
        "window_end": 10,
        "records": 3,
        "total": 6,
        "first": records[0],
        "last": 1,
        "all": [(2, [2]), (3, [3]), (1, [1])],
        "best": [records[1], records[0]],
    }
    assert outcome.values()[0]["records"] == 2


def test_errors_in_aggregates_name_the_record_or_the_window() -> None:
    """Although records are folded, and results made, many at once."""
    sums = lambda: AggContents(NamedAggregates({"n": total(1)}), ("key",))  # noqa: E731
    with OperatorHarness(windows(contents=sums), key_by=0) as harness:
        with pytest.raises(TypeError) as caught:
            harness.send_batch([("a", 1), ("b", "x"), ("c", 1)], [0, 0, 0])
        assert "record ('b', 'x')" in caught.value.__notes__[0]
    medians = lambda: AggContents(NamedAggregates({"q": quantile(1, 0.5)}), ("key",))  # noqa: E731
    with OperatorHarness(windows(contents=medians), key_by=0) as harness:
        harness.send_batch([("a", 1), ("b", 1), ("b", "x"), ("c", 1)], [0, 0, 1, 2])
        with pytest.raises(TypeError) as caught:
            harness.watermark(9)
        assert "key 'b', window [0, 10)" in caught.value.__notes__[0]


@pytest.mark.parametrize("assigner", [TEN, SlidingEventTimeWindows.of(10, 5)])
def test_record_without_the_field_of_an_aggregate_is_named_with_the_operator(
    assigner: TumblingEventTimeWindows | SlidingEventTimeWindows,
) -> None:
    sums = lambda: AggContents(NamedAggregates({"n": total("n")}), ("key",))  # noqa: E731
    with OperatorHarness(windows(assigner, sums), key_by="key") as harness:
        with pytest.raises(RecordError, match=r"the record \{'key': 'b'\} has no") as caught:
            harness.send_batch([{"key": "a", "n": 1}, {"key": "b"}], [0, 0])
        assert caught.value.__notes__ == ["in operator 'harness' (subtask 1 of 1)"]


def expected_windows(
    events: list[tuple[str, int]], size: int, slide: int
) -> Counter[tuple[str, int, int]]:
    return Counter(
        (key, start, start + size)
        for key, time in events
        for start in range(-size - 100, time + 1)
        if start % slide == 0 and start <= time < start + size
    )


EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(-20, 60)), max_size=12)


@pytest.mark.slow
@given(EVENTS, st.integers(1, 12), st.integers(1, 12))
def test_every_window_holds_what_a_batch_computation_puts_there(
    events: list[tuple[str, int]], size: int, slide: int
) -> None:
    assigner = SlidingEventTimeWindows.of(size, slide)
    script = [at(time, (key, time)) for key, time in events]
    outcome = run_in_five_modes(windows(assigner), script, key_by=0)
    found = {value[:3]: len(value[3]) for value in outcome.values()}
    assert found == dict(expected_windows(events, size, slide))
    assert len(outcome.values()) == len(found)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=14),
    st.sampled_from([(10, 10), (10, 5), (4, 10)]),
    st.sampled_from([0, 1, 15]),
)
def test_late_elements_follow_the_rule_of_each_window(
    events: list[tuple[int, bool]], shape: tuple[int, int], lateness_ms: int
) -> None:
    """WM-52, WN-20, WN-26: against a model that looks at each element and window alone."""
    size, slide = shape
    script: list[Any] = [
        watermark(time) if is_watermark else k(time, index)
        for index, (time, is_watermark) in enumerate(events)
    ]
    outcome = run_in_five_modes(
        windows(SlidingEventTimeWindows.of(size, slide), lateness_ms=lateness_ms), script, 0
    )
    now, late, contents = -1, [], dict[int, list[int]]()
    fired: list[tuple[int, list[int]]] = []
    for index, (time, is_watermark) in enumerate(events):
        if is_watermark:
            ends = [s for s in contents if now < s + size - 1 <= time]
            fired += [(s, list(contents[s])) for s in sorted(ends)]
            now = max(now, time)
            continue
        starts = [s for s in range(-60, time + 1) if s % slide == 0 and s <= time < s + size]
        open_starts = [s for s in starts if s + size - 1 + lateness_ms > now]
        for start in sorted(open_starts, reverse=True):
            contents.setdefault(start, []).append(index)
            if start + size - 1 <= now:
                fired.append((start, list(contents[start])))
        if not open_starts and time + lateness_ms <= now:
            late.append(("k", index))
    fired += [(s, contents[s]) for s in sorted(contents) if s + size - 1 > now]
    assert [(value[1], value[3]) for value in outcome.values()] == fired
    assert outcome.side_values(LATE) == late
