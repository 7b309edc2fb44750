"""State as user code sees it, the same on every store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from streamlet.errors import StateTypeError
from streamlet.functions import KeyedStateStore, ReduceFunction
from streamlet.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from streamlet.state.handles import KeyedStateHandles
from streamlet.state.log import StateLog
from streamlet.testing import ManualClock
from tests.state.functions import Collect

OpenLog = Callable[..., StateLog]
Barrier = Callable[[], None]


def concat(a: Any, b: Any) -> Any:
    return a + b


class Longest(ReduceFunction[str]):
    def reduce(self, value1: str, value2: str, /) -> str:
        return max(value1, value2, key=len)


def test_value_is_scoped_to_the_key(state: KeyedStateStore, log: StateLog) -> None:
    """ST-1."""
    value = state.get_state(ValueStateDescriptor("v"))
    value.update(1)
    log.key = "k2"
    assert value.value() is None
    value.update(2)
    log.key = "k1"
    assert value.value() == 1
    value.clear()
    assert value.value() is None
    log.key = "k2"
    assert value.value() == 2


def test_missing_value_is_none_or_the_default(state: KeyedStateStore, barrier: Barrier) -> None:
    """ST-2."""
    assert state.get_state(ValueStateDescriptor("a")).value() is None
    value = state.get_state(ValueStateDescriptor("b", default=[1]))
    value.value().append(2)
    assert value.value() == [1]
    value.update([5])
    barrier()
    assert value.value() == [5]
    value.clear()
    assert value.value() == [1]


def test_updating_to_none_clears(state: KeyedStateStore, log: StateLog, barrier: Barrier) -> None:
    """ST-2."""
    value = state.get_state(ValueStateDescriptor("v", default=0))
    value.update(5)
    barrier()
    value.update(None)
    assert value.value() == 0
    barrier()
    assert log.size() == 0


def test_state_never_aliases_what_users_hold(state: KeyedStateStore, barrier: Barrier) -> None:
    value = state.get_state(ValueStateDescriptor("v"))
    elements = state.get_list_state(ListStateDescriptor("l"))
    entries = state.get_map_state(MapStateDescriptor("m"))
    mine = {"a": [1]}
    value.update(mine)
    elements.add(mine)
    entries.put("x", mine)
    mine["a"].append(2)
    for _ in range(2):
        for given in (value.value(), elements.get()[0], entries["x"], entries.values()[0]):
            assert given == {"a": [1]}
            given["a"].append(3)
        barrier()


def test_list_state(state: KeyedStateStore, log: StateLog, barrier: Barrier) -> None:
    """ST-2."""
    elements = state.get_list_state(ListStateDescriptor("l"))
    assert list(elements.get()) == []
    elements.add_all([])
    assert log.size() == 0
    elements.add(1)
    elements.add_all([(2, "x"), {"y": 3}])
    barrier()
    elements.add(4)
    assert list(elements.get()) == [1, (2, "x"), {"y": 3}, 4]
    elements.get().append(5)
    assert len(elements.get()) == 4
    elements.update([7, 8])
    assert list(elements.get()) == [7, 8]
    elements.update([])
    assert list(elements.get()) == []
    barrier()
    assert log.size() == 0


def test_none_in_a_list_is_refused_before_anything_is_written(state: KeyedStateStore) -> None:
    """ST-2."""
    elements = state.get_list_state(ListStateDescriptor("l"))
    elements.add(1)
    refusals: list[Callable[[], None]] = [
        lambda: elements.add(None),
        lambda: elements.add_all([2, None]),
        lambda: elements.update([3, None]),
        lambda: elements.add_all([2, Counter()]),
    ]
    for refused in refusals:
        with pytest.raises(TypeError):
            refused()
        assert list(elements.get()) == [1]


def test_map_state(state: KeyedStateStore, log: StateLog, barrier: Barrier) -> None:
    """ST-2."""
    entries = state.get_map_state(MapStateDescriptor("m"))
    assert entries.get("x") is None
    assert entries.is_empty()
    assert list(entries) == []
    entries.put("b", [1])
    entries["a"] = 2
    entries.put("nothing", None)
    barrier()
    entries["c"] = 3
    assert entries.contains("nothing")
    assert "zz" not in entries
    assert entries.items() == [("a", 2), ("b", [1]), ("c", 3), ("nothing", None)]
    assert list(entries.keys()) == list(entries) == ["a", "b", "c", "nothing"]
    assert entries.values() == [2, [1], 3, None]
    entries.remove("b")
    entries.remove("absent")
    del entries["nothing"]
    for missing in ("b", "nothing"):
        with pytest.raises(KeyError):
            entries[missing]
        with pytest.raises(KeyError):
            del entries[missing]
    log.key = "k2"
    assert entries.is_empty()
    log.key = "k1"
    assert entries.items() == [("a", 2), ("c", 3)]
    entries.clear()
    assert entries.is_empty()
    barrier()
    assert log.size() == 0


def test_map_without_its_last_entry_is_absent(
    state: KeyedStateStore, log: StateLog, barrier: Barrier
) -> None:
    """ST-2."""
    entries = state.get_map_state(MapStateDescriptor("m"))
    entries.put("a", 1)
    barrier()
    entries.remove("a")
    assert entries.is_empty()
    barrier()
    assert log.size() == 0


def test_equal_map_keys_are_one_key(state: KeyedStateStore, barrier: Barrier) -> None:
    entries = state.get_map_state(MapStateDescriptor("m"))
    entries.put(True, "first")
    barrier()
    entries.put(1.0, "second")
    barrier()
    assert entries.items() == [(1, "second")]
    with pytest.raises(StateTypeError, match="'m'"):
        entries.put([1], 0)


def test_maps_are_put_as_a_whole_or_not_at_all(state: KeyedStateStore) -> None:
    entries = state.get_map_state(MapStateDescriptor("m"))
    with pytest.raises(StateTypeError):
        entries.put_all({"a": 1, "b": Counter()})
    assert entries.is_empty()
    entries.put_all({"b": 2, "a": 1})
    assert entries.items() == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(("fn", "expected"), [(concat, "abbc"), (Longest(), "bb")])
def test_reducing_state(state: KeyedStateStore, barrier: Barrier, fn: Any, expected: str) -> None:
    folded = state.get_reducing_state(ReducingStateDescriptor("r", fn))
    assert folded.get() is None
    for value in ("a", "bb", "c"):
        folded.add(value)
        barrier()
    assert folded.get() == expected
    folded.clear()
    assert folded.get() is None


def test_aggregating_state(state: KeyedStateStore, log: StateLog, barrier: Barrier) -> None:
    collected = state.get_aggregating_state(AggregatingStateDescriptor("a", Collect()))
    assert collected.get() is None
    for value in range(3):
        collected.add(value)
        barrier()
    result = collected.get()
    assert result == [0, 1, 2]
    result.append(99)
    assert collected.get() == [0, 1, 2]
    collected.clear()
    assert collected.get() is None
    barrier()
    assert log.size() == 0


def test_aggregate_being_written_is_not_changed(state: KeyedStateStore, log: StateLog) -> None:
    """ST-5."""
    collected = state.get_aggregating_state(AggregatingStateDescriptor("a", Collect()))
    elements = state.get_list_state(ListStateDescriptor("l"))
    collected.add(1)
    elements.add(1)
    generation = log.freeze()
    collected.add(2)
    elements.add(2)
    written = list(log.write(generation))
    assert {row["value"] for batch in written for row in batch.to_pylist()} == {b"\x91\x01"}
    assert collected.get() == elements.get() == [1, 2]


def test_value_that_cannot_be_kept_fails_where_it_is_given(state: KeyedStateStore) -> None:
    class Careless(Collect):
        def create_accumulator(self) -> Any:
            return Counter()

        def add(self, value: int, accumulator: Any, /) -> Any:
            return accumulator

    bad: Counter[str] = Counter()
    mistakes: list[Callable[[], None]] = [
        lambda: state.get_state(ValueStateDescriptor("v")).update(bad),
        lambda: state.get_list_state(ListStateDescriptor("l")).add(bad),
        lambda: state.get_map_state(MapStateDescriptor("m")).put("a", bad),
        lambda: state.get_reducing_state(ReducingStateDescriptor("r", concat)).add(bad),
        lambda: state.get_aggregating_state(AggregatingStateDescriptor("a", Careless())).add(1),
    ]
    for give in mistakes:
        with pytest.raises(StateTypeError, match="Counter") as caught:
            give()
        assert "in state" in caught.value.__notes__[0]


class Upper:
    """A codec that can be told from the default one."""

    def encode(self, value: Any, /) -> bytes:
        return repr(value).upper().encode()

    def decode(self, payload: bytes, /) -> Any:
        return payload.decode()


def test_codec_of_the_descriptor_is_used(state: KeyedStateStore, barrier: Barrier) -> None:
    value = state.get_state(ValueStateDescriptor("v", codec=Upper()))
    elements = state.get_list_state(ListStateDescriptor("l", codec=Upper()))
    entries = state.get_map_state(MapStateDescriptor("m", codec=Upper()))
    value.update("a")
    elements.add_all(["a", object])
    entries.put("k", 1)
    for _ in range(2):
        assert value.value() == "'A'"
        assert list(elements.get()) == ["'A'", "<CLASS 'OBJECT'>"]
        assert entries.items() == [("k", "1")]
        barrier()
        elements.update(["a", object])


def test_one_name_is_one_state(state: KeyedStateStore) -> None:
    """ST-4."""
    state.get_state(ValueStateDescriptor("x")).update(5)
    assert state.get_state(ValueStateDescriptor("x")).value() == 5
    for get in (
        lambda: state.get_list_state(ListStateDescriptor("x")),
        lambda: state.get_map_state(MapStateDescriptor("x")),
        lambda: state.get_reducing_state(ReducingStateDescriptor("x", concat)),
        lambda: state.get_aggregating_state(AggregatingStateDescriptor("x", Collect())),
        lambda: state.get_state(ValueStateDescriptor("x", codec=Upper())),
    ):
        with pytest.raises(StateTypeError, match="x'"):
            get()


def test_windows_and_the_key_have_states_of_their_own(log: StateLog, barrier: Barrier) -> None:
    handles = KeyedStateHandles(log, ManualClock())
    handles.get_state(ValueStateDescriptor("x")).update(1)
    for start in (0, 10):
        store = handles.namespaced((start, start + 10))
        store.get_state(ValueStateDescriptor("x")).update(start)
        store.get_map_state(MapStateDescriptor("m")).put("a", start)
    barrier()
    assert handles.get_state(ValueStateDescriptor("x")).value() == 1
    store = handles.namespaced((0, 10))
    assert store.get_state(ValueStateDescriptor("x")).value() == 0
    store.get_map_state(MapStateDescriptor("m")).clear()
    assert store.get_map_state(MapStateDescriptor("m")).is_empty()
    store = handles.namespaced((10, 20))
    assert store.get_map_state(MapStateDescriptor("m")).items() == [("a", 10)]


def test_states_are_restored(open_log: OpenLog, state: KeyedStateStore, log: StateLog) -> None:
    value = state.get_state(ValueStateDescriptor("v"))
    elements = state.get_list_state(ListStateDescriptor("l"))
    entries = state.get_map_state(MapStateDescriptor("m"))
    collected = state.get_aggregating_state(AggregatingStateDescriptor("a", Collect()))
    value.update({"a": (1, {2})})
    elements.add_all([{"e": 1}, 2])
    entries.put(("t", 1), "one")
    collected.add(5)
    rows = list(log.write(log.freeze()))
    again = open_log()
    again.restore(rows)
    again.key = "k1"
    handles = KeyedStateHandles(again, ManualClock())
    store = handles if type(state) is KeyedStateHandles else handles.namespaced((0, 10))
    restored = store.get_list_state(ListStateDescriptor("l"))
    restored.get()[0]["e"] = 2
    restored.add(3)
    assert list(restored.get()) == [{"e": 1}, 2, 3]
    assert store.get_state(ValueStateDescriptor("v")).value() == {"a": (1, {2})}
    assert store.get_map_state(MapStateDescriptor("m")).items() == [(("t", 1), "one")]
    collected = store.get_aggregating_state(AggregatingStateDescriptor("a", Collect()))
    collected.add(6)
    assert collected.get() == [5, 6]
