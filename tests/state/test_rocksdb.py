"""What only the RocksDB store does: bounded memory, few reads, windows as ranges."""

from __future__ import annotations

from pathlib import Path
from sys import getsizeof
from typing import Any

import pyarrow as pa
import pytest

from streamlet.errors import ConfigError
from streamlet.state import rocks_cells
from streamlet.state.heap import HeapFlatCells
from streamlet.state.log import MISSING, FlatTable, Layout, NestedTable, StateLog, open_store
from streamlet.state.rocksdb import Database, RocksStore, _options


@pytest.fixture
def small(tmp_path: Path) -> RocksStore:
    return RocksStore(tmp_path / "small", 200_000)


def flush(log: StateLog) -> None:
    generation = log.freeze()
    list(log.write(generation))
    log.retire(generation)
    log.settle()


def fill(log: StateLog, entries: int) -> None:
    """Writes `entries` counts, spilling as the runtime does."""
    table = log.flat("count")
    for key in range(entries):
        table.put(key, key)
        if log.wants_spill():
            flush(log)
    flush(log)


def cached_layers(table: FlatTable) -> list[dict[Any, Any]]:
    """The generations of clean entries in memory."""
    cells: Any = table._cells
    layers: list[dict[Any, Any]] = cells.generations.layers
    return layers


def test_unknown_backend_and_missing_directory_are_refused() -> None:
    with pytest.raises(ConfigError, match="'disk'"):
        open_store("disk", None, 0)
    with pytest.raises(ConfigError, match="directory"):
        open_store("rocksdb", None, 0)


