"""The write-back log, the same on every store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from streamlet.errors import InternalError, RestoreError, StateTypeError
from streamlet.state.codec import DEFAULT_CODEC, Encoded, encode, keep
from streamlet.state.keys import key_group
from streamlet.state.log import MISSING, TOMBSTONE, Generation, Layout, StateLog
from streamlet.state.rows import STATE_ROWS

OpenLog = Callable[..., StateLog]


def checkpoint(log: StateLog, generation: Generation | None = None) -> list[pa.RecordBatch]:
    """Freezes unless that was done, writes and retires."""
    generation = generation or log.freeze()
    batches = list(log.write(generation))
    log.retire(generation)
    return batches


def live(batches: list[pa.RecordBatch]) -> dict[tuple[str, bytes], bytes | None]:
    """State and key to value; None for a deleted row."""
    return {
        (row["state"], row["namespace"] + row["key"] + row["map_key"]): (
            None if row["deleted"] else row["value"]
        )
        for batch in batches
        for row in batch.to_pylist()
    }


def values_in(layer: Mapping[Any, Any]) -> list[Any]:
    """The values of a layer, flat or nested."""
    return [
        value
        for inners in layer.values()
        for value in (inners.values() if isinstance(inners, dict) else [inners])
    ]


def test_entry_is_found_wherever_it_has_wandered(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    table.put("a", 1)
    assert table.get("a") == 1
    generation = log.freeze()
    assert table.dirty == {}
    assert table.load("a") == 1
    list(log.write(generation))
    assert table.load("a") == 1
    log.retire(generation)
    assert table.load("a") == 1
    log.settle()
    assert table.load("a") == 1
    assert table.load("b") is MISSING
    assert table.get("b", 7) == 7


def test_removed_entry_stays_removed_wherever_its_tombstone_has_wandered(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    table.put("a", 1)
    checkpoint(log)
    log.settle()
    table.remove("a")
    assert table.dirty == {"a": TOMBSTONE}
    assert table.get("a") is None
    generation = log.freeze()
    assert table.load("a") is MISSING
    batches = list(log.write(generation))
    assert [row["deleted"] for batch in batches for row in batch.to_pylist()] == [True]
    log.retire(generation)
    assert table.load("a") is MISSING
    log.settle()
    assert table.load("a") is MISSING
    assert log.size() == 0


def test_removing_what_was_never_frozen_leaves_nothing(open_log: OpenLog) -> None:
    log = open_log()
    table, windows = log.flat("count"), log.nested("w", Layout.WINDOW)
    table.put("a", 1)
    table.remove("a")
    table.remove("b")
    windows.put((0, 10), "a", 1)
    windows.remove((0, 10), "a")
    windows.put((0, 10), "a", 1)
    windows.drop((0, 10))
    assert table.dirty == {}
    assert windows.dirty == {}
    assert log.freeze().is_empty()


def test_closed_windows_leave_nothing_after_a_checkpoint(open_log: OpenLog) -> None:
    log = open_log()
    windows = log.nested("w", Layout.WINDOW, owned=True)
    rows: list[pa.RecordBatch] = []
    for start in range(0, 50, 10):
        for key in range(20):
            windows.put((start, start + 10), key, [key])
        rows += checkpoint(log)
        log.settle(7)
    for start in range(0, 50, 10):
        assert [key for key, _ in windows.scan((start, start + 10))] == list(range(20))
        windows.drop((start, start + 10))
        assert windows.scan((start, start + 10)) == []
    rows += checkpoint(log)
    log.settle()
    assert log.size() == 0
    assert windows.outers() == []
    assert set(live(rows).values()) == {None}


def test_two_generations_are_frozen_at_once_and_retired_in_order(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    table.put("a", 1)
    table.put("b", 1)
    first = log.freeze()
    table.put("a", 2)
    table.remove("b")
    second = log.freeze()
    table.put("a", 3)
    assert table.get("a") == 3
    assert table.load("a") == 2
    assert table.get("b") is None
    rows = checkpoint(log, first)
    assert table.load("a") == 2
    rows += checkpoint(log, second)
    assert table.load("a") == 2
    assert table.get("b") is None
    rows += checkpoint(log)
    assert set(live(rows).values()) == {b"\x03", None}
    assert log.size() == 1


def test_retiring_out_of_order_or_unwritten_is_refused(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    table.put("a", 1)
    first = log.freeze()
    table.put("a", 2)
    second = log.freeze()
    with pytest.raises(InternalError, match="written"):
        log.retire(first)
    list(log.write(second))
    with pytest.raises(InternalError, match="oldest first"):
        log.retire(second)


def test_unfrozen_entries_are_written_again_and_newer_ones_win(open_log: OpenLog) -> None:
    log = open_log()
    table, nested = log.flat("count"), log.nested("map", Layout.MAP)
    for key in "abc":
        table.put(key, 1)
        nested.put("k", key, 1)
    failed = log.freeze()
    table.put("a", 2)
    nested.put("k", "a", 2)
    table.remove("b")
    nested.remove("k", "b")
    newer = log.freeze()
    table.put("d", 4)
    log.unfreeze(failed)
    assert table.dirty == {"c": 1, "d": 4}
    assert nested.dirty == {"k": {"c": 1}}
    assert dict(table.items()) == {"a": 2, "c": 1, "d": 4}
    assert nested.scan("k") == [("a", 2), ("c", 1)]
    rows = checkpoint(log, newer) + checkpoint(log)
    restored = open_log()
    restored.restore(rows)
    assert dict(restored.flat("count").items()) == {"a": 2, "c": 1, "d": 4}
    assert restored.nested("map", Layout.MAP).scan("k") == [("a", 2), ("c", 1)]


def test_snapshot_does_not_see_later_changes_of_an_owned_value(open_log: OpenLog) -> None:
    """ST-5."""
    log = open_log()
    lists = log.flat("list", owned=True)
    nested = log.nested("sums", Layout.WINDOW, owned=True)
    lists.put("a", [1])
    nested.put((0, 10), "a", {"n": 1})
    for expected in (1, 2, 3):
        generation = log.freeze()
        lists.for_update("a").append(0)
        nested.for_update((0, 10), "a")["n"] += 1
        values = sorted(live(checkpoint(log, generation)).values(), key=str)
        assert [DEFAULT_CODEC.decode(value or b"") for value in values] in (
            [[1] + [0] * (expected - 1), {"n": expected}],
            [{"n": expected}, [1] + [0] * (expected - 1)],
        )
        log.settle()
    assert lists.get("a") == [1, 0, 0, 0]
    assert nested.get((0, 10), "a") == {"n": 4}


def test_nor_does_one_that_is_written_again_after_its_rows_were_lost(open_log: OpenLog) -> None:
    """The very layer is frozen once more; that it was in rows before means nothing then (ST-5)."""
    log = open_log()
    lists = log.flat("list", owned=True)
    lists.put("a", [1])
    lost = log.freeze()
    list(log.write(lost))
    log.unfreeze(lost)
    generation = log.freeze()
    lists.for_update("a").append(2)
    [value] = live(checkpoint(log, generation)).values()
    assert DEFAULT_CODEC.decode(value or b"") == [1]
    assert lists.get("a") == [1, 2]


def test_what_is_in_rows_is_changed_without_a_copy_and_kept_if_the_rows_are_lost(
    open_log: OpenLog,
) -> None:
    log = open_log()
    lists, nested = log.flat("list", owned=True), log.nested("sums", Layout.WINDOW, owned=True)
    for value in ("lost", "kept"):
        lists.put(value, [1])
        nested.put((0, 10), value, [1])
    generation = log.freeze()
    written = live(list(log.write(generation)))
    assert set(written.values()) == {encode([1])}
    for found in (lists.for_update("kept"), nested.for_update((0, 10), "kept")):
        assert any(found is value for _, layer in generation.layers for value in values_in(layer))
        found.append(2)
    log.unfreeze(generation)
    assert lists.get("kept") == nested.get((0, 10), "kept") == [1, 2]
    assert lists.get("lost") == nested.get((0, 10), "lost") == [1]


def test_for_update_does_not_copy_what_is_dirty_already(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("list", owned=True)
    assert table.for_update("a") is MISSING
    table.put("a", [])
    assert table.for_update("a") is table.for_update("a")
    table.remove("a")
    assert table.for_update("a") is MISSING


def test_values_come_back_as_they_were_kept(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("any")
    values: list[Any] = [None, True, 1, 2.5, "s", b"b", (), (1, "x"), {"a": [1]}, [1], ((1,), 2)]
    for key, value in enumerate(values):
        table.put(key, keep(value, DEFAULT_CODEC))
    rows = checkpoint(log)
    restored = open_log()
    restored.restore(rows)
    again = restored.flat("any")
    for key, value in enumerate(values):
        kept = again.get(key, "nothing")
        assert kept == keep(value, DEFAULT_CODEC)
        assert type(kept) is type(keep(value, DEFAULT_CODEC))
    assert isinstance(again.get(8), Encoded)


def test_every_layout_is_restored(open_log: OpenLog) -> None:
    log = open_log()
    log.flat("value").put(("u", 1), 5)
    log.nested("map", Layout.MAP).put(None, "k", 6)
    log.nested("window", Layout.WINDOW, owned=True).put((-5, 10), "u", [7])
    log.flat("timers", Layout.TIMER, kind="timer").put((2**62, "u"), True)
    rows = checkpoint(log)
    assert all(batch.schema == STATE_ROWS for batch in rows)
    restored = open_log()
    restored.restore(rows)
    assert restored.flat("value").get(("u", 1)) == 5
    assert restored.nested("map", Layout.MAP).scan(None) == [("k", 6)]
    window = restored.nested("window", Layout.WINDOW, owned=True)
    assert window.outers() == [(-5, 10)]
    assert window.scan((-5, 10)) == [("u", [7])]
    timers = restored.flat("timers", Layout.TIMER, kind="timer")
    assert list(timers.items()) == [((2**62, "u"), None)]
    assert restored.size() == 4


def test_key_groups_are_shared_out_when_parallelism_changes(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    for key in range(300):
        table.put(key, key)
    rows = checkpoint(log)
    found: dict[int, int] = {}
    for key_groups in (range(43), range(43, 86), range(86, 128)):
        part = open_log(key_groups)
        part.restore(rows)
        entries = dict(part.flat("count").items())
        assert {key_group(key, 128) for key in entries} <= set(key_groups)
        assert not entries.keys() & found.keys()
        found |= entries
    assert found == {key: key for key in range(300)}


def test_later_rows_win_and_deleted_rows_remove(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    table.put("a", 1)
    table.put("b", 1)
    rows = checkpoint(log)
    table.put("a", 2)
    table.remove("b")
    rows += checkpoint(log)
    table.put("a", 3)
    rows += checkpoint(log)
    restored = open_log()
    restored.restore(rows)
    assert list(restored.flat("count").items()) == [("a", 3)]
    assert restored.flat("count").get("b") is None
    assert restored.size() == 1


def test_restored_state_is_counted_and_updated(open_log: OpenLog) -> None:
    log = open_log()
    table = log.flat("count")
    for key in range(100):
        table.put(key, 0)
    rows = checkpoint(log)
    restored = open_log()
    restored.restore(rows)
    table = restored.flat("count")
    for key in range(0, 100, 2):
        table.put(key, table.get(key) + 1)
    for key in range(0, 100, 5):
        table.remove(key)
    table.put("new", 1)
    assert restored.size() == 81
    rows += checkpoint(restored)
    assert restored.size() == 81
    restored.settle()
    assert restored.size() == 81


def test_state_nobody_asks_for_does_not_disturb(open_log: OpenLog) -> None:
    """EV-5: its rows stay in the base files; here they must not leak into other states."""
    log = open_log()
    log.flat("old").put("a", 1)
    log.flat("kept").put("a", 2)
    rows = checkpoint(log)
    restored = open_log()
    restored.restore(rows)
    assert list(restored.flat("kept").items()) == [("a", 2)]
    assert checkpoint(restored) == []
    assert list(restored.flat("old").items()) == [("a", 1)]


def test_one_name_is_one_table(open_log: OpenLog) -> None:
    """ST-4."""
    log = open_log()
    assert log.flat("a") is log.flat("a")
    assert log.nested("m", Layout.MAP) is log.nested("m", Layout.MAP)
    with pytest.raises(StateTypeError, match="'a'"):
        log.nested("a", Layout.MAP)
    with pytest.raises(StateTypeError, match="'a'"):
        log.flat("a", kind="reducing")
    with pytest.raises(StateTypeError, match="'a'"):
        log.flat("a", owned=True)
    assert [(entry.name, entry.kind) for entry in log.entries()] == [("a", "value"), ("m", "map")]


def test_restored_state_of_another_shape_is_refused(open_log: OpenLog) -> None:
    log = open_log()
    log.flat("a").put("k", 1)
    rows = checkpoint(log)
    restored = open_log()
    restored.restore(rows)
    with pytest.raises(RestoreError, match="'a'"):
        restored.nested("a", Layout.MAP)


def test_key_of_another_subtask_is_an_internal_error(open_log: OpenLog) -> None:
    """KG-8."""
    log = open_log(range(1))
    for key in range(50):
        log.flat("count").put(key, 1)
    with pytest.raises(InternalError, match=r"\[0, 1\)"):
        list(log.write(log.freeze()))


def test_scan_is_ordered_by_key_or_by_encoding(open_log: OpenLog) -> None:
    log = open_log()
    table = log.nested("map", Layout.MAP)
    for inner in (300, 2, 10, -1):
        table.put("numbers", inner, 0)
        table.put("mixed", inner, 0)
    table.put("mixed", "b", 0)
    orders = []
    for step in range(3):
        assert [inner for inner, _ in table.scan("numbers")] == [-1, 2, 10, 300]
        orders.append([inner for inner, _ in table.scan("mixed")])
        if step == 0:
            checkpoint(log)
        log.settle(2)
    assert orders[0] == orders[1] == orders[2]


def test_layer_of_thousands_settles_in_slices(open_log: OpenLog) -> None:
    log = open_log()
    flat, nested = log.flat("flat"), log.nested("nested", Layout.MAP)
    for key in range(500):
        flat.put(key, key)
        nested.put(key % 10, key, key)
    checkpoint(log)
    for _ in range(30):
        log.settle(50)
        assert flat.get(123) == 123
        assert nested.get(3, 123) == 123
        assert len(nested.scan(3)) == 50
    assert log.size() == 1000


def test_write_gives_batches_of_bounded_size(open_log: OpenLog) -> None:
    log = open_log()
    for key in range(5_000):
        log.flat("count").put(key, key)
    sizes = [batch.num_rows for batch in log.write(log.freeze())]
    assert sum(sizes) == 5_000
    assert max(sizes) <= 4_096
