"""The lists of one subtask: modes, copies, and what nobody asks for."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.errors import ConfigError, StateTypeError
from streamlet.state.codec import decode, encode
from streamlet.state.operator_lists import SPLIT, UNION, ListMode, ListSnapshot, OperatorLists


def lists(*restored: ListSnapshot, subtask: int = 0) -> OperatorLists:
    return OperatorLists(restored, subtask, "in operator 'buffer' (subtask 1 of 2)")


def through_a_checkpoint(snapshots: list[ListSnapshot]) -> list[Any]:
    return [decode(encode(snapshot)) for snapshot in snapshots]


def test_elements_come_back_as_they_were() -> None:
    before = lists()
    before.get("a", SPLIT).add_all([1, ("x", 2), {"n": [3]}])
    before.get("u", UNION).add("all")
    after = lists(*through_a_checkpoint(before.snapshot()))
    assert after.get("a", SPLIT).get() == [1, ("x", 2), {"n": [3]}]
    assert after.get("u", UNION).get() == ["all"]


def test_snapshot_and_what_is_handed_out_are_copies() -> None:
    """ST-5."""
    some = lists()
    handle = some.get("a", SPLIT)
    handle.add({"n": 1})
    [snapshot] = some.snapshot()
    handle.add(2)
    next(iter(handle.get()))["n"] = 5
    assert some.get("a", SPLIT).get() == [{"n": 1}, 2]
    [restored] = through_a_checkpoint([snapshot])
    assert restored.items == [{"n": 1}]


def test_list_can_be_replaced_and_cleared_and_refuses_none() -> None:
    """ST-2."""
    handle = lists().get("a", SPLIT)
    handle.update([1, 2])
    with pytest.raises(TypeError, match="None"):
        handle.add_all([3, None])
    assert handle.get() == [1, 2]
    handle.clear()
    handle.add(4)
    assert handle.get() == [4]


@pytest.mark.parametrize(("first", "second"), [(SPLIT, UNION), (UNION, SPLIT)])
@pytest.mark.parametrize("is_restored", [False, True])
def test_one_list_has_one_mode(first: ListMode, second: ListMode, is_restored: bool) -> None:
    """ST-4: within a run, and for a restored list although this subtask's share is empty."""
    some = lists(ListSnapshot("a", first, 0, [])) if is_restored else lists()
    if not is_restored:
        some.get("a", first)
    with pytest.raises(StateTypeError, match="'a' in operator 'buffer'"):
        some.get("a", second)
    assert some.get("a", first).get() == []


@pytest.mark.parametrize("name", ["", "_mine", None])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(ConfigError):
        lists().get(name, SPLIT)


def test_restored_list_that_nobody_asks_for_is_carried_on() -> None:
    """EV-5: a union by one subtask only, or it would grow with each restore."""
    restored = [ListSnapshot("s", SPLIT, 1, [1, {"b": 2}]), ListSnapshot("u", UNION, 1, [3])]
    assert through_a_checkpoint(lists(*restored, subtask=1).snapshot()) == restored[:1]
    first = through_a_checkpoint(lists(*restored, subtask=0).snapshot())
    assert [(part.name, part.items) for part in first] == [("s", [1, {"b": 2}]), ("u", [3])]
