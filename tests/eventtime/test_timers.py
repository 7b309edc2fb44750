"""Timers fire in ascending time, once each, however they are registered and deleted meanwhile."""

from time import process_time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streamlet.eventtime.timers import TimerQueue


def drain(queue: Any, limit_ms: Any) -> Any:
    fired = []
    while (due := queue.pop_due(limit_ms)) is not None:
        fired.append(due)
    return fired


def queue_of(*timers: Any) -> Any:
    queue = TimerQueue()
    for timestamp, key in timers:
        queue.register(timestamp, key)
    return queue


def test_same_timer_registered_twice_fires_once() -> None:
    """TM-1."""
    queue = TimerQueue()
    assert [queue.register(5, "a"), queue.register(5, "a")] == [True, False]
    assert [queue.register(5, "b"), queue.register(5, "b"), queue.register(5, "a")] == [
        True, False, False,
    ]  # fmt: skip
    assert len(queue) == 2
    assert drain(queue, 5) == [(5, "a"), (5, "b")]


def test_timer_fires_at_the_limit_and_not_beyond() -> None:
    """TM-2."""
    queue = queue_of((5, "a"), (6, "b"))
    assert drain(queue, 4) == []
    assert drain(queue, 5) == [(5, "a")]
    assert queue.next_timestamp() == 6


def test_timers_fire_by_timestamp_and_then_in_order_of_registration() -> None:
    """TM-4, promised further here."""
    queue = queue_of((7, "z"), (-3, "c"), (7, "a"), (-3, "b"), (7, "m"))
    assert drain(queue, 100) == [(-3, "c"), (-3, "b"), (7, "z"), (7, "a"), (7, "m")]


@pytest.mark.parametrize("at", [1, 5], ids=["earlier", "the same"])
def test_timer_registered_while_firing_fires_in_the_same_advance(at: Any) -> None:
    """TM-5."""
    queue = queue_of((5, "a"), (5, "b"), (5, "c"))
    assert queue.pop_due(5) == (5, "a")
    assert queue.register(at, "new")
    rest = drain(queue, 5)
    assert (at, "new") in rest
    assert rest == sorted(rest, key=lambda timer: timer[0])
    assert [key for _, key in rest if key != "new"] == ["b", "c"]


def test_earlier_timer_registered_while_firing_comes_before_the_rest() -> None:
    """TM-5."""
    queue = queue_of((5, "a"), (5, "b"))
    queue.pop_due(5)
    queue.register(4, "x")
    queue.register(4, "y")
    assert drain(queue, 5) == [(4, "x"), (4, "y"), (5, "b")]


def test_timer_registered_beyond_the_limit_while_firing_waits() -> None:
    queue = queue_of((5, "a"), (5, "b"))
    queue.pop_due(5)
    queue.register(6, "a")
    assert drain(queue, 5) == [(5, "b")]
    assert drain(queue, 6) == [(6, "a")]


def test_fired_timer_may_be_registered_again_for_the_same_time() -> None:
    """TM-5: it is gone before its callback runs."""
    queue = queue_of((5, "a"), (5, "b"))
    queue.pop_due(5)
    assert queue.register(5, "a")
    assert not queue.register(5, "b")
    assert drain(queue, 5) == [(5, "b"), (5, "a")]


def test_deleted_timer_does_not_fire() -> None:
    """TM-7."""
    queue = queue_of((5, "a"), (5, "b"), (6, "c"))
    assert queue.delete(5, "a")
    assert queue.delete(6, "c")
    assert [queue.delete(5, "a"), queue.delete(6, "c"), queue.delete(7, "a")] == [False] * 3
    assert queue.next_timestamp() == 5
    assert drain(queue, 10) == [(5, "b")]


def test_timer_deleted_while_its_timestamp_fires_does_not_fire() -> None:
    """TM-7."""
    queue = queue_of((5, "a"), (5, "b"), (5, "c"))
    queue.pop_due(5)
    assert queue.delete(5, "b")
    assert not queue.delete(5, "a")
    assert drain(queue, 5) == [(5, "c")]


def test_timer_deleted_and_registered_again_while_firing_goes_to_the_back() -> None:
    queue = queue_of((5, "a"), (5, "b"), (5, "c"))
    queue.pop_due(5)
    queue.delete(5, "b")
    assert queue.register(5, "b")
    assert drain(queue, 5) == [(5, "c"), (5, "b")]


def test_last_timers_deleted_while_firing_leave_nothing() -> None:
    queue = queue_of((5, "a"), (5, "b"))
    queue.pop_due(5)
    queue.delete(5, "b")
    assert len(queue) == 0
    assert queue.next_timestamp() is None
    assert queue.register(5, "c")
    assert drain(queue, 5) == [(5, "c")]


