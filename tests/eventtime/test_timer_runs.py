"""Timers in runs fire by time, each that is due once, however they were registered."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from streamlet.eventtime import timer_runs
from streamlet.eventtime.timer_runs import TimerRuns
from streamlet.state.key_index import keys_array


def runs_of(*runs: tuple[list[int], list[str]]) -> TimerRuns:
    """Registered one run after the other."""
    timers = TimerRuns()
    for times, keys in runs:
        timers.register(np.array(times, np.int64), keys_array(keys))
    return timers


def due(timers: TimerRuns, limit_ms: int) -> list[Any]:
    """The keys of the timers up to this time."""
    return [key for keys in timers.pop_due(limit_ms) for key in keys.tolist()]


def test_timers_of_a_run_are_due_by_time() -> None:
    timers = runs_of(([30, 10, 20], ["c", "a", "b"]))
    assert due(timers, 9) == []
    assert due(timers, 10) == ["a"]
    assert due(timers, 29) == ["b"]
    assert due(timers, 1_000) == ["c"]
    assert due(timers, 1_000) == []


def test_a_timer_is_due_at_its_very_millisecond() -> None:
    timers = runs_of(([-5], ["a"]))
    assert due(timers, -6) == []
    assert due(timers, -5) == ["a"]


def test_each_run_gives_what_is_due_of_it() -> None:
    timers = runs_of(([10, 40], ["a", "d"]), ([20, 30], ["b", "c"]), ([50], ["e"]))
    assert due(timers, 35) == ["a", "b", "c"]
    assert due(timers, 100) == ["d", "e"]


def test_timers_of_one_time_keep_the_order_of_their_registration() -> None:
    """Keys need not compare, and runs never do."""
    timers = TimerRuns()
    for keys in ([None, "a", 1], [(2,), "a"]):
        timers.register(np.full(len(keys), 7, np.int64), keys_array(keys))
    assert due(timers, 7) == [None, "a", 1, (2,), "a"]


def test_the_same_timer_may_be_there_twice() -> None:
    timers = runs_of(([10, 10], ["a", "a"]), ([10], ["a"]))
    assert due(timers, 10) == ["a", "a", "a"]
    assert due(timers, 10) == []


def test_a_timer_before_what_has_fired_fires_next() -> None:
    timers = runs_of(([10, 30], ["a", "c"]))
    assert due(timers, 20) == ["a"]
    timers.register(np.array([5]), keys_array(["late"]))
    assert due(timers, 20) == ["late"]
    assert due(timers, 30) == ["c"]


def test_no_timers_are_no_run() -> None:
    timers = runs_of(([], []))
    assert timers.limit_ms(100) == 100
    assert due(timers, 100) == []


def test_few_timers_may_all_fire_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer_runs, "_MOST_AT_ONCE", 4)
    timers = runs_of(([0, 10], ["a", "b"]), ([20, 30, 40], ["c", "d", "e"]))
    assert timers.limit_ms(30) == 30


def test_the_time_is_halved_until_few_enough_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer_runs, "_MOST_AT_ONCE", 4)
    timers = runs_of((list(range(0, 160, 10)), [str(n) for n in range(16)]))
    assert timers.limit_ms(160) == 20  # after 80 and 40, where five are due
    assert timers.limit_ms(39) == 39
    assert due(timers, 20) == ["0", "1", "2"]
    assert timers.limit_ms(160) == 62  # after 95, where seven are due


def test_timers_of_one_time_cannot_be_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer_runs, "_MOST_AT_ONCE", 4)
    timers = runs_of(([7] * 9, list("abcdefghi")), ([8], ["j"]))
    assert timers.limit_ms(100) == 7
    assert due(timers, 7) == list("abcd")
    assert timers.has_due(7)
    assert due(timers, 7) == list("efgh")
    assert due(timers, 7) == ["i"]
    assert not timers.has_due(7)
    assert timers.limit_ms(100) == 100


@pytest.mark.parametrize("seed", range(10))
def test_step_by_step_everything_fires_once_and_never_late(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an operator goes on from limit to limit until it is where the watermark is."""
    monkeypatch.setattr(timer_runs, "_MOST_AT_ONCE", 5)
    random, timers, waiting = Random(seed), TimerRuns(), list[tuple[int, int]]()
    for number, watermark_ms in enumerate(range(-50, 100, 15)):
        times = [watermark_ms + random.randrange(60) for _ in range(random.randrange(12))]
        waiting += [(time, number) for time in times]
        keys = keys_array([(time, number) for time in times])
        timers.register(np.array(times, np.int64), keys)
        limit_ms = None
        while limit_ms != watermark_ms:
            limit_ms = timers.limit_ms(watermark_ms)
            expected = sorted(timer for timer in waiting if timer[0] <= limit_ms)
            waiting = [timer for timer in waiting if timer[0] > limit_ms]
            assert sorted(due(timers, limit_ms)) == expected
            assert limit_ms <= watermark_ms
