"""Expired state goes away although nobody reads it (TTL-6), on every store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlet.functions import KeyedStateStore
from streamlet.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.handles import KeyedStateHandles
from streamlet.state.log import StateLog, open_store
from streamlet.testing import ManualClock

OpenLog = Callable[..., StateLog]
TTL_MS = 1_000


def take_barrier(log: StateLog) -> list[Any]:
    generation = log.freeze()
    rows = list(log.write(generation))
    log.retire(generation)
    return rows


def write_value(state: KeyedStateStore, number: int) -> None:
    state.get_state(ValueStateDescriptor("s", ttl=TTL_MS)).update(number)


def write_list(state: KeyedStateStore, number: int) -> None:
    state.get_list_state(ListStateDescriptor("s", ttl=TTL_MS)).add(number)


def write_map(state: KeyedStateStore, number: int) -> None:
    state.get_map_state(MapStateDescriptor("s", ttl=TTL_MS)).put(number, number)


def write_total(state: KeyedStateStore, number: int) -> None:
    state.get_reducing_state(ReducingStateDescriptor("s", max, ttl=TTL_MS)).add(number)


@pytest.mark.parametrize("write", [write_value, write_list, write_map, write_total])
@pytest.mark.parametrize("is_window", [False, True])
@pytest.mark.parametrize("barriers", [0, 7])
def test_keys_that_never_come_back_do_not_pile_up(
    open_log: OpenLog,
    write: Callable[[KeyedStateStore, int], None],
    is_window: bool,
    barriers: int,
) -> None:
    """A new key every 10 ms with a TTL of 1 s: about 100 are alive, whatever has come before."""
    clock, log = ManualClock(5), open_log()
    handles = KeyedStateHandles(log, clock)
    state = handles.namespaced((0, 10)) if is_window else handles
    sizes = []
    for number in range(600):
        log.key = number
        write(state, number)
        clock.advance(10)
        if barriers and number % (600 // barriers) == 0:
            take_barrier(log)
            log.settle(13)
        if number % 50 == 0:
            sizes.append(log.size())
    assert max(sizes) <= 200


def test_restored_entries_are_swept_too(open_log: OpenLog) -> None:
    clock, log = ManualClock(5), open_log()
    handles = KeyedStateHandles(log, clock)
    for log.key in range(300):
        write_value(handles, 1)
    rows = take_barrier(log)
    again = open_log()
    again.restore(rows)
    clock.advance(TTL_MS)
    restored = KeyedStateHandles(again, clock).get_state(ValueStateDescriptor("s", ttl=TTL_MS))
    again.key = "another"
    for _ in range(65):
        restored.value()
    assert again.size() == 0


def test_elements_expire_out_of_a_list_that_is_only_added_to(open_log: OpenLog) -> None:
    clock, log = ManualClock(5), open_log()
    handle = KeyedStateHandles(log, clock).get_list_state(ListStateDescriptor("l", ttl=TTL_MS))
    log.key = "hot"
    for number in range(1_000):
        handle.add(number)
        clock.advance(10)
    [row] = [row for batch in take_barrier(log) for row in batch.to_pylist()]
    assert len(row["value"]) < 200 * 20


def test_timers_and_states_without_a_ttl_stay(open_log: OpenLog) -> None:
    """TTL-8."""
    clock, log = ManualClock(5), open_log()
    handles = KeyedStateHandles(log, clock)
    plain = handles.get_state(ValueStateDescriptor("plain"))
    timed = handles.get_state(ValueStateDescriptor("timed", ttl=TTL_MS))
    for log.key in range(20):
        plain.update(1)
        timed.update(1)
    clock.advance(TTL_MS)
    for _ in range(20):
        timed.value()
    assert log.size() == 20
    assert plain.value() == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 8)),
        st.tuples(st.just("get"), st.integers(0, 8)),
        st.tuples(st.just("remove"), st.integers(0, 8)),
        st.tuples(st.just("advance"), st.sampled_from([1, 40, 99, 100])),
        st.tuples(st.just("freeze"), st.just(0)),
        st.tuples(st.just("write"), st.booleans()),
        st.tuples(st.just("settle"), st.integers(1, 3)),
    ),
    max_size=60,
)


class Model:
    """States with a TTL of 100 ms beside a dict that forgets by itself.

    The map state has its numbers as map keys of one key, the value state as keys.
    """

    def __init__(self, log: StateLog, is_map: bool) -> None:
        self.clock = ManualClock(1_000)
        self.log = log
        self.log.key = "k"
        handles = KeyedStateHandles(self.log, self.clock)
        self.map = handles.get_map_state(MapStateDescriptor("m", ttl=100))
        self.value = handles.get_state(ValueStateDescriptor("v", ttl=100))
        self.is_map = is_map
        self.expected: dict[int, int] = {}
        self.frozen: list[Any] = []

    def live(self) -> set[int]:
        now = self.clock.now_ms()
        return {number for number, put_ms in self.expected.items() if put_ms + 100 > now}

    def put(self, number: int) -> None:
        if self.is_map:
            self.map.put(number, number)
        else:
            self.log.key = number
            self.value.update(number)
        self.expected[number] = self.clock.now_ms()

    def get(self, number: int) -> Any:
        if self.is_map:
            return self.map.get(number)
        self.log.key = number
        return self.value.value()

    def remove(self, number: int) -> None:
        if self.is_map:
            self.map.remove(number)
        else:
            self.log.key = number
            self.value.clear()
        self.expected.pop(number, None)

    def write(self, is_written: bool) -> None:
        generation = self.frozen.pop(0) if is_written else self.frozen.pop()
        if is_written:
            list(self.log.write(generation))
            self.log.retire(generation)
        else:
            self.log.unfreeze(generation)

    def step(self, action: str, argument: int) -> None:
        if action == "put":
            self.put(argument)
        elif action == "get":
            assert self.get(argument) == (argument if argument in self.live() else None)
        elif action == "remove":
            self.remove(argument)
        elif action == "advance":
            self.clock.advance(argument)
        elif action == "freeze":
            self.frozen.append(self.log.freeze())
        elif action == "write" and self.frozen:
            self.write(bool(argument))
        elif action == "settle":
            self.log.settle(argument)

    def check(self) -> None:
        """Nothing live was taken; and a second pass, begun now, leaves nothing else."""
        live = self.live()
        assert {number for number in range(9) if self.get(number) is not None} == live
        self.clock.advance(100)
        for _ in range(8):
            assert self.get(99) is None
        assert self.log.size() == 0


@pytest.mark.parametrize("is_map", [False, True])
@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_sweep_takes_only_what_is_expired(is_map: bool, steps: list[tuple[str, int]]) -> None:
    """Whatever freezes, writes, failures and settling happen between its steps."""
    model = Model(StateLog(open_store("heap", None, 0), range(128), 128), is_map)
    for action, argument in steps:
        model.step(action, argument)
    model.check()


@pytest.mark.slow
@pytest.mark.parametrize("is_map", [False, True])
@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_sweep_takes_only_what_is_expired_on_rocksdb(
    is_map: bool, steps: list[tuple[str, int]]
) -> None:
    """With room for next to nothing in memory."""
    with TemporaryDirectory() as directory:
        log = StateLog(open_store("rocksdb", Path(directory, "s"), 8_000), range(128), 128)
        model = Model(log, is_map)
        for action, argument in steps:
            model.step(action, argument)
        model.check()
        log.close()
