"""The watermark of a source subtask: one generator per split, the least of those not idle."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.elements import MIN_TIMESTAMP, ColumnBatch, RowBatch, StreamStatus, Watermark
from streamlet.errors import FatalError, InternalError
from streamlet.eventtime.splits import SplitWatermarks
from streamlet.eventtime.watermarks import WatermarkStrategy

IDLE, ACTIVE = StreamStatus(is_idle=True), StreamStatus(is_idle=False)
MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()


class OnRequest:
    """Does upon a record what its value says, and emits the newest timestamp periodically."""

    def __init__(self) -> None:
        self.newest = MIN_TIMESTAMP
        self.periodic_calls = 0

    def on_event(self, value: Any, timestamp: Any, output: Any) -> None:
        self.newest = max(self.newest, timestamp)
        if value == "watermark":
            output.emit_watermark(timestamp)
        elif value == "idle":
            output.mark_idle()
        elif value == "active":
            output.mark_active()
        elif value == "float":
            output.emit_watermark(float(timestamp))

    def on_periodic_emit(self, output: Any) -> None:
        self.periodic_calls += 1
        output.emit_watermark(self.newest)


ON_REQUEST = WatermarkStrategy.for_generator(OnRequest)


def reader(strategy: Any, *splits: Any, hold: Any = False) -> Any:
    watermarks = SplitWatermarks(strategy, hold=hold)
    for split in splits:
        watermarks.add_split(split)
    return watermarks


def stamped(*timestamps: Any) -> Any:
    return RowBatch(["value"] * len(timestamps), list(timestamps))


def feed(watermarks: Any, split: Any, *timestamps: Any) -> None:
    batch = stamped(*timestamps)
    assert watermarks.on_batch(split, batch) == [batch]


def test_watermark_is_the_least_over_the_splits() -> None:
    """WM-30."""
    watermarks = reader(MONOTONOUS, "a", "b")
    feed(watermarks, "a", 10, 30)
    assert watermarks.on_periodic(0) == []
    feed(watermarks, "b", 20)
    assert watermarks.on_periodic(0) == [Watermark(19)]
    feed(watermarks, "b", 50)
    assert watermarks.on_periodic(0) == [Watermark(29)]


def test_watermark_is_emitted_once() -> None:
    """WM-4."""
    watermarks = reader(MONOTONOUS, "a")
    feed(watermarks, "a", 10)
    assert watermarks.on_periodic(0) == [Watermark(9)]
    feed(watermarks, "a", 5, 10)
    assert watermarks.on_periodic(0) == []


def test_new_split_holds_back_but_never_takes_back() -> None:
    """WM-4, WM-30."""
    watermarks = reader(MONOTONOUS, "a")
    feed(watermarks, "a", 10)
    assert watermarks.on_periodic(0) == [Watermark(9)]
    watermarks.add_split("b")
    feed(watermarks, "a", 20)
    feed(watermarks, "b", 5)
    assert watermarks.on_periodic(0) == []
    feed(watermarks, "b", 15)
    assert watermarks.on_periodic(0) == [Watermark(14)]


def test_periodic_tick_combines_once_after_all_splits_have_spoken() -> None:
    """WM-31."""
    watermarks = reader(MONOTONOUS, "a", "b", "c")
    for split, timestamp in (("a", 11), ("b", 12), ("c", 13)):
        feed(watermarks, split, timestamp)
    assert watermarks.on_periodic(0) == [Watermark(10)]


def test_removing_the_lowest_split_shows_at_the_next_combine() -> None:
    """WM-33."""
    watermarks = reader(MONOTONOUS, "a", "b")
    feed(watermarks, "a", 6)
    feed(watermarks, "b", 11)
    assert watermarks.on_periodic(0) == [Watermark(5)]
    assert watermarks.remove_split("a") is None
    assert watermarks.on_periodic(0) == [Watermark(10)]


def test_removing_the_highest_split_takes_nothing_back() -> None:
    """WM-33."""
    watermarks = reader(MONOTONOUS, "a", "b")
    feed(watermarks, "a", 6)
    feed(watermarks, "b", 11)
    watermarks.on_periodic(0)
    watermarks.remove_split("b")
    assert watermarks.on_periodic(0) == []


def test_reader_without_splits_emits_nothing_and_is_not_idle() -> None:
    """WM-33."""
    watermarks = reader(MONOTONOUS.with_idleness(10), "a")
    feed(watermarks, "a", 6)
    watermarks.remove_split("a")
    assert [watermarks.on_periodic(now) for now in (0, 100, 200)] == [[], [], []]


def test_restored_splits_registered_first_keep_the_watermark_from_jumping() -> None:
    """WM-34."""
    watermarks = reader(MONOTONOUS, "a", "b")
    feed(watermarks, "b", 1_000)
    assert watermarks.on_periodic(0) == []


def test_same_split_twice_is_a_bug_of_the_caller() -> None:
    with pytest.raises(InternalError):
        reader(MONOTONOUS, "a", "a")


def test_nothing_is_emitted_while_unread_splits_remain() -> None:
    watermarks = reader(MONOTONOUS, "a", hold=True)
    feed(watermarks, "a", 10)
    assert watermarks.on_periodic(0) == []
    assert watermarks.on_status("a", True) == []
    assert watermarks.on_watermark("a", 20) == []
    watermarks.hold = False
    assert watermarks.on_periodic(0) == [Watermark(20)]


def test_watermark_upon_a_record_cuts_the_batch_right_behind_it() -> None:
    """WM-3."""
    watermarks = reader(ON_REQUEST, "a")
    batch = RowBatch(["x", "watermark", "y", "watermark", "z"], [1, 2, 3, 4, 5], list("KLMNO"))
    assert watermarks.on_batch("a", batch) == [
        RowBatch(["x", "watermark"], [1, 2], ["K", "L"]),
        Watermark(2),
        RowBatch(["y", "watermark"], [3, 4], ["M", "N"]),
        Watermark(4),
        RowBatch(["z"], [5], ["O"]),
    ]


def test_watermark_upon_the_last_record_leaves_no_empty_batch() -> None:
    watermarks = reader(ON_REQUEST, "a")
    batch = RowBatch(["x", "watermark"], [1, 2])
    assert watermarks.on_batch("a", batch) == [batch, Watermark(2)]
    assert watermarks.on_batch("a", RowBatch([], [])) == []


def test_watermark_that_does_not_grow_cuts_nothing() -> None:
    """WM-4."""
    watermarks = reader(ON_REQUEST, "a")
    watermarks.on_batch("a", RowBatch(["watermark"], [9]))
    batch = RowBatch(["watermark", "watermark", "x"], [9, 3, 4])
    assert watermarks.on_batch("a", batch) == [batch]


def test_watermark_upon_a_record_waits_for_the_other_splits() -> None:
    """WM-30, WM-31."""
    watermarks = reader(ON_REQUEST, "a", "b")
    assert watermarks.on_batch("a", RowBatch(["watermark"], [9]))[1:] == []
    assert watermarks.on_batch("b", RowBatch(["watermark"], [5]))[1:] == [Watermark(5)]


def test_record_without_a_timestamp_shows_the_least_to_a_generator() -> None:
    watermarks = reader(ON_REQUEST, "a")
    batch = RowBatch(["watermark"])
    assert watermarks.on_batch("a", batch) == [batch]


def test_batch_without_timestamps_moves_no_watermark() -> None:
    watermarks = reader(MONOTONOUS, "a")
    batch = RowBatch(["x"])
    assert watermarks.on_batch("a", batch) == [batch]
    assert watermarks.on_periodic(0) == []


def test_watermark_that_is_no_int_stops_the_job() -> None:
    with pytest.raises(FatalError, match="OnRequest of split 'a'") as stopped:
        reader(ON_REQUEST, "a").on_batch("a", RowBatch(["x", "float"], [8, 9]))
    assert "record 'float'" in stopped.value.__notes__[0]


def test_silent_split_becomes_idle_and_the_others_go_on() -> None:
    """WM-20, WM-30."""
    watermarks = reader(MONOTONOUS.with_idleness(10), "a", "b")
    feed(watermarks, "a", 5)
    feed(watermarks, "b", 3)
    assert watermarks.on_periodic(0) == [Watermark(2)]
    assert watermarks.on_periodic(5) == []
    feed(watermarks, "a", 7)
    assert watermarks.on_periodic(15) == []
    assert watermarks.on_periodic(16) == [Watermark(6)]


def test_all_splits_silent_make_the_output_idle_once() -> None:
    """WM-20, WM-32."""
    watermarks = reader(MONOTONOUS.with_idleness(10), "a", "b")
    feed(watermarks, "a", 5)
    emitted = [watermarks.on_periodic(now) for now in (1, 6, 11, 16, 17, 30)]
    assert emitted == [[], [], [], [Watermark(4)], [IDLE], []]


def test_idle_generator_is_not_asked() -> None:
    """WM-20."""
    generator = OnRequest()
    strategy = WatermarkStrategy.for_generator(lambda: generator)
    watermarks = reader(strategy.with_idleness(10), "a")
    for now in (0, 5, 11, 20, 30):
        watermarks.on_periodic(now)
    assert generator.periodic_calls == 2


def test_active_comes_just_before_the_next_larger_watermark() -> None:
    """WM-21."""
    watermarks = reader(MONOTONOUS.with_idleness(10), "a")
    feed(watermarks, "a", 5)
    emitted = [watermarks.on_periodic(now) for now in (1, 2, 13)]
    assert emitted == [[Watermark(4)], [], [IDLE]]
    feed(watermarks, "a", 5)
    assert watermarks.on_periodic(14) == []
    feed(watermarks, "a", 6)
    assert watermarks.on_periodic(15) == [ACTIVE, Watermark(5)]


def test_generator_says_itself_that_its_split_is_idle() -> None:
    watermarks = reader(ON_REQUEST, "a", "b")
    watermarks.on_batch("a", RowBatch(["watermark"], [9]))
    batch = RowBatch(["idle", "x"], [5, 6])
    assert watermarks.on_batch("b", batch) == [batch.slice(0, 1), Watermark(9), batch.slice(1, 2)]
    assert watermarks.on_batch("a", RowBatch(["idle"], [10]))[1:] == [IDLE]
    assert watermarks.on_batch("a", RowBatch(["active"], [10]))[1:] == []
    assert watermarks.on_batch("b", RowBatch(["watermark"], [11]))[1:] == []
    assert watermarks.on_batch("a", RowBatch(["watermark"], [12]))[1:] == [ACTIVE, Watermark(11)]


def test_same_watermark_again_ends_the_idleness_of_its_split() -> None:
    """WM-32: setting a split's watermark clears its idle flag, also if it does not grow."""
    watermarks = reader(ON_REQUEST, "a", "b")
    watermarks.on_batch("a", RowBatch(["watermark"], [9]))
    watermarks.on_batch("b", RowBatch(["watermark"], [5]))
    watermarks.on_batch("a", RowBatch(["idle"], [9]))
    assert watermarks.on_batch("b", RowBatch(["idle"], [5]))[1:] == [IDLE]
    batch = RowBatch(["watermark"], [9])
    assert watermarks.on_batch("a", batch) == [batch, ACTIVE, Watermark(9)]


