"""KeyedProcessFunction: state per key, and Flink's rules for timers."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet import KeyedProcessFunction, OutputTag, RuntimeContext, ValueStateDescriptor
from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.errors import FatalError
from streamlet.testing import OperatorHarness, at, run_in_five_modes, watermark

SIDE: OutputTag[Any] = OutputTag("side")


class Timers(KeyedProcessFunction):
    """Does what each record says: `(key, action, timestamp)`; tells of every timer."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        _, action, timestamp = value
        service = ctx.timer_service()
        if action == "event":
            service.register_event_time_timer(timestamp)
        elif action == "processing":
            service.register_processing_time_timer(timestamp)
        elif action == "delete event":
            service.delete_event_time_timer(timestamp)
        elif action == "delete processing":
            service.delete_processing_time_timer(timestamp)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        fired = (ctx.get_current_key(), timestamp, ctx.time_domain())
        yield (*fired, ctx.timer_service().current_watermark(), ctx.timestamp())
        yield SIDE, fired


@pytest.fixture(params=["heap", pytest.param("rocksdb", marks=pytest.mark.slow)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_event_timers_fire_once_by_ascending_time_with_the_new_watermark(backend: str) -> None:
    """TM-1, TM-2, TM-3, TM-4, TM-10."""
    script = [
        at(0, ("a", "event", 20)),
        at(0, ("b", "event", 10)),
        at(0, ("a", "event", 20)),
        at(0, ("a", "event", 31)),
        watermark(9),
        watermark(30),
    ]
    outcome = run_in_five_modes(Timers(), script, key_by=0, backend=backend)
    assert outcome.main == [
        at(10, ("b", 10, "event_time", 30, 10)),
        at(20, ("a", 20, "event_time", 30, 20)),
        at(31, ("a", 31, "event_time", MAX_TIMESTAMP, 31)),
    ]
    assert outcome.side[SIDE.id][0] == at(10, ("b", 10, "event_time"))


def test_one_timestamp_is_one_timer_per_key_and_domain(backend: str) -> None:
    """TM-1: the two domains are separate."""
    with OperatorHarness(Timers(), key_by=0, backend=backend) as harness:
        for action in ("event", "event", "processing", "processing"):
            harness.send(("k", action, 5))
        assert harness.state_size() == 2
        harness.watermark(5)
        harness.advance_processing_time(5)
        assert [value[2] for value in harness.output()] == ["event_time", "processing_time"]
        assert harness.state_size() == 0


def test_a_deleted_timer_does_not_fire(backend: str) -> None:
    """TM-7: deleting is by exact timestamp, and of an absent one does nothing."""
    script = [
        at(0, ("a", "event", 20)),
        at(0, ("b", "event", 20)),
        at(0, ("a", "delete event", 20)),
        at(0, ("b", "delete event", 21)),
        at(0, ("a", "processing", 20)),
        at(0, ("a", "delete processing", 20)),
        watermark(50),
    ]
    outcome = run_in_five_modes(Timers(), script, key_by=0, backend=backend)
    assert outcome.main == [at(20, ("b", 20, "event_time", 50, 20))]


def test_a_timer_deleted_and_registered_again_fires_once(backend: str) -> None:
    """TM-1, TM-7: also when a checkpoint saw it in between."""
    with OperatorHarness(Timers(), key_by=0, backend=backend) as harness:
        harness.send(("k", "event", 20))
        harness.snapshot()
        harness.send(("k", "delete event", 20))
        harness.send(("k", "event", 20))
        snapshot = harness.snapshot()
        harness.restore(snapshot)
        harness.watermark(30)
        assert len(harness.output()) == 1
        assert harness.state_size() == 0


def test_processing_timer_results_have_no_timestamp_but_side_outputs_do() -> None:
    """TM-10."""
    with OperatorHarness(Timers(), key_by=0) as harness:
        harness.send(("k", "processing", 7), 3)
        harness.advance_processing_time(6)
        assert harness.output() == []
        harness.advance_processing_time(1)
        fired = ("k", 7, "processing_time", MIN_TIMESTAMP, 7)
        assert harness.output_with_timestamps() == [at(None, fired)]
        assert harness.side_output_with_timestamps(SIDE) == [at(7, fired[:3])]


def test_a_past_event_timer_waits_for_the_next_watermark() -> None:
    """TM-5."""
    with OperatorHarness(Timers(), key_by=0) as harness:
        harness.watermark(100)
        harness.send(("k", "event", 50), 60)
        assert harness.output() == []
        harness.watermark(101)
        assert len(harness.output()) == 1


def test_an_overdue_processing_timer_fires_right_after_a_restore(backend: str) -> None:
    """TM-11, TM-12."""
    with OperatorHarness(Timers(), key_by=0, backend=backend) as harness:
        harness.send(("k", "processing", 10))
        snapshot = harness.snapshot()
        harness.clock.advance(100)
        harness.restore(snapshot)
        assert harness.output() == []
        harness.advance_processing_time(0)
        assert [value[1] for value in harness.output()] == [10]


def test_at_the_end_event_timers_fire_and_processing_timers_are_dropped(backend: str) -> None:
    """TM-13."""
    with OperatorHarness(Timers(), key_by=0, backend=backend) as harness:
        harness.send(("k", "event", 1_000_000))
        harness.send(("k", "processing", 10))
        harness.finish()
        assert [value[2] for value in harness.output()] == ["event_time"]
        harness.advance_processing_time("1h")
        assert harness.output() == []
        assert harness.state_size() == 0


class Rearming(KeyedProcessFunction):
    """Registers the next timer from within a timer, up to `last`."""

    def __init__(self, step: int, last: int) -> None:
        self.step = step
        self.last = last

    def process_element(self, value: Any, ctx: Any) -> Any:
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + self.step)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield timestamp
        if timestamp + self.step <= self.last:
            ctx.timer_service().register_event_time_timer(timestamp + self.step)


def test_a_timer_registered_in_a_timer_fires_in_the_same_advance() -> None:
    """TM-5: also across firing budgets."""
    outcome = run_in_five_modes(Rearming(10, 55), [at(0, ("k",)), watermark(35)], key_by=0)
    assert outcome.main == [at(t, t) for t in (10, 20, 30, 40, 50)]


def test_timers_that_re_arm_for_ever_stop_at_the_end_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """api.md: after 1,000 rounds per key."""
    with (
        OperatorHarness(Rearming(1, MAX_TIMESTAMP), key_by=0, firing_budget=300) as harness,
        caplog.at_level(logging.WARNING, "streamlet.operators"),
    ):
        harness.send(("a",), 0)
        harness.send(("b",), 0)
        harness.finish()
        assert len(harness.output()) == 2_000
        assert harness.state_size() == 0
    assert len(caplog.records) == 2


class Counts(KeyedProcessFunction):
    """Counts records per key; a timer clears the count."""

    def open(self, ctx: RuntimeContext) -> None:
        self.count = ctx.get_state(ValueStateDescriptor("count", int, default=0))

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.count.update(self.count.value() + 1)
        service = ctx.timer_service()
        # In the future: a timer behind the watermark fires with the next one, which after a
        # restore is the same one again (TM-5, WM-54).
        now = max(ctx.timestamp(), service.current_watermark())
        service.register_event_time_timer(now + 10)
        yield ctx.get_current_key(), self.count.value()

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield ctx.get_current_key(), -self.count.value()
        self.count.clear()


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()), max_size=16))
def test_state_and_timers_follow_the_key_in_every_mode(
    events: list[tuple[str, int, bool]],
) -> None:
    """TM-6, ST-1: against a model of dicts."""
    script: list[Any] = []
    model_counts: dict[str, int] = {}
    timers: set[tuple[int, str]] = set()
    expected: list[tuple[str, int]] = []
    now = MIN_TIMESTAMP

    def fire(limit: int) -> None:
        for due in sorted(timer for timer in timers if timer[0] <= limit):
            timers.discard(due)
            expected.append((due[1], -model_counts.pop(due[1], 0)))

    for key, time, is_watermark in events:
        if is_watermark and time > now:
            now = time
            fire(now)
        if is_watermark:
            script.append(watermark(time))
            continue
        script.append(at(time, (key,)))
        model_counts[key] = model_counts.get(key, 0) + 1
        timers.add((max(time, now) + 10, key))
        expected.append((key, model_counts[key]))
    fire(MAX_TIMESTAMP)
    outcome = run_in_five_modes(Counts(), script, key_by=0)
    assert sorted(outcome.values()) == sorted(expected)


