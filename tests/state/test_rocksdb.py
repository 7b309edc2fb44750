"""What only the RocksDB store does: bounded memory, few reads, windows as ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamlet.errors import ConfigError
from streamlet.state.log import MISSING, FlatTable, Layout, StateLog, open_store
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
    layers: list[dict[Any, Any]] = cells._generations.layers
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
    assert sum(map(len, cached_layers(table))) <= 2 * small.room()
    assert [table.load(key) for key in range(2_000)] == list(range(2_000))
    assert sum(map(len, cached_layers(table))) <= 2 * small.room()
    assert log.size() == 2_000
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