def test_subtask_that_reads_nothing_is_idle_until_a_split_brings_a_watermark() -> None:
    """WM-21: without ACTIVE before it, the watermark would be ignored downstream (WM-11)."""
    watermarks = reader(MONOTONOUS, hold=True)
    assert watermarks.on_no_splits() == []
    watermarks.hold = False
    assert [watermarks.on_no_splits(), watermarks.on_no_splits()] == [[IDLE], []]
    watermarks.add_split("a")
    assert watermarks.on_no_splits() == []
    feed(watermarks, "a", 5)
    assert watermarks.on_periodic(0) == [ACTIVE, Watermark(4)]


def test_source_brings_its_own_watermarks_and_statuses() -> None:
    watermarks = reader(WatermarkStrategy.no_watermarks(), "a", "b")
    assert watermarks.on_watermark("a", 9) == []
    assert watermarks.on_watermark("b", 5) == [Watermark(5)]
    assert watermarks.on_status("b", True) == [Watermark(9)]
    assert watermarks.on_status("a", True) == [IDLE]
    assert watermarks.on_status("a", False) == [ACTIVE]
    assert watermarks.on_periodic(0) == []
    assert watermarks.on_watermark("a", 12) == [Watermark(12)]


def test_end_asks_once_more() -> None:
    """WM-6; there need not have been any periodic tick."""
    watermarks = reader(MONOTONOUS, "a")
    feed(watermarks, "a", 10)
    assert watermarks.on_end() == [Watermark(9)]
    assert watermarks.on_end() == []


