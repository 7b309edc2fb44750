"""Windows that share slices give what windows of their own would, also across restores."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet import CumulativeEventTimeWindows, OutputTag, SlidingEventTimeWindows
from streamlet import aggregates as agg
from streamlet.aggregates import NamedAggregates
from streamlet.elements import MAX_TIMESTAMP
from streamlet.operators import merged_slices
from streamlet.operators.agg_contents import AggContents
from streamlet.operators.slices import SlicedWindowOperator
from streamlet.operators.window import WindowOperator
from streamlet.testing import OperatorHarness, at, run_in_five_modes, watermark
from tests.operators.sliced_model import Assigner, SlicedModel, Snapshot, Subtasks

LATE: OutputTag[Any] = OutputTag("late")
SLIDING = SlidingEventTimeWindows.of(10, 5)
CUMULATIVE = CumulativeEventTimeWindows.of(15, 5)
ORDER_FREE = {
    "records": agg.count(),
    "total": agg.sum(1),
    "least": agg.min(1),
    "most": agg.max(1),
    "mean": agg.mean(1),
    "kinds": agg.count_distinct(1),
    "median": agg.quantile(1, 0.5),
}


def contents() -> AggContents:
    return AggContents(NamedAggregates(ORDER_FREE), ("key",))


def sliced(assigner: Assigner) -> Callable[[], SlicedWindowOperator]:
    slice_ms = assigner.slice_ms
    assert slice_ms is not None
    return lambda: SlicedWindowOperator(assigner, slice_ms, contents(), LATE.id)


def counted(operator: Callable[[], Any], script: list[Any], backend: str = "heap") -> list[Any]:
    """(key, start, end, records) of what fires."""
    outcome = run_in_five_modes(operator, script, key_by=0, backend=backend)
    return [tuple(row.values())[:4] for row in outcome.values()]


def k(timestamp: int, value: int = 1) -> Any:
    return at(timestamp, ("k", value))


BACKENDS = ["heap", pytest.param("rocksdb", marks=pytest.mark.slow)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_cumulative_windows_fire_after_every_step_and_begin_anew(backend: str) -> None:
    """SQL-2."""
    script = [k(1), k(6), watermark(4), k(7), watermark(30), k(31)]
    assert counted(sliced(CUMULATIVE), script, backend) == [
        ("k", 0, 5, 1),
        ("k", 0, 10, 3),
        ("k", 0, 15, 3),
        ("k", 30, 35, 1),
        ("k", 30, 40, 1),
        ("k", 30, 45, 1),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_record_counts_into_the_windows_that_have_not_fired(backend: str) -> None:
    """SQL-3: and it is not late as long as there is one."""
    script = [k(6), watermark(9), k(7), watermark(14), k(8)]
    outcome = run_in_five_modes(sliced(SLIDING), script, key_by=0, backend=backend)
    fired = [tuple(row.values())[:4] for row in outcome.values()]
    assert fired == [("k", 0, 10, 1), ("k", 5, 15, 2)]
    assert outcome.side == {LATE.id: [at(8, ("k", 1))]}


def test_a_cumulative_record_counts_into_the_windows_that_have_not_fired() -> None:
    """SQL-3."""
    script = [k(1), k(6), watermark(9), k(2), k(7), watermark(14), k(3)]
    outcome = run_in_five_modes(sliced(CUMULATIVE), script, key_by=0)
    fired = [tuple(row.values())[:4] for row in outcome.values()]
    assert fired == [("k", 0, 5, 1), ("k", 0, 10, 2), ("k", 0, 15, 4)]
    assert outcome.side_values(LATE) == [("k", 1)]


def test_a_window_that_fired_before_a_restore_does_not_fire_again() -> None:
    """WM-54: although the watermark begins at its least, and the slice is still there."""
    with OperatorHarness(sliced(SLIDING), key_by=0) as harness:
        harness.send(("k", 1), 6)
        harness.watermark(9)
        assert len(harness.output()) == 1
        for _ in range(2):  # the second snapshot is taken before the watermark came back
            harness.restore(harness.snapshot())
        harness.watermark(3)
        harness.send(("k", 1), 7)
        harness.send(("k", 1), 2)
        harness.watermark(20)
        assert [tuple(row.values())[:4] for row in harness.output()] == [("k", 5, 15, 2)]
        assert harness.side_output(LATE) == [("k", 1)]
        assert harness.state_size() == 0


def test_after_the_end_of_event_time_a_restore_takes_records_of_any_time() -> None:
    with OperatorHarness(sliced(SLIDING), key_by=0) as harness:
        harness.send(("k", 1), 6)
        harness.watermark(MAX_TIMESTAMP)
        harness.restore(harness.snapshot())
        harness.send(("k", 1), 1)
        harness.finish()
        assert [row["records"] for row in harness.output()] == [1, 1, 1, 1]
        assert harness.side_outputs() == {}


def test_each_record_changes_one_entry_of_state() -> None:
    with OperatorHarness(sliced(SlidingEventTimeWindows.of(100, 5)), key_by=0) as harness:
        harness.send_batch([("k", 1), ("k", 2), ("j", 1)], [1, 2, 3])
        assert harness.state_size() == 2


def test_merged_cumulative_slices_are_one_entry() -> None:
    with OperatorHarness(sliced(CumulativeEventTimeWindows.of(50, 5)), key_by=0) as harness:
        harness.send_batch([("k", n) for n in range(30)], list(range(30)))
        harness.watermark(27)
        assert harness.state_size() == 2


@pytest.mark.parametrize("others", [[], [("j", 1)]])
def test_a_snapshot_that_is_being_written_does_not_see_what_is_merged_later(others: Any) -> None:
    """The slice of a key goes into the first slice; the frozen accumulator must stay."""
    with OperatorHarness(sliced(CUMULATIVE), key_by=0) as harness:
        harness.send_batch([*others, ("k", 1)], [1] * len(others) + [6])
        log = harness._log
        assert log is not None
        frozen = log.freeze()
        kept = str([layer for _, layer in frozen.layers])
        harness.watermark(9)
        harness.output()
        harness.send(("k", 5), 7)
        assert str([layer for _, layer in frozen.layers]) == kept
        assert sum(batch.num_rows for batch in log.write(frozen)) == 1 + len(others)
        log.retire(frozen)
        harness.finish()
        assert [row["total"] for row in harness.output() if row["key"] == "k"] == [6]


@pytest.mark.parametrize("aggregate", ORDER_FREE.values(), ids=list(ORDER_FREE))
def test_merging_slices_changes_neither(aggregate: Any) -> None:
    """A slice is merged into several windows, and may be in a write of a checkpoint."""
    groups = [[("k", 3), ("k", 5)], [("k", 5), ("k", 4)], []]
    accumulators = []
    for group in groups:
        accumulator = aggregate.create()
        for part in aggregate.parts(group):
            accumulator = aggregate.add(accumulator, part)
        accumulators.append(accumulator)
    before = repr(accumulators)
    for older in accumulators:
        for newer in accumulators:
            merged = aggregate.merge(older, newer)
            for part in aggregate.parts([("k", 9)]):
                aggregate.add(merged, part)
    assert repr(accumulators) == before


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.sampled_from("abc"), st.integers(0, 60)),
        st.tuples(st.just("watermark"), st.integers(0, 60)),
    ),
    max_size=16,
)
ASSIGNERS = st.sampled_from(
    [
        SLIDING,
        SlidingEventTimeWindows.of(12, 3, 1),
        SlidingEventTimeWindows.of(7, 7),
        CUMULATIVE,
        CumulativeEventTimeWindows.of(20, 4, -3),
    ]
)


@pytest.mark.slow
@given(ASSIGNERS, EVENTS)
def test_slices_give_what_windows_of_their_own_do(assigner: Assigner, events: list[Any]) -> None:
    """SQL-3, WM-52, WN-20: in all modes, with whatever is late."""
    script = [
        at(event[2], (event[1], event[2])) if event[0] == "record" else watermark(event[1])
        for event in events
    ]
    shared = run_in_five_modes(sliced(assigner), script, key_by=0)
    own = run_in_five_modes(
        lambda: WindowOperator(assigner, contents(), 0, LATE.id), script, key_by=0
    )
    assert shared == own


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60)), max_size=6),
            st.booleans(),
        ),
        st.tuples(
            st.just("watermark"),
            st.one_of(st.integers(0, 60), st.just(MAX_TIMESTAMP)),
            st.integers(0, 2),
        ),
        st.tuples(st.just("snapshot")),
        st.tuples(st.just("restore"), st.integers(1, 3)),
        st.tuples(st.just("move"), st.integers(1, 3)),
    ),
    max_size=25,
)


def play(assigner: Assigner, steps: list[Any], backend: str, directory: Path) -> None:
    subtasks, model = Subtasks(assigner, backend, directory), SlicedModel(assigner)
    saved: tuple[Snapshot, SlicedModel] = (Snapshot([], [], 1), model.copy())
    parallelism = 1
    for step in [*steps, *(("watermark", MAX_TIMESTAMP, n) for n in range(3))]:
        if step[0] == "send":
            subtasks.send(step[1], as_columns=step[2])
            model.send(step[1])
        elif step[0] == "watermark":
            subtasks.watermark(step[1], step[2])
            model.watermark(step[1], step[2], parallelism)
        if step[0] in ("snapshot", "move"):
            saved = (subtasks.snapshot(), model.copy())
        if step[0] in ("restore", "move"):
            parallelism = step[1]
            subtasks.restore(saved[0], parallelism)
            model = saved[1].copy()
            model.forget_the_end()
            subtasks.fired, subtasks.late = list(model.fired), list(model.late)
        assert subtasks.fired == model.fired
        assert sorted(subtasks.late) == sorted(model.late)
    assert subtasks.state_size() == 0
    subtasks.close()


@pytest.mark.slow
@pytest.mark.parametrize("arrays_from", [1, merged_slices.ARRAYS_FROM])
@pytest.mark.parametrize(("backend", "examples"), [("heap", 400), ("rocksdb", 40)])
def test_each_window_fires_once_whatever_is_restored_and_rescaled(
    backend: str, examples: int, arrays_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQL-3, WM-54, KG-3: also when subtasks were at different watermarks at the checkpoint."""
    monkeypatch.setattr(merged_slices, "ARRAYS_FROM", arrays_from)

    @settings(max_examples=examples, deadline=None)
    @given(ASSIGNERS, STEPS)
    def plays(assigner: Assigner, steps: list[Any]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            play(assigner, steps, backend, Path(directory))

    plays()


@pytest.mark.parametrize("as_columns", [False, True])
def test_groups_keep_their_own_time_when_they_come_together(as_columns: bool) -> None:
    """1 -> 3 -> 2: each subtask has fired up to another time."""
    steps: list[Any] = [
        ("send", [(key, 6) for key in "abcdef"], as_columns),
        ("move", 3),
        ("watermark", 9, 0),
        ("watermark", 14, 1),
        ("move", 2),
        ("send", [(key, 7) for key in "abcdef"], as_columns),
        ("watermark", 12, 0),
        ("move", 1),
        ("send", [(key, 8) for key in "abcdef"], as_columns),
    ]
    with tempfile.TemporaryDirectory() as directory:
        play(SLIDING, steps, "heap", Path(directory))