@pytest.mark.parametrize("key", [None, (), ("a", None), 0, "", b"", (1, (2, 3))])
def test_any_hashable_is_a_key(key: Any) -> None:
    queue = TimerQueue()
    assert queue.register(5, key)
    assert not queue.register(5, key)
    assert list(queue) == [(5, key)]
    assert queue.delete(5, key)
    assert not queue.delete(5, key)
    queue.register(5, key)
    queue.register(5, "other")
    assert drain(queue, 5) == [(5, key), (5, "other")]


def test_iteration_gives_all_timers_also_those_of_a_timestamp_half_fired() -> None:
    queue = queue_of((5, "a"), (5, "b"), (6, None), (7, "c"))
    queue.delete(7, "c")
    queue.pop_due(5)
    queue.register(5, "d")
    assert sorted(queue, key=repr) == [(5, "b"), (5, "d"), (6, None)]
    assert len(queue) == 3


def test_timer_moved_forward_by_every_record_leaves_no_growing_trail() -> None:
    queue = queue_of((0, "key"), (10**9, "other"))
    for timestamp in range(1, 20_000):
        queue.register(timestamp, "key")
        queue.delete(timestamp - 1, "key")
        assert len(queue._heap) < 2_500
    assert drain(queue, 10**9) == [(19_999, "key"), (10**9, "other")]


def test_trail_is_swept_while_a_timestamp_is_half_fired() -> None:
    queue = queue_of((0, "a"), (0, "b"), (1, "moved"))
    assert queue.pop_due(0) == (0, "a")
    for timestamp in range(2, 3_000):
        queue.register(timestamp, "moved")
        queue.delete(timestamp - 1, "moved")
    assert len(queue._heap) < 2_500
    assert drain(queue, 3_000) == [(0, "b"), (2_999, "moved")]


def test_timer_set_and_deleted_again_and_again_leaves_one_entry() -> None:
    queue = TimerQueue()
    for _ in range(1_000):
        queue.register(5, "key")
        queue.delete(5, "key")
    assert len(queue._heap) == 1
    assert queue.next_timestamp() is None


def test_cost_of_many_timers_on_one_timestamp_grows_with_their_number_only() -> None:
    """Taking the first of a dict again and again would take minutes here."""
    count, begin = 50_000, process_time()
    queue = queue_of(*((5, key) for key in range(count)))
    for key in range(count):
        assert queue.pop_due(5) == (5, key)
    for key in range(count):
        queue.register(5, key)
    for key in range(count):
        queue.pop_due(5)
        queue.register(5, -key - 1)
    assert len(queue) == count
    assert process_time() - begin < 5


@pytest.mark.slow
def test_chain_of_timers_behind_a_million_fired_ones_stays_quick() -> None:
    count = 1_000_000
    queue = queue_of(*((5, key) for key in range(count)))
    for _ in range(count):
        queue.pop_due(5)
    queue.register(5, "link")
    begin = process_time()
    for _ in range(1_000):
        assert queue.pop_due(5) == (5, "link")
        queue.register(5, "link")
    assert process_time() - begin < 2


class QueueAgainstList(RuleBasedStateMachine):
    """The queue does what a plain list of timers does that is searched each time."""

    times = st.integers(0, 6)
    keys = st.sampled_from([None, "a", "b", "c", (1,)])

    @initialize()
    def start(self) -> None:
        self.queue = TimerQueue()
        self.model: list[tuple[int, Any]] = []

    @rule(timestamp=times, key=keys)
    def register(self, timestamp: Any, key: Any) -> None:
        is_new = (timestamp, key) not in self.model
        assert self.queue.register(timestamp, key) == is_new
        if is_new:
            self.model.append((timestamp, key))

    @rule(timestamp=times, key=keys)
    def delete(self, timestamp: Any, key: Any) -> None:
        is_there = (timestamp, key) in self.model
        assert self.queue.delete(timestamp, key) == is_there
        if is_there:
            self.model.remove((timestamp, key))

    @rule(limit_ms=times)
    def pop(self, limit_ms: Any) -> None:
        earliest = min(self.model, key=lambda timer: timer[0], default=None)
        if earliest is not None and earliest[0] > limit_ms:
            earliest = None
        assert self.queue.pop_due(limit_ms) == earliest
        if earliest is not None:
            self.model.remove(earliest)

    @rule(limit_ms=times, most=st.integers(1, 4))
    def pop_all(self, limit_ms: Any, most: int) -> None:
        due = sorted((t for t in self.model if t[0] <= limit_ms), key=lambda timer: timer[0])[:most]
        up_to_ms = due[-1][0] if len(due) == most else limit_ms
        assert self.queue.pop_all_due(limit_ms, most) == ([key for _, key in due], up_to_ms)
        for timer in due:
            self.model.remove(timer)

    @rule()
    def look_ahead(self) -> None:
        assert self.queue.next_timestamp() == min((t for t, _ in self.model), default=None)

    @invariant()
    def same_timers(self) -> None:
        assert len(self.queue) == len(self.model)
        assert sorted(self.queue, key=repr) == sorted(self.model, key=repr)


TestQueueAgainstList = QueueAgainstList.TestCase
TestQueueAgainstList.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, derandomize=True
)