def test_end_counts_splits_that_have_ended_before() -> None:
    """WM-6: the last watermark of a bounded input is that of its newest record."""
    watermarks = reader(MONOTONOUS, "a", "b", hold=True)
    feed(watermarks, "a", 20)
    watermarks.remove_split("a")
    feed(watermarks, "b", 10)
    watermarks.remove_split("b")
    assert watermarks.on_end() == [Watermark(19)]


def test_end_ends_idleness_so_that_the_last_watermark_is_heard() -> None:
    """WM-11, WM-50."""
    watermarks = reader(MONOTONOUS.with_idleness(10), "a")
    feed(watermarks, "a", 10)
    assert [watermarks.on_periodic(now) for now in (0, 1, 12)] == [[Watermark(9)], [], [IDLE]]
    assert watermarks.on_end() == [ACTIVE]


def test_end_of_a_reader_that_had_no_splits_says_nothing() -> None:
    assert reader(MONOTONOUS).on_end() == []


taken = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.sampled_from("abc"), st.lists(st.integers(-50, 50))),
        st.tuples(st.just("tick"), st.integers(0, 20), st.none()),
        st.tuples(st.just("watermark"), st.sampled_from("abc"), st.integers(-50, 50)),
        st.tuples(st.just("status"), st.sampled_from("abc"), st.booleans()),
        st.tuples(st.just("remove"), st.sampled_from("abc"), st.none()),
    ),
    max_size=50,
)


