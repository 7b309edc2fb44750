"""State that expires, as user code sees it: the same on every store, for keys and for windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streamlet.checkpoint.readable import readable
from streamlet.errors import RestoreError, StateTypeError
from streamlet.functions import KeyedStateStore
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.handles import KeyedStateHandles
from streamlet.state.log import StateLog
from streamlet.state.ttl import StateTtlConfig
from streamlet.testing import ManualClock
from tests.state.functions import Collect

OpenLog = Callable[..., StateLog]
Barrier = Callable[[], None]

RENEWED = StateTtlConfig(100, update_type="on_read_and_write")
SHOWN = StateTtlConfig(100, visibility="return_expired_if_not_cleaned_up")


class Upper:
    """A codec of the user's own."""

    def encode(self, value: Any, /) -> bytes:
        return str(value).upper().encode()

    def decode(self, payload: bytes, /) -> Any:
        return payload.decode()


def concat(a: Any, b: Any) -> Any:
    return a + b


@pytest.mark.parametrize("value", [5, ("a", 1), {"a": [1, {2}]}])
@pytest.mark.parametrize("is_written", [False, True])
def test_value_is_absent_once_its_ttl_has_passed(
    state: KeyedStateStore, clock: ManualClock, barrier: Barrier, value: Any, is_written: bool
) -> None:
    """TTL-1: equality is expired."""
    handle = state.get_state(ValueStateDescriptor("v", default="none", ttl=100))
    handle.update(value)
    if is_written:
        barrier()
    clock.advance(99)
    assert handle.value() == value
    clock.advance(1)
    assert handle.value() == "none"


def test_what_is_handed_out_is_a_copy(state: KeyedStateStore) -> None:
    handle = state.get_state(ValueStateDescriptor("v", dict, default={}, ttl=100))
    handle.update({"a": 1})
    handle.value()["a"] = 2
    assert handle.value() == {"a": 1}


def test_expired_read_removes(state: KeyedStateStore, clock: ManualClock, log: StateLog) -> None:
    """TTL-3."""
    handle = state.get_state(ValueStateDescriptor("v", ttl=100))
    handle.update(5)
    assert log.size() == 1
    clock.advance(100)
    assert handle.value() is None
    assert log.size() == 0


def test_writing_renews_and_reading_does_not(state: KeyedStateStore, clock: ManualClock) -> None:
    """TTL-2."""
    handle = state.get_state(ValueStateDescriptor("v", ttl=100))
    handle.update(1)
    clock.advance(60)
    handle.update(2)
    clock.advance(60)
    assert handle.value() == 2
    clock.advance(40)
    assert handle.value() is None


def test_reading_renews_only_where_it_is_said_to(
    state: KeyedStateStore, clock: ManualClock, barrier: Barrier
) -> None:
    """TTL-2: an expired value is not brought back by reading it."""
    value = state.get_state(ValueStateDescriptor("v", ttl=RENEWED))
    elements = state.get_list_state(ListStateDescriptor("l", ttl=RENEWED))
    entries = state.get_map_state(MapStateDescriptor("m", ttl=RENEWED))
    total = state.get_reducing_state(ReducingStateDescriptor("r", concat, ttl=RENEWED))
    value.update(1)
    elements.add(1)
    entries.put("a", 1)
    entries.put("b", 2)
    total.add(1)
    barrier()
    for _ in range(3):
        clock.advance(60)
        assert (value.value(), elements.get(), entries.get("a"), total.get()) == (1, [1], 1, 1)
    assert entries.items() == [("a", 1)]
    clock.advance(100)
    assert (value.value(), elements.get(), entries.get("a"), total.get()) == (None, [], None, None)


def test_expired_value_is_shown_once_where_it_is_said_to(
    state: KeyedStateStore, clock: ManualClock
) -> None:
    """TTL-3: the read itself removes it."""
    value = state.get_state(ValueStateDescriptor("v", ttl=SHOWN))
    entries = state.get_map_state(MapStateDescriptor("m", ttl=SHOWN))
    elements = state.get_list_state(ListStateDescriptor("l", ttl=SHOWN))
    value.update(1)
    entries.put("a", 1)
    elements.add(1)
    clock.advance(60)
    elements.add(2)
    clock.advance(40)
    assert (value.value(), entries.items(), list(elements.get())) == (1, [("a", 1)], [1, 2])
    assert (value.value(), entries.items(), list(elements.get())) == (None, [], [2])


