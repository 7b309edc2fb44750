"""Whatever the interleaving of writes, freezes, failures and restarts: it is as with dicts."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Generator, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from streamlet.operators.kept_keys import Elsewhere, accumulators_of, slots_of
from streamlet.state import nested_table, pieces
from streamlet.state.flat_table import FlatTable
from streamlet.state.key_index import keys_array
from streamlet.state.key_numbers import KeyNumbers
from streamlet.state.log import MISSING, Generation, Layout, StateLog, open_store
from streamlet.state.nested_table import NestedTable
from streamlet.state.pieces import collect, in_order, release
from tests.state.colliding_keys import colliding
from tests.state.counts import add, added, arrays_in, counts, counts_by_number, counts_in_arrays

KEYS = st.sampled_from([0, 1, 2, 300, "a", "bb", None, (1, "x"), b"z"])
OUTERS = st.sampled_from([(0, 10), (10, 20), (-5, 2**40)])
NUMBERS = st.integers(0, 9)
WHOLE = [colliding(number) for number in range(3)]
FEW_KEYS = st.sampled_from([*WHOLE, "a", None])
"""Of what rows and columns change: so they often meet."""
SOME_KEYS = st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4) | st.lists(
    FEW_KEYS, min_size=1, max_size=4
)
"""Often whole numbers alone: other keys have another index, also for those that come after."""
STEPS = st.sampled_from([1, 1, 5, 0.5, 2**70])
"""The last two do not fit into an array of ints."""

Model = dict[str, dict[Any, Any]]


class StateLogMachine(RuleBasedStateMachine):
    """A log on one store beside a model of dicts; a restart may move it to the other store."""

    log: StateLog

    @initialize(
        backend=st.sampled_from(["heap", "rocksdb"]),
        memory_bytes=st.sampled_from([600, 3_000, 20_000]),
    )
    def start(self, backend: str, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self.directory = tempfile.TemporaryDirectory()
        self.attempt = 0
        self.numbers = KeyNumbers()
        self.model: Model = {name: {} for name in ("flat", "owned", "map", "window", "timers")}
        self.rows: list[pa.RecordBatch] = []
        self.frozen: list[tuple[Generation, Model | None]] = []
        self.in_arrays: list[list[tuple[Any, str]]] = []
        """Of each that is frozen the layers in arrays, and what they were."""
        self.writing: Iterator[pa.RecordBatch] | None = None
        self.written: list[pa.RecordBatch] = []
        self.log = self.open(backend, range(128), [])

    def open(self, backend: str, key_groups: range, rows: list[pa.RecordBatch]) -> StateLog:
        self.attempt += 1
        directory = Path(self.directory.name) / str(self.attempt)
        store = open_store(backend, directory, self.memory_bytes)
        log = StateLog(store, key_groups, 128)
        log.restore(rows)
        return log

    def flat(self, name: str, log: StateLog | None = None) -> FlatTable:
        log = log or self.log
        if name == "timers":
            return log.flat(name, Layout.TIMER, kind="timer")
        return log.flat(name, owned=name == "owned")

    def nested(self, name: str, log: StateLog | None = None) -> NestedTable:
        log = log or self.log
        if name == "map":
            return log.nested(name, Layout.MAP)
        return log.nested(name, Layout.WINDOW, owned=True)

    def contents(self, log: StateLog) -> Model:
        return {
            "flat": dict(self.flat("flat", log).items()),
            "owned": dict(self.flat("owned", log).items()),
            "map": dict(self.nested("map", log).items()),
            "window": dict(self.nested("window", log).items()),
            "timers": dict.fromkeys(dict(self.flat("timers", log).items())),
        }

    @rule(key=KEYS, value=NUMBERS)
    def put(self, key: Any, value: int) -> None:
        self.flat("flat").put(key, value)
        self.model["flat"][key] = value

    @rule(key=KEYS)
    def remove(self, key: Any) -> None:
        self.flat("flat").remove(key)
        self.model["flat"].pop(key, None)

    @rule(key=FEW_KEYS, number=NUMBERS)
    def add_in_place(self, key: Any, number: int) -> None:
        table = self.flat("owned")
        kept = table.for_update(key)
        if kept is MISSING:
            table.put(key, kept := [0, 0])
        add(kept, number)
        self.add_to_model("owned", [key], number)

    @rule(key=FEW_KEYS, number=NUMBERS)
    def put_owned(self, key: Any, number: int) -> None:
        self.flat("owned").put(key, [1, number])
        self.model["owned"][key] = [1, number]

    @rule(keys=SOME_KEYS, number=STEPS)
    def add_columns(self, keys: list[Any], number: Any) -> None:
        table, distinct = self.flat("owned"), list(dict.fromkeys(keys))
        if not table.arrays:
            table.arrays = counts_in_arrays()
        slots, parts = added(
            table.arrays, keys, Elsewhere(table.layers(), table.take, counts), number
        )
        table.put_in_arrays(keys_array(distinct), slots, parts)
        self.add_to_model("owned", distinct, number)

    @rule(keys=SOME_KEYS)
    def look_up_columns(self, keys: list[Any]) -> None:
        """As for a batch that must go row by row after all."""
        table = self.flat("owned")
        if not table.arrays:
            table.arrays = counts_in_arrays()
        slots_of(table.arrays, keys_array(keys), Elsewhere(table.layers(), table.take, counts))

    @rule(keys=SOME_KEYS)
    def remove_columns(self, keys: list[Any]) -> None:
        table = self.flat("owned")
        held = [key for key in dict.fromkeys(keys) if key in table.arrays]
        if held:
            table.remove_from_arrays(keys_array(held))
        for key in held:
            del self.model["owned"][key]

    @rule(keys=SOME_KEYS)
    def move_columns_to_rows(self, keys: list[Any]) -> None:
        table = self.flat("owned")
        held = [key for key in dict.fromkeys(keys) if key in table.arrays]
        if held:
            table.move_from_arrays(keys_array(held))

    @rule(window=OUTERS, keys=SOME_KEYS, number=STEPS)
    def add_columns_to_window(self, window: Any, keys: list[Any], number: Any) -> None:
        table, distinct = self.nested("window"), list(dict.fromkeys(keys))
        arrays = table.arrays.setdefault(window, counts_by_number(self.numbers))
        elsewhere = Elsewhere(table.layers(window), partial(table.take, window), counts)
        slots, parts = added(arrays, keys, elsewhere, number)
        table.put_in_arrays(window, arrays.names_of(keys_array(distinct)), slots, parts)
        self.add_to_model("window", [(window, key) for key in distinct], number)

    def add_to_model(self, name: str, entries: list[Any], number: Any) -> None:
        for entry in entries:
            add(self.model[name].setdefault(entry, [0, 0]), number)

    @rule(key=FEW_KEYS)
    def remove_owned(self, key: Any) -> None:
        self.flat("owned").remove(key)
        self.model["owned"].pop(key, None)

    @rule(key=KEYS, inner=KEYS, value=NUMBERS)
    def put_in_map(self, key: Any, inner: Any, value: int) -> None:
        self.nested("map").put(key, inner, value)
        self.model["map"][key, inner] = value

    @rule(key=KEYS, inner=KEYS)
    def remove_from_map(self, key: Any, inner: Any) -> None:
        self.nested("map").remove(key, inner)
        self.model["map"].pop((key, inner), None)

    @rule(window=OUTERS, key=FEW_KEYS, number=NUMBERS)
    def add_to_window(self, window: Any, key: Any, number: int) -> None:
        table = self.nested("window")
        kept = table.for_update(window, key)
        if kept is MISSING:
            table.put(window, key, kept := [0, 0])
        add(kept, number)
        self.add_to_model("window", [(window, key)], number)

    @rule(window=OUTERS, key=FEW_KEYS)
    def remove_from_window(self, window: Any, key: Any) -> None:
        self.nested("window").remove(window, key)
        self.model["window"].pop((window, key), None)

    @rule(window=OUTERS)
    def fire_window_as_columns(self, window: Any) -> None:
        """If all of it stands in arrays."""
        table = self.nested("window")
        if (arrays := table.arrays_of(window)) is None:
            return
        keys, parts = arrays.columns()
        keys = keys.tolist()
        fired = zip(keys, accumulators_of([part.tolist() for part in parts]), strict=True)
        assert {(window, key): kept for key, kept in fired} == {
            entry: kept for entry, kept in self.model["window"].items() if entry[0] == window
        }
        assert len(list(table.dropping(window, keys))) <= len(parts[0]) // 2 + 1
        self.drop_from_model("window", window)

    @rule(window=OUTERS)
    def drop_window(self, window: Any) -> None:
        self.nested("window").drop(window)
        self.drop_from_model("window", window)

    @rule(data=st.data(), window=OUTERS)
    def fire_window_in_pieces(self, data: st.DataObject, window: Any) -> None:
        """Between two pieces a background write goes on, ends or fails."""
        table, model = self.nested("window"), copy.deepcopy(self.model["window"])
        layers = table.layers_of(window)
        entries = self.finish(collect(layers), data)
        keys = self.finish(in_order(entries), data)
        assert {(window, key): entries[key] for key in keys} == {
            entry: value for entry, value in model.items() if entry[0] == window
        }
        self.finish(table.dropping(window, keys), data)
        self.finish(release(entries, layers), data)
        self.drop_from_model("window", window)

    def finish(self, work: Generator[int, None, Any] | Iterator[int], data: st.DataObject) -> Any:
        meanwhile = (self.write_one_batch, self.write_and_retire, self.fail_to_write_first)
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value
            is_interrupted: bool = data.draw(st.booleans())
            if self.frozen and is_interrupted:
                data.draw(st.sampled_from(meanwhile))()

    @rule(key=KEYS)
    def clear_map(self, key: Any) -> None:
        self.nested("map").drop(key)
        self.drop_from_model("map", key)

    def drop_from_model(self, name: str, outer: Any) -> None:
        for entry in [entry for entry in self.model[name] if entry[0] == outer]:
            del self.model[name][entry]

    @rule(timestamp=st.integers(-1, 3), key=KEYS)
    def register_timer(self, timestamp: int, key: Any) -> None:
        self.flat("timers").put((timestamp, key), True)
        self.model["timers"][timestamp, key] = None

    @rule(timestamp=st.integers(-1, 3), key=KEYS)
    def fire_timer(self, timestamp: int, key: Any) -> None:
        self.flat("timers").remove((timestamp, key))
        self.model["timers"].pop((timestamp, key), None)

    @rule(data=st.data(), key=KEYS, window=OUTERS)
    def read(self, data: st.DataObject, key: Any, window: Any) -> None:
        model, inner = self.model, data.draw(KEYS)
        assert self.flat("flat").get(key, "none") == model["flat"].get(key, "none")
        assert self.flat("owned").get(key, "none") == model["owned"].get(key, "none")
        assert self.nested("map").get(key, inner, 0) == model["map"].get((key, inner), 0)
        for name, outer in (("map", key), ("window", window)):
            expected = {e[1]: value for e, value in model[name].items() if e[0] == outer}
            found = self.nested(name).scan(outer)
            assert dict(found) == expected
            assert len(found) == len(expected)

    @precondition(lambda self: len(self.frozen) < 3)
    @rule()
    def freeze(self) -> None:
        generation = self.log.freeze()
        self.frozen.append((generation, copy.deepcopy(self.model)))
        self.in_arrays.append([(layer, repr(layer)) for layer in arrays_in(generation)])

    @precondition(lambda self: self.frozen)
    @rule()
    def write_one_batch(self) -> None:
        """As a background thread gets its turn between two steps of the loop."""
        if self.writing is None:
            self.writing = self.log.write(self.frozen[0][0], batch_rows=2)
        self.written += list(islice(self.writing, 1))

    @precondition(lambda self: self.frozen)
    @rule()
    def write_and_retire(self) -> None:
        generation, expected = self.frozen.pop(0)
        self.in_arrays.pop(0)
        writing = self.writing or self.log.write(generation, batch_rows=2)
        self.rows += [*self.written, *writing]
        self.writing, self.written = None, []
        self.log.retire(generation)
        if expected is not None:
            self.assert_restores("heap", expected)

    @precondition(lambda self: self.frozen)
    @rule(data=st.data())
    def fail_to_write(self, data: st.DataObject) -> None:
        self.fail_to_write_at(data.draw(st.integers(0, len(self.frozen) - 1)))

    def fail_to_write_first(self) -> None:
        self.fail_to_write_at(0)

    def fail_to_write_at(self, position: int) -> None:
        generation, _ = self.frozen.pop(position)
        self.in_arrays.pop(position)
        if position == 0:
            self.writing, self.written = None, []
        self.log.unfreeze(generation)
        # those frozen later were without the entries of this one, and stay so
        self.frozen[position:] = [(later, None) for later, _ in self.frozen[position:]]

    @rule(budget=st.integers(1, 20))
    def settle(self, budget: int) -> None:
        self.log.settle(budget)

    @rule(keys=st.lists(KEYS))
    def prefetch(self, keys: list[Any]) -> None:
        self.log.prefetch(keys)

    @rule(backend=st.sampled_from(["heap", "rocksdb"]))
    def restart(self, backend: str) -> None:
        while self.frozen:
            self.write_and_retire()
        self.freeze()
        self.write_and_retire()
        self.log.close()
        self.log = self.open(backend, range(128), self.rows)

    @rule(backend=st.sampled_from(["heap", "rocksdb"]), cut=st.integers(1, 127))
    def rescale(self, backend: str, cut: int) -> None:
        while self.frozen:
            self.write_and_retire()
        self.freeze()
        self.write_and_retire()
        parts = [self.open(backend, part, self.rows) for part in (range(cut), range(cut, 128))]
        low, high = (self.contents(part) for part in parts)
        for name, expected in self.model.items():
            assert not low[name].keys() & high[name].keys()
            assert low[name] | high[name] == expected
        for part in parts:
            part.close()

    def assert_restores(self, backend: str, expected: Model) -> None:
        restored = self.open(backend, range(128), self.rows)
        assert self.contents(restored) == expected
        restored.close()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if hasattr(self, "model"):
            assert self.contents(self.log) == self.model
            assert self.log.size() == sum(map(len, self.model.values()))
            windows = sorted({window for window, _ in self.model["window"]})
            assert self.nested("window").outers() == windows

    @invariant()
    def keeps_no_entry_twice(self) -> None:
        """A dirty one stands in the dict or in the arrays; what is frozen in arrays stays so."""
        if hasattr(self, "model"):
            owned, window = self.flat("owned"), self.nested("window")
            assert not owned.dirty.keys() & set(owned.arrays)
            for outer, arrays in window.arrays.items():
                assert not window.dirty.get(outer, {}).keys() & set(arrays)
                keys, parts = arrays.columns()
                values = accumulators_of([part.tolist() for part in parts])
                assert list(zip(keys, values, strict=True)) == list(arrays.items())
            for layer, before in chain.from_iterable(self.in_arrays):
                assert repr(layer) == before

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.log.close()
            self.directory.cleanup()


@pytest.mark.slow
def test_log_behaves_like_dicts_under_any_interleaving(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pieces, nested_table):
        monkeypatch.setattr(module, "PIECE", 2)
    run_state_machine_as_test(
        StateLogMachine, settings=settings(max_examples=100, stateful_step_count=30)
    )
