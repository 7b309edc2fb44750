"""Rows and columns that change the same few keys, whatever becomes of what was frozen between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import pytest

from streamlet.state import nested_table, pieces
from tests.state.test_log_model import WHOLE, StateLogMachine

KEYS: Sequence[object] = [0, "a", None]
WINDOWS = [(0, 10), (10, 20)]
OF_ROWS = ["add_in_place", "add_in_place", "put_owned", "remove_owned"]
ON_KEYS = ["look_up_columns", "remove_columns", "move_columns_to_rows"]
OF_COLUMNS = ["add_columns", "add_columns", *ON_KEYS]
OF_CHECKPOINTS = ["freeze", "freeze", "write", "retire", "fail", "settle", "restart"]


class Changes:
    """Changes and checkpoints by chance, of a log that is compared with a model."""

    def __init__(self, machine: StateLogMachine, seed: int) -> None:
        self.machine = machine
        self.random = Random(seed)
        self.keys = WHOLE if seed % 2 else KEYS

    def make(self, is_nested: bool) -> None:
        if self.random.random() < 0.4:
            self.checkpoint()
        elif is_nested:
            self.of_window()
        else:
            self.of_keys()

    def of_keys(self) -> None:
        """Of one table."""
        name, number = self.random.choice([*OF_ROWS, *OF_COLUMNS]), self.random.randrange(5)
        if name in ON_KEYS:
            getattr(self.machine, name)(self.some_keys())
        elif name == "add_columns":
            self.machine.add_columns(self.some_keys(), number)
        elif name == "remove_owned":
            self.machine.remove_owned(self.key())
        else:
            getattr(self.machine, name)(self.key(), number)

    def of_window(self) -> None:
        """Of one window or of its key."""
        window, number = self.random.choice(WINDOWS), self.random.randrange(5)
        match self.random.randrange(8):
            case 0:
                self.machine.drop_window(window)
            case 1:
                self.machine.remove_from_window(window, self.key())
            case 2 | 3:
                self.machine.add_to_window(window, self.key(), number)
            case 4:
                self.machine.fire_window_as_columns(window)
            case _:
                self.machine.add_columns_to_window(window, self.some_keys(), number)

    def checkpoint(self) -> None:
        """Some step of one."""
        machine, name = self.machine, self.random.choice(OF_CHECKPOINTS)
        if name == "freeze" and len(machine.frozen) < 3:
            machine.freeze()
        elif name == "settle":
            machine.settle(self.random.randrange(1, 20))
        elif name == "restart" and self.random.random() < 0.3:
            machine.restart(self.random.choice(["heap", "rocksdb"]))
        elif name == "write" and machine.frozen:
            machine.write_one_batch()
        elif name == "retire" and machine.frozen:
            machine.write_and_retire()
        elif name == "fail" and machine.frozen:
            machine.fail_to_write_at(self.random.randrange(len(machine.frozen)))

    def key(self) -> object:
        return self.random.choice(self.keys)

    def some_keys(self) -> list[object]:
        return self.random.choices(self.keys, k=self.random.randrange(1, 5))


@pytest.fixture
def machine() -> Iterator[StateLogMachine]:
    machine = StateLogMachine()
    yield machine
    machine.teardown()


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("backend", ["heap", "rocksdb"])
@pytest.mark.parametrize("table", ["flat", "nested"])
def test_rows_and_columns_of_the_same_keys_are_as_with_dicts(
    table: str,
    backend: str,
    seed: int,
    machine: StateLogMachine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (pieces, nested_table):
        monkeypatch.setattr(module, "PIECE", 2)
    machine.start(backend, [600, 3_000, 20_000][seed % 3])
    changes = Changes(machine, seed)
    for _ in range(60):
        changes.make(table == "nested")
        machine.holds_what_the_model_holds()
        machine.keeps_no_entry_twice()


def test_a_window_dropped_from_arrays_is_not_restored_after_it_could_not_leave_memory(
    machine: StateLogMachine,
) -> None:
    """Earlier checkpoints have its keys, of which nothing below the arrays knows any more."""
    machine.start("rocksdb", 3_000)
    for window in WINDOWS:
        machine.add_columns_to_window(window, KEYS, 1)
    machine.freeze()
    machine.write_and_retire()
    machine.add_columns_to_window(WINDOWS[1], KEYS, 1)
    machine.freeze()  # here it begins to evict
    machine.fail_to_write_at(0)
    machine.add_columns_to_window(WINDOWS[0], KEYS, 1)
    machine.drop_window(WINDOWS[0])
    machine.restart("heap")
    machine.holds_what_the_model_holds()