def test_expired_accumulator_is_folded_in_only_where_it_is_shown(
    state: KeyedStateStore, clock: ManualClock
) -> None:
    """TTL-4."""
    total = state.get_reducing_state(ReducingStateDescriptor("r", concat, ttl=SHOWN))
    collected = state.get_aggregating_state(AggregatingStateDescriptor("a", Collect(), ttl=SHOWN))
    total.add(1)
    collected.add(1)
    clock.advance(100)
    total.add(2)
    collected.add(2)
    assert (total.get(), collected.get()) == (3, [1, 2])


def test_every_list_element_has_a_time_of_its_own(
    state: KeyedStateStore, clock: ManualClock, barrier: Barrier
) -> None:
    """TTL-4."""
    handle = state.get_list_state(ListStateDescriptor("l", ttl=100))
    handle.add({"n": 1})
    clock.advance(50)
    barrier()
    handle.add_all([2, (3, 4)])
    clock.advance(50)
    assert list(handle.get()) == [2, (3, 4)]
    clock.advance(50)
    assert list(handle.get()) == []
    handle.update([5, 6])
    assert list(handle.get()) == [5, 6]
    handle.update([])
    assert list(handle.get()) == []
    with pytest.raises(TypeError, match="None"):
        handle.add_all([1, None])
    assert list(handle.get()) == []


def test_every_map_entry_has_a_time_of_its_own(
    state: KeyedStateStore, clock: ManualClock, barrier: Barrier, log: StateLog
) -> None:
    """TTL-4."""
    handle = state.get_map_state(MapStateDescriptor("m", ttl=100))
    handle.put("a", [1])
    barrier()
    clock.advance(50)
    handle.put_all({"b": 2, "c": 3})
    clock.advance(50)
    assert not handle.contains("a")
    assert "b" in handle
    assert handle.items() == [("b", 2), ("c", 3)]
    handle.remove("b")
    assert list(handle) == ["c"]
    clock.advance(50)
    assert handle.keys() == handle.values() == []
    assert log.size() == 0


def test_map_that_has_only_expired_entries_is_not_empty(open_log: OpenLog) -> None:
    """TTL-5; many entries, so that background removal cannot come first."""
    clock, log = ManualClock(1_000_000), open_log()
    log.key = "k1"
    handle = KeyedStateHandles(log, clock).get_map_state(MapStateDescriptor("m", ttl=100))
    handle.put_all({number: number for number in range(100)})
    clock.advance(100)
    assert not handle.is_empty()
    assert not handle.contains(99)
    handle.clear()
    assert handle.is_empty()


def test_adding_to_an_expired_accumulator_starts_anew(
    state: KeyedStateStore, clock: ManualClock, barrier: Barrier
) -> None:
    """TTL-4: one time for the whole accumulator, which each `add` renews."""
    total = state.get_reducing_state(ReducingStateDescriptor("r", concat, ttl=100))
    collected = state.get_aggregating_state(AggregatingStateDescriptor("a", Collect(), ttl=100))
    total.add(1)
    collected.add(1)
    clock.advance(99)
    total.add(2)
    collected.add(2)
    barrier()
    clock.advance(99)
    assert (total.get(), collected.get()) == (3, [1, 2])
    clock.advance(1)
    total.add(10)
    collected.add(10)
    assert (total.get(), collected.get()) == (10, [10])


@pytest.mark.parametrize("ttl", [100, RENEWED])
def test_accumulator_of_a_frozen_snapshot_is_not_changed(
    state: KeyedStateStore, log: StateLog, ttl: Any, open_log: OpenLog, clock: ManualClock
) -> None:
    """ST-5: reading renews, which must not share the object with what is being written."""
    collected = state.get_aggregating_state(AggregatingStateDescriptor("a", Collect(), ttl=ttl))
    collected.add(1)
    generation = log.freeze()
    assert collected.get() == [1]
    collected.add(2)
    rows = list(log.write(generation))
    log.retire(generation)
    assert collected.get() == [1, 2]
    again = open_log()
    again.restore(rows)
    again.key = "k1"
    handles = KeyedStateHandles(again, clock)
    store = handles if type(state) is KeyedStateHandles else handles.namespaced((0, 10))
    restored = store.get_aggregating_state(AggregatingStateDescriptor("a", Collect(), ttl=ttl))
    assert restored.get() == [1]


def test_codec_of_the_users_own_encodes_the_value_alone(
    state: KeyedStateStore, log: StateLog, clock: ManualClock, open_log: OpenLog
) -> None:
    def all_of(store: KeyedStateStore) -> tuple[Any, ...]:
        codec = Upper()
        return (
            store.get_state(ValueStateDescriptor("v", codec=codec, ttl=100)),
            store.get_list_state(ListStateDescriptor("l", codec=codec, ttl=100)),
            store.get_map_state(MapStateDescriptor("m", codec=codec, ttl=100)),
        )

    value, elements, entries = all_of(state)
    value.update("a")
    elements.add_all(["b", "c"])
    entries.put("k", "d")
    rows = list(log.write(log.freeze()))
    again = open_log()
    again.restore(rows)
    again.key = "k1"
    handles = KeyedStateHandles(again, clock)
    value, elements, entries = all_of(
        handles if type(state) is KeyedStateHandles else handles.namespaced((0, 10))
    )
    assert (value.value(), elements.get(), entries.items()) == ("A", ["B", "C"], [("k", "D")])


