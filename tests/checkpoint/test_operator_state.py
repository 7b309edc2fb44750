"""Operator state is written, read and dealt out without losing or doubling anything."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import Manifest, OperatorEntry
from streamlet.checkpoint.operator_state import (
    OperatorItems,
    deal,
    flatten,
    list_states,
    read_operator_state,
    write_operator_state,
)
from streamlet.errors import RestoreError
from streamlet.state.operator_lists import SPLIT, UNION, ListMode, ListSnapshot
from streamlet.state.schemas import ClassSchema


def parts(name: str, mode: ListMode, *shares: list[Any]) -> list[ListSnapshot]:
    return [ListSnapshot(name, mode, subtask, share) for subtask, share in enumerate(shares)]


def dealt(items: list[Any], old: int, new: int) -> list[dict[str, list[Any]]]:
    return [{part.name: part.items for part in share} for share in deal(items, old, new)]


def written_and_read(tmp_path: Path, items: OperatorItems) -> OperatorItems:
    disk = RealDisk()
    file = write_operator_state(disk, tmp_path, {"op": items}, 1)
    entry = OperatorEntry("op", "op", "process", 1, 1, True, False, item_count=items.count())
    manifest = Manifest(1, "checkpoint", "0", "3", "j", [], "f", 0, [entry], file)
    return read_operator_state(disk, tmp_path, manifest).get("op", OperatorItems())


def test_items_and_lists_come_back(tmp_path: Path) -> None:
    lists = [
        *parts("a/b", SPLIT, [1, {"n": 2}], [3]),
        *parts("u", UNION, [4], [5]),
    ]
    items = OperatorItems([*lists, "writer state", ("split", 7)], ["c"], [{"state": 1}])
    assert written_and_read(tmp_path, items) == items
    assert items.count() == 5 + 2 + 1 + 1


def test_empty_lists_are_no_state(tmp_path: Path) -> None:
    items = OperatorItems(parts("a", SPLIT, [], []))
    assert items.count() == 0
    assert written_and_read(tmp_path, items) == OperatorItems()


def test_unknown_rows_are_refused() -> None:
    for state in ("surprise", "other/name"):
        with pytest.raises(ValueError, match=state):
            OperatorItems().take(state, (0, 1))


def test_every_subtask_keeps_its_own_while_there_are_as_many() -> None:
    """OP-3; a union is dealt out anew all the same."""
    items = [*parts("s", SPLIT, [1, 2, 3], [], [4]), *parts("u", UNION, [1], [2], [])]
    assert dealt(items, 3, 3) == [
        {"s": [1, 2, 3], "u": [1, 2]},
        {"s": [], "u": [1, 2]},
        {"s": [4], "u": [1, 2]},
    ]


def test_remainder_goes_to_other_subtasks_with_each_list() -> None:
    """OP-1: contiguous shares, and the greater ones rotate across names."""
    items = [
        *parts("a", SPLIT, [1, 2], [3, 4]),
        *parts("b", SPLIT, [5], [6]),
        *parts("c", SPLIT, [7, 8, 9, 10], [11]),
    ]
    assert dealt(items, 2, 3) == [
        {"a": [1, 2], "b": [], "c": [7, 8]},
        {"a": [3], "b": [5], "c": [9, 10]},
        {"a": [4], "b": [6], "c": [11]},
    ]


def test_every_subtask_knows_of_every_list() -> None:
    """So that a list asked for in another mode is refused everywhere (ST-4)."""
    assert dealt(parts("a", SPLIT, [1]), 1, 3) == [{"a": [1]}, {"a": []}, {"a": []}]


def test_other_items_are_spread_beside_lists() -> None:
    shares = deal(["w1", *parts("a", SPLIT, [1], [2]), "w2", "w3"], 2, 2)
    assert [[item for item in share if isinstance(item, str)] for share in shares] == [
        ["w1", "w2"],
        ["w3"],
    ]


SHARES = st.lists(st.lists(st.integers(), max_size=5), min_size=1, max_size=5)


@given(st.dictionaries(st.text(max_size=3), SHARES, max_size=4), st.integers(1, 5))
def test_no_element_is_lost_or_doubled(lists: dict[str, Any], new: int) -> None:
    """OP-1, OP-2: and the subtasks' loads over all lists differ by at most one."""
    old = 7
    split = [part for name, shares in lists.items() for part in parts(name, SPLIT, *shares)]
    union = [part for name, shares in lists.items() for part in parts(name, UNION, *shares)]
    shares = dealt(split, old, new)
    for name, given_shares in lists.items():
        assert sorted(flatten(share[name] for share in shares)) == sorted(flatten(given_shares))
    loads = [sum(map(len, share.values())) for share in shares]
    assert max(loads) - min(loads) <= 1
    for share in dealt(union, old, new):
        assert share == {name: flatten(given_shares) for name, given_shares in lists.items()}


@dataclass
class Held:
    """A class of elements of a list."""

    number: int


def test_classes_in_lists_are_noted_for_the_manifest() -> None:
    """EV-4: a restore compares them with what they are then."""
    items = OperatorItems([*parts("a", SPLIT, [1], [[Held(2)]]), *parts("u", UNION, ["x"])])
    noted = [(state.name, state.kind, state.classes) for state in list_states(items)]
    schema = ClassSchema(f"{__name__}:Held", {"number": "int"})
    assert noted == [("a", "split list", [schema]), ("u", "union list", [])]


def test_state_of_other_operators_is_not_decoded(tmp_path: Path) -> None:
    """Theirs may be of classes that are gone."""
    disk = RealDisk()
    both = {"gone": OperatorItems([Held(1)]), "op": OperatorItems([2])}
    file = write_operator_state(disk, tmp_path, both, 1)
    entries = [OperatorEntry(uid, uid, "process", 1, 1, True, False, item_count=1) for uid in both]
    manifest = Manifest(1, "checkpoint", "0", "3", "j", [], "f", 0, entries, file)
    kept = vars(sys.modules[__name__]).pop("Held")
    try:
        assert read_operator_state(disk, tmp_path, manifest, ["op"])["op"].items == [2]
        with pytest.raises(RestoreError, match="state 'items' of operator 'gone' cannot be read"):
            read_operator_state(disk, tmp_path, manifest)
    finally:
        vars(sys.modules[__name__])["Held"] = kept