@given(taken)
def test_watermarks_grow_statuses_alternate_and_no_watermark_is_said_while_idle(steps: Any) -> None:
    """WM-4, WM-21, whatever comes."""
    watermarks, live, now_ms = reader(MONOTONOUS.with_idleness(10), *"abc"), set("abc"), 0
    emitted = []
    for kind, where, what in steps:
        if kind == "tick":
            now_ms += where
            emitted += watermarks.on_periodic(now_ms)
        elif where not in live:
            continue
        elif kind == "batch":
            feed(watermarks, where, *what)
        elif kind == "watermark":
            emitted += watermarks.on_watermark(where, what)
        elif kind == "status":
            emitted += watermarks.on_status(where, what)
        else:
            live.discard(where)
            watermarks.remove_split(where)
    emitted += watermarks.on_end()
    last_ms, is_idle = MIN_TIMESTAMP, False
    for element in emitted:
        if isinstance(element, Watermark):
            assert not is_idle
            assert element.timestamp_ms > last_ms
            last_ms = element.timestamp_ms
        else:
            assert element.is_idle != is_idle
            is_idle = element.is_idle
    assert not is_idle


def stamped_columns(*timestamps: Any) -> Any:
    records = pa.RecordBatch.from_pydict({"n": [*range(len(timestamps))]})
    return ColumnBatch(records, np.array(timestamps, np.int64))


def test_columns_move_the_watermark_as_rows_do() -> None:
    """WM-1: by the newest of them."""
    watermarks = reader(MONOTONOUS, "a")
    batch = stamped_columns(5, 9, 7)
    assert watermarks.on_batch("a", batch) == [batch]
    assert watermarks.on_periodic(0) == [Watermark(8)]


def test_generator_that_looks_at_each_record_gets_columns_as_dicts() -> None:
    """WM-3."""
    strategy: Any = WatermarkStrategy.for_generator(Counting)
    batch, watermark, rest = reader(strategy, "a").on_batch("a", stamped_columns(5, 9, 7))
    assert (batch, watermark) == (RowBatch([{"n": 0}, {"n": 1}], [5, 9]), Watermark(9))
    assert rest == RowBatch([{"n": 2}], [7])


class Counting(OnRequest):
    def on_event(self, value: Any, timestamp: Any, output: Any) -> None:
        if value["n"] == 1:
            output.emit_watermark(timestamp)