def test_savepoints_show_time_and_value(log: StateLog, clock: ManualClock) -> None:
    handles = KeyedStateHandles(log, clock)
    handles.get_state(ValueStateDescriptor("v", ttl=100)).update({"n": 1})
    handles.get_list_state(ListStateDescriptor("l", ttl=100)).add(7)
    shown = {
        row["state"]: msgspec.json.decode(row["value_json"])
        for batch in log.write(log.freeze())
        for row in readable(batch, "op").to_pylist()
    }
    assert shown == {"_ttl/v": [1_000_000, {"n": 1}], "_ttl/l": [[1_000_000, 7]]}


@pytest.mark.parametrize("seconds", [1, 10])
def test_changed_duration_applies_to_old_times(
    log: StateLog, clock: ManualClock, open_log: OpenLog, seconds: int
) -> None:
    """TTL-7."""
    handles = KeyedStateHandles(log, clock)
    handles.get_state(ValueStateDescriptor("v", ttl="5s")).update(1)
    rows = list(log.write(log.freeze()))
    again = open_log()
    again.restore(rows)
    again.key = "k1"
    clock.advance("7s")
    restored = KeyedStateHandles(again, clock).get_state(
        ValueStateDescriptor("v", ttl=f"{seconds}s")
    )
    assert restored.value() == (1 if seconds == 10 else None)


@pytest.mark.parametrize(("before", "after"), [(None, "1h"), ("1h", None)])
@pytest.mark.parametrize("kind", ["value", "list", "map"])
@pytest.mark.parametrize("is_window", [False, True])
def test_ttl_switched_on_or_off_is_refused(
    log: StateLog,
    open_log: OpenLog,
    clock: ManualClock,
    before: str | None,
    after: str | None,
    kind: str,
    is_window: bool,
) -> None:
    """TTL-7: for a restored state, and within one operator."""

    def get(store: KeyedStateStore, ttl: str | None) -> Any:
        if kind == "value":
            return store.get_state(ValueStateDescriptor("mine", ttl=ttl))
        if kind == "list":
            return store.get_list_state(ListStateDescriptor("mine", ttl=ttl))
        return store.get_map_state(MapStateDescriptor("mine", ttl=ttl))

    def store_of(log: StateLog) -> KeyedStateStore:
        handles = KeyedStateHandles(log, clock)
        return handles.namespaced((0, 10)) if is_window else handles

    store = store_of(log)
    handle = get(store, before)
    handle.put(1, 1) if kind == "map" else handle.update(1 if kind == "value" else [1])
    with pytest.raises(StateTypeError, match="'mine'"):
        get(store, after)
    rows = list(log.write(log.freeze()))
    again = open_log()
    again.restore(rows)
    with pytest.raises(RestoreError, match="'mine'"):
        get(store_of(again), after)
    get(store_of(again), before)


def test_one_state_has_one_ttl_and_one_kind(state: KeyedStateStore) -> None:
    """ST-4."""
    state.get_state(ValueStateDescriptor("x", ttl="1h"))
    state.get_state(ValueStateDescriptor("x", ttl="60m"))
    for get in (
        lambda: state.get_state(ValueStateDescriptor("x", ttl="2h")),
        lambda: state.get_list_state(ListStateDescriptor("x", ttl="1h")),
        lambda: state.get_map_state(MapStateDescriptor("x", ttl="1h")),
    ):
        with pytest.raises(StateTypeError, match="x'"):
            get()


def test_keys_and_windows_expire_apart(log: StateLog, clock: ManualClock) -> None:
    handles = KeyedStateHandles(log, clock)
    descriptor = ValueStateDescriptor("v", ttl=100)
    handles.get_state(descriptor).update("key")
    clock.advance(50)
    handles.namespaced((0, 10)).get_state(descriptor).update("window")
    log.key = "k2"
    handles.get_state(descriptor).update("other key")
    log.key = "k1"
    clock.advance(50)
    assert handles.get_state(descriptor).value() is None
    assert handles.namespaced((0, 10)).get_state(descriptor).value() == "window"
    assert handles.namespaced((10, 20)).get_state(descriptor).value() is None
    log.key = "k2"
    assert handles.get_state(descriptor).value() == "other key"