def test_a_due_timer_of_a_plain_function_is_an_error() -> None:
    def process(value: Any, ctx: Any) -> Any:
        ctx.timer_service().register_event_time_timer(5)
        yield ctx.get_current_key()

    with OperatorHarness(process, key_by=0) as harness:
        harness.send(("k",), 0)
        assert harness.output() == ["k"]
        with pytest.raises(FatalError, match="on_timer"):
            harness.watermark(5)


def test_an_error_names_operator_key_timestamp_and_record() -> None:
    """Style rule 16."""

    class Fails(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            ctx.timer_service().register_event_time_timer(9)
            if value[1] == 3:
                yield 1 / 0

        def on_timer(self, timestamp: int, ctx: Any) -> Any:
            raise KeyError("gone")

    with OperatorHarness(Fails(), key_by=0) as harness:
        with pytest.raises(ZeroDivisionError) as in_record:
            harness.send_batch([("a", 1), ("b", 3), ("c", 4)], [4, 5, 6])
        with pytest.raises(KeyError) as in_timer:
            harness.watermark(9)
    assert "(subtask 1 of 1), key 'b', timestamp 5, record ('b', 3)" in in_record.value.__notes__[0]
    assert "key 'a', event_time timer 9" in in_timer.value.__notes__[0]


def test_each_start_works_on_its_own_copy_of_the_function() -> None:
    """A restarted attempt does not see what the failed one left in the object."""

    class Remembers(KeyedProcessFunction):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def process_element(self, value: Any, ctx: Any) -> Any:
            self.seen.append(value)
            yield len(self.seen)

    function = Remembers()
    with OperatorHarness(function, key_by=0) as harness:
        harness.send(("k",))
        harness.restore(harness.snapshot())
        harness.send(("k",))
        assert harness.output() == [1, 1]
    assert function.seen == []


def test_a_timer_needs_an_int() -> None:
    with (
        OperatorHarness(Timers(), key_by=0) as harness,
        pytest.raises(TypeError, match=r"1\.5"),
    ):
        harness.send(("k", "event", 1.5))
