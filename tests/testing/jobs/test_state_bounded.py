"""assert_state_bounded: bounded state passes; leaks are named, with the curve of their growth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pytest

from streamlet import (
    EventTimeSessionWindows,
    KeyedProcessFunction,
    MapStateDescriptor,
    RuntimeContext,
    SlidingEventTimeWindows,
    StreamExecutionEnvironment,
    TumblingEventTimeWindows,
    ValueStateDescriptor,
    WatermarkStrategy,
)
from streamlet import aggregates as agg
from streamlet.errors import ConfigError
from streamlet.testing import assert_state_bounded

pytestmark = pytest.mark.slow

Env: TypeAlias = StreamExecutionEnvironment
KEYS: Final = 4
EVENTS: Final = [(f"u{n % KEYS}", 10 * n) for n in range(200)]


class Bounded(KeyedProcessFunction[str, Any, Any]):
    """The latest event of a key, forgotten after a while; each new one moves the timer."""

    def open(self, ctx: RuntimeContext, /) -> None:
        self.due = ctx.get_state(ValueStateDescriptor("due", int))
        self.seen = ctx.get_map_state(MapStateDescriptor("seen"))

    def process_element(self, value: Any, ctx: Any, /) -> None:
        timers = ctx.timer_service()
        if (due := self.due.value()) is not None:
            timers.delete_event_time_timer(due)
        self.due.update(value[1] + 500)
        timers.register_event_time_timer(value[1] + 500)

    def on_timer(self, timestamp: int, ctx: Any, /) -> None:
        self.due.clear()


class TimerNeverDeleted(Bounded):
    def process_element(self, value: Any, ctx: Any, /) -> None:
        self.due.update(value[1] + 500_000)
        ctx.timer_service().register_event_time_timer(value[1] + 500_000)


class MapNeverCleared(Bounded):
    def process_element(self, value: Any, ctx: Any, /) -> None:
        super().process_element(value, ctx)
        self.seen.put(value[1], True)


class ForgottenAtTheEnd(Bounded):
    def on_timer(self, timestamp: int, ctx: Any, /) -> None:
        """Leaves `due` as it is."""


def processing(function: type[Bounded]) -> Callable[[Env], Any]:
    return lambda env: events(env).key_by(0).process(function()).name("remember")


def events(env: Env) -> Any:
    strategy: WatermarkStrategy[Any] = WatermarkStrategy.for_monotonous_timestamps()
    return env.from_collection(EVENTS, strategy.with_timestamp_assigner(1))


def test_state_of_each_key_that_ends_with_a_timer_is_bounded() -> None:
    counts = assert_state_bounded(processing(Bounded), keys=KEYS)
    assert [count.records for count in counts] == [*range(20, 201, 20), 200]
    timers = {name: n for name, n in counts[0].entries.items() if name.state != "due"}
    assert list(timers.values()) == [KEYS]
    assert counts[-1].entries.total() == 0


@pytest.mark.parametrize(
    ("function", "state"),
    [(TimerNeverDeleted, "event time timers"), (MapNeverCleared, "seen")],
)
def test_a_leak_is_named_with_its_curve(function: type[Bounded], state: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_state_bounded(processing(function), keys=KEYS)
    first, curve, *_ = str(caught.value).splitlines()
    assert first == (
        f"operator 'remember', state {state!r}: 200 entries, expected at most 4 (4 keys)"
    )
    assert curve.startswith("  entries after so many records: 20: 20, 40: 40, 60: 60, ")


def test_what_is_left_at_the_end_is_named() -> None:
    with pytest.raises(AssertionError, match=r"state 'due': 4 entries are left after the end"):
        assert_state_bounded(processing(ForgottenAtTheEnd), keys=KEYS)
    assert_state_bounded(processing(ForgottenAtTheEnd), keys=KEYS, ends_empty=False)


@pytest.mark.parametrize(
    ("assigner", "windows"),
    [
        (TumblingEventTimeWindows.of(100), 2),
        (SlidingEventTimeWindows.of(100, 50), 3),
        (EventTimeSessionWindows.with_gap(30), 2),
    ],
)
def test_windows_need_so_many_entries_for_each_key_and_end_with_none(
    assigner: Any, windows: int
) -> None:
    def job(env: Env) -> Any:
        return events(env).key_by(0).window(assigner).agg(n=agg.count())

    assert_state_bounded(job, keys=KEYS, entries_per_key=windows)


def test_running_results_are_bounded_and_stay() -> None:
    def job(env: Env) -> Any:
        return events(env).key_by(0).max(1)

    counts = assert_state_bounded(job, keys=KEYS, ends_empty=False)
    assert {count.entries.total() for count in counts} == {KEYS}
    with pytest.raises(AssertionError, match="expected at most 3"):
        assert_state_bounded(job, keys=3, ends_empty=False)


def test_operators_of_one_name_are_told_by_their_uid() -> None:
    def job(env: Env) -> Any:
        keyed = events(env).key_by(0)
        left = keyed.max(1).name("most").uid("first")
        return left.union(keyed.max(1).name("most").uid("second"))

    counts = assert_state_bounded(job, keys=KEYS, ends_empty=False)
    names = {name.operator for name in counts[0].entries}
    assert names == {"most (uid first)", "most (uid second)"}


def test_a_job_without_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="gave no record"):
        assert_state_bounded(lambda env: env.from_collection([]), keys=1)