def test_nothing_is_read_while_everything_fits(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db", 64 << 20)
    log = StateLog(store, range(128), 128)
    fill(log, 1_000)
    table = log.flat("count")
    assert [table.load(key) for key in range(1_000)] == list(range(1_000))
    assert table.load("absent") is MISSING
    assert store.database.reads == 0
    log.close()


def test_memory_is_bounded_and_the_rest_is_read_back(small: RocksStore) -> None:
    log = StateLog(small, range(128), 128)
    fill(log, 2_000)
    table = log.flat("count")
    assert small.held_bytes <= 50_000
    assert [table.load(key) for key in range(2_000)] == list(range(2_000))
    assert small.held_bytes <= 50_000
    assert log.size() == 2_000
    log.close()


@pytest.mark.parametrize("value_bytes", [100, 10_000, 100_000])
def test_values_of_any_size_take_no_more_memory_than_allowed(
    tmp_path: Path, value_bytes: int
) -> None:
    """Counted entry by entry, with what a dict takes for each; dirty ones included."""
    log = StateLog(RocksStore(tmp_path / "db", 4 << 20), range(128), 128)
    table, greatest = log.flat("text"), 0
    count = (8 << 20) // (value_bytes + 150)
    for key in range(count):
        table.put(key, f"{key:0{value_bytes}}")
        if log.wants_spill():
            flush(log)
        if key % (count // 50) == 0:
            greatest = max(greatest, bytes_in_memory(table))
    flush(log)
    for key in range(0, count, 3):
        assert table.load(key) == f"{key:0{value_bytes}}"
    assert max(greatest, bytes_in_memory(table)) <= 1.1 * (3 << 20)
    log.close()


def bytes_in_memory(table: FlatTable) -> int:
    """What keys, values and dicts of all layers take."""
    cells: Any = table._cells
    clean = [cells._entries, *cells._retired] if isinstance(cells, HeapFlatCells) else []
    layers = [table.dirty, *table._frozen, *(clean or cached_layers(table))]
    return sum(
        getsizeof(layer) + sum(getsizeof(key) + getsizeof(layer[key]) for key in layer)
        for layer in layers
    )


def test_values_that_grow_where_they_are_are_noticed(tmp_path: Path) -> None:
    log = StateLog(RocksStore(tmp_path / "db", 1 << 20), range(128), 128)
    table = log.flat("lists", owned=True)
    for key in range(10):
        table.put(key, [])
    spilled = 0
    for step in range(200):
        for key in range(10):
            table.for_update(key).extend(range(step * 100, step * 100 + 100))
        if log.wants_spill():
            spilled += 1
            flush(log)
    assert spilled > 3
    assert table.get(3) == list(range(20_000))
    log.close()


def test_nothing_goes_to_disk_while_memory_is_enough(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db", 64 << 20)
    log = StateLog(store, range(128), 128)
    fill(log, 1_000)
    log.flat("count").remove(7)
    flush(log)
    assert list(store.database.scan(b"")) == []
    assert log.size() == 999
    log.close()


def test_all_goes_to_disk_when_memory_is_not_enough_any_more(small: RocksStore) -> None:
    """What was clean as well, although its rows are in a checkpoint."""
    log = StateLog(small, range(128), 128)
    table, windows = log.flat("count"), log.nested("w", Layout.WINDOW, owned=True)
    for key in range(150):
        table.put(key, key)
        windows.put((0, 10), key, [key])
    flush(log)
    assert list(small.database.scan(b"")) == []
    for key in range(150, 1_200):
        table.put(key, key)
    assert log.wants_spill()
    windows.for_update((0, 10), 5).append("dirty")
    generation = log.freeze()
    windows.for_update((0, 10), 6).append("later")
    batches = list(log.write(generation))
    assert sum(batch.num_rows for batch in batches) == 1_051
    log.retire(generation)
    assert [table.load(key) for key in range(1_200)] == list(range(1_200))
    assert dict(windows.scan((0, 10))) == {
        key: [key, *({5: ["dirty"], 6: ["later"]}.get(key, []))] for key in range(150)
    }
    assert len(list(small.database.scan(b""))) == 1_350
    log.close()


def test_what_could_not_leave_memory_is_dirty_and_leaves_with_the_next_write(
    small: RocksStore,
) -> None:
    log = StateLog(small, range(128), 128)
    table = log.flat("count")
    for key in range(300):
        table.put(key, key)
    flush(log)
    for key in range(200, 1_200):
        table.put(key, -key)
    generation = log.freeze()
    next(log.write(generation, batch_rows=50))
    table.put(250, "newer")
    log.unfreeze(generation)
    flush(log)
    found = dict(table.items())
    assert found == {k: "newer" if k == 250 else k if k < 200 else -k for k in range(1_200)}
    assert len(list(small.database.scan(b""))) == 1_200
    log.close()


def test_what_is_removed_after_a_failed_write_does_not_come_back(small: RocksStore) -> None:
    """Its rows are in the database by then, although nothing of the table was ever evicted."""
    log = StateLog(small, range(128), 128)
    fill(log, 2_000)
    flat, nested = log.flat("flat"), log.nested("map", Layout.MAP)
    window = log.nested("window", Layout.WINDOW)
    for value in ("removed", "kept"):
        flat.put(value, 1)
        nested.put("outer", value, 1)
        window.put((0, 10), value, 1)
    generation = log.freeze()
    list(log.write(generation))
    log.unfreeze(generation)
    flat.remove("removed")
    nested.remove("outer", "removed")
    window.remove((0, 10), "removed")
    flush(log)
    fill(log, 4_000)  # evicts all of it
    assert dict(flat.items()) == {"kept": 1}
    assert flat.get("removed") is None
    assert nested.scan("outer") == window.scan((0, 10)) == [("kept", 1)]
    log.close()


def test_what_was_once_known_to_be_absent_does_not_come_back_either(small: RocksStore) -> None:
    """The cache remembers that it was not there, which the failed write has made untrue."""
    log = StateLog(small, range(128), 128)
    flat, window = log.flat("flat"), log.nested("window", Layout.WINDOW)
    flat.put("kept", 1)
    window.put((0, 10), "kept", 1)
    fill(log, 4_000)  # evicts both
    assert flat.for_update("removed") is window.for_update((0, 10), "removed") is MISSING
    flat.put("removed", 1)
    window.put((0, 10), "removed", 1)
    generation = log.freeze()
    list(log.write(generation))
    log.unfreeze(generation)
    flat.remove("removed")
    window.remove((0, 10), "removed")
    assert dict(flat.items()) == {"kept": 1}
    assert window.scan((0, 10)) == [("kept", 1)]
    log.close()


def test_windows_that_are_gone_are_forgotten(
    small: RocksStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rocks_cells, "_KNOWN_AT_ONCE", 10)
    log = StateLog(small, range(128), 128)
    window = log.nested("window", Layout.WINDOW)
    fill(log, 4_000)  # begins to evict
    for start in range(100):
        window.put((start, start + 1), "key", start)
        if start % 10:
            window.drop((start - 1, start))
        flush(log)
    cells = window._cells
    assert isinstance(cells, rocks_cells.RocksNestedCells)
    assert cells._known is not None
    assert len(cells._known) <= 2 * 10 + 1
    kept = [(start, start + 1) for start in range(9, 100, 10)]
    assert window.outers() == kept
    assert [window.get(outer, "key") for outer in kept] == list(range(9, 100, 10))
    log.close()


def test_what_is_removed_after_it_could_not_leave_memory_is_not_restored(small: RocksStore) -> None:
    """An earlier checkpoint still has it, so the next one must say that it is gone."""
    checkpoint: list[pa.RecordBatch] = []

    def tables(log: StateLog) -> tuple[FlatTable, NestedTable, NestedTable]:
        return (
            log.flat("count"),
            log.nested("map", Layout.MAP),
            log.nested("window", Layout.WINDOW),
        )

    log = StateLog(small, range(128), 128)
    flat, nested, window = tables(log)
    for key in range(100):
        flat.put(key, key)
        nested.put("cleared", key, key)
        window.put((0, 10), key, key)
        window.put((10, 20), key, key)
    generation = log.freeze()
    checkpoint += log.write(generation)
    log.retire(generation)
    for key in range(100, 1_200):
        flat.put(key, key)
    log.unfreeze(log.freeze())  # here it begins to evict, and nothing is written
    assert small.begins_to_evict() is False
    flat.remove(7)
    nested.drop("cleared")
    window.drop((0, 10))
    list(window.dropping((10, 20), list(range(100))))
    generation = log.freeze()
    checkpoint += log.write(generation)
    log.close()
    restored = StateLog(open_store("heap", None, 0), range(128), 128)
    restored.restore(checkpoint)
    flat, nested, window = tables(restored)
    assert dict(flat.items()) == {key: key for key in range(1_200) if key != 7}
    assert nested.outers() == window.outers() == []
    restored.close()


def test_state_that_is_asked_for_after_memory_ran_out_is_all_there(small: RocksStore) -> None:
    first = StateLog(open_store("heap", None, 0), range(128), 128)
    for key in range(50):
        first.flat("late").put(key, key)
    rows = list(first.write(first.freeze()))
    log = StateLog(small, range(128), 128)
    log.restore(rows)
    fill(log, 2_000)
    assert dict(log.flat("late").items()) == {key: key for key in range(50)}
    assert [log.flat("late").load(key) for key in range(51)] == [*range(50), MISSING]
    log.close()


def test_tables_share_memory_by_use(small: RocksStore) -> None:
    log = StateLog(small, range(128), 128)
    for name in ("idle", "busy"):
        for key in range(1_000):
            log.flat(name).put(key, key)
            if log.wants_spill():
                flush(log)
    flush(log)
    busy = log.flat("busy")
    for key in range(1_000):
        busy.load(key)
    assert sum(map(len, cached_layers(log.flat("idle")))) == 0
    assert sum(map(len, cached_layers(busy))) > 200
    log.close()


def test_hot_keys_stay_in_memory(small: RocksStore) -> None:
    log = StateLog(small, range(128), 128)
    fill(log, 2_000)
    table = log.flat("count")
    for key in range(5):
        table.load(key)
    for cold in range(1_000, 1_300):
        table.load(cold)
        for key in range(5):
            table.load(key)
    before = small.database.reads
    for key in range(5):
        table.load(key)
    assert small.database.reads == before
    log.close()


def test_absent_keys_are_read_once(small: RocksStore) -> None:
    log = StateLog(small, range(128), 128)
    fill(log, 2_000)
    before = small.database.reads
    for _ in range(3):
        assert log.flat("count").load("absent") is MISSING
    assert small.database.reads == before + 1
    log.close()


def test_prefetch_spares_the_single_reads(small: RocksStore) -> None:
    log = StateLog(small, range(128), 128)
    fill(log, 2_000)
    log.prefetch([0, 1, 2, "absent"])
    before = small.database.reads
    table = log.flat("count")
    assert [table.load(key) for key in (0, 1, 2, "absent")] == [0, 1, 2, MISSING]
    assert small.database.reads == before
    log.close()


def test_many_small_checkpoints_do_not_evict_what_fits(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "db", 8 << 20)
    store.begins_to_evict()
    log = StateLog(store, range(128), 128)
    owned, nested = log.flat("dicts", owned=True), log.nested("map", Layout.MAP)
    for step in range(60):
        owned.put(step % 7, {step: step})
        nested.put(step % 3, step % 7, step)
        flush(log)
    assert [owned.load(key) for key in range(7)] == [{s: s} for s in (56, 57, 58, 59, 53, 54, 55)]
    assert len(nested.scan(0)) == 7
    assert store.database.reads == 0
    assert len(cached_layers(owned)) <= 8
    log.close()


def test_dropped_windows_leave_the_database_empty(small: RocksStore) -> None:
    log = StateLog(small, range(128), 128)
    table = log.nested("w", Layout.WINDOW)
    for start in range(0, 100, 10):
        for key in range(100):
            table.put((start, start + 10), f"key-{key}", key)
        flush(log)
    for start in range(0, 100, 10):
        assert len(table.scan((start, start + 10))) == 100
        table.drop((start, start + 10))
        flush(log)
    assert list(small.database.scan(b"")) == []
    log.close()


def test_rows_written_are_not_logged_twice(tmp_path: Path) -> None:
    """The checkpoint is the log: the database needs none of its own."""
    database = Database(tmp_path / "db", _options(8 << 20))
    database.write([b"key-%d" % i for i in range(1_000)], [b"x" * 100] * 1_000, [False] * 1_000)
    logs = list((tmp_path / "db").glob("*.log"))
    assert sum(log.stat().st_size for log in logs) < 10_000
    database.close()


def test_prefixes_are_found_without_walking_the_rows_between(tmp_path: Path) -> None:
    database = Database(tmp_path / "db", _options(8 << 20))
    keys = [b"%c%c%d" % (65 + a, 65 + b, n) for a in range(2) for b in range(3) for n in range(5)]
    database.write(keys, [b""] * len(keys), [False] * len(keys))
    assert list(database.prefixes(b"A", lambda key: key[:2])) == [b"AA", b"AB", b"AC"]
    assert len(list(database.scan(b"BA"))) == 5
    database.close()
