"""An index finds the slots of its keys, whatever was removed, and wherever keys collide."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from streamlet.column_folds.kept import INTS
from streamlet.state import key_index as module
from streamlet.state.key_index import (
    ABSENT,
    IntIndex,
    KeyIndex,
    ObjectIndex,
    as_object_index,
    joined,
    keys_array,
    unique,
)
from tests.state.colliding_keys import colliding, number_of

FARTHEST = [2**63 - 1, -(2**63), 0, -1]


def collisions(count: int) -> list[int]:
    return list(map(colliding, range(count)))


@pytest.fixture(params=[IntIndex, ObjectIndex])
def index(request: pytest.FixtureRequest) -> KeyIndex:
    make: Callable[[], KeyIndex] = request.param
    return make()


def entries(index: KeyIndex) -> dict[Any, int]:
    keys, slots = index.all()
    return dict(zip(keys.tolist(), slots.tolist(), strict=True))


def test_the_whole_range_of_64_bits_is_found(index: KeyIndex) -> None:
    index.remember(keys_array(FARTHEST), np.arange(4))
    assert index.find(keys_array(FARTHEST)).tolist() == [0, 1, 2, 3]
    assert [index.get(key, ABSENT) for key in FARTHEST] == [0, 1, 2, 3]


def test_whole_numbers_among_other_keys_are_found_and_removed(index: KeyIndex) -> None:
    """An array of objects may have some, and of a part of it no others are left."""
    index.remember(np.array([5, 6, 7]), np.arange(3))
    keys = keys_array([None, 5, 7])
    assert index.find(keys).tolist() == [ABSENT, 0, 2]
    assert index.forget(keys[1:]).tolist() == [0, 2]
    assert entries(index) == {6: 1}


@pytest.mark.parametrize("key", [2**63, -(2**63) - 1, "a", None, (1, 2), 1.5])
def test_what_is_no_whole_number_of_64_bits_is_not_there(index: KeyIndex, key: Any) -> None:
    index.remember(np.array([1, 2]), np.array([0, 1]))
    assert index.get(key, ABSENT) == index.pop(key, ABSENT) == ABSENT
    assert index.find(keys_array([key, 2])).tolist() == [ABSENT, 1]


def test_of_no_key_nothing_is_found(index: KeyIndex) -> None:
    none = keys_array([])
    index.remember(none, np.empty(0, np.intp))
    assert (len(index), list(index), index.find(none).tolist()) == (0, [], [])
    assert index.find(np.array([0])).tolist() == [ABSENT]


def test_keys_collide_wherever_there_is_room_for_all() -> None:
    """Else the tests that need it would test nothing."""
    index, keys = IntIndex(), collisions(1_000)
    index.remember(keys_array(keys), np.arange(1_000))
    assert index._home(keys_array(keys)).max() == 0
    assert list(map(number_of, keys)) == list(range(1_000))


def test_keys_that_collide_are_all_found(index: KeyIndex) -> None:
    keys = collisions(20)
    index.remember(keys_array(keys[:10]), np.arange(10))
    index.remember(keys_array(keys[10:19]), np.arange(10, 19))
    assert index.find(keys_array(keys)).tolist() == [*range(19), ABSENT]


def test_keys_behind_a_removed_one_are_still_found(index: KeyIndex) -> None:
    keys = collisions(6)
    index.remember(keys_array(keys), np.arange(6))
    assert index.forget(keys_array([keys[0], keys[3]])).tolist() == [0, 3]
    assert index.pop(keys[1], ABSENT) == 1
    assert index.find(keys_array(keys)).tolist() == [ABSENT, ABSENT, 2, ABSENT, 4, 5]


def test_a_removed_key_may_come_again(index: KeyIndex) -> None:
    """At another place than before: only one of the two counts."""
    keys = collisions(3)
    index.remember(keys_array(keys), np.arange(3))
    index.forget(keys_array(keys[:2]))
    index.remember(keys_array(keys[1::-1]), np.array([7, 8]))
    assert entries(index) == {keys[1]: 7, keys[0]: 8, keys[2]: 2}
    index.forget(keys_array([keys[1]]))
    assert index.find(keys_array(keys)).tolist() == [8, ABSENT, 2]


def test_keys_that_come_and_go_for_ever_need_no_more_room() -> None:
    index = IntIndex()
    for start in range(0, 100_000, 100):
        keys = np.arange(start, start + 100)
        index.remember(keys, np.arange(100))
        index.forget(keys)
    assert len(index) == 0
    assert len(index._keys) <= 4 * module._FIRST_PLACES


def test_an_index_that_grows_keeps_what_it_has(
    index: KeyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what was removed, of which it is rid."""
    monkeypatch.setattr(module, "_PIECE", 100)
    keys = [*collisions(100), *range(100, 1_000)]
    for start in range(0, 1_000, 50):
        index.remember(keys_array(keys[start : start + 50]), np.arange(start, start + 50))
        index.forget(keys_array(keys[start : start + 50 : 10]))
    left = {key: slot for slot, key in enumerate(keys) if slot % 10}
    assert entries(index) == left
    assert index.find(keys_array(keys)).tolist() == [left.get(key, ABSENT) for key in keys]


def test_pieces_are_all_keys(index: KeyIndex) -> None:
    keys = np.arange(1_000)
    index.remember(keys, keys[::-1])
    pieces = [piece for piece in index.pieces(300) if len(piece[0])]
    assert len(pieces) > 1
    assert sorted(key for keys, _ in pieces for key in keys.tolist()) == keys.tolist()
    assert all((keys + slots == 999).all() for keys, slots in pieces)


def test_an_index_of_numbers_becomes_one_of_any_keys() -> None:
    numbers = IntIndex()
    numbers.remember(np.array([5, 6]), np.array([0, 1]))
    index = as_object_index(numbers)
    index.remember(keys_array(["a"]), np.array([2]))
    assert as_object_index(index) is index
    assert entries(index) == {5: 0, 6: 1, "a": 2}
    assert index.find(np.array([6, 7])).tolist() == [1, ABSENT]


def test_an_array_of_keys_gives_the_very_same_keys() -> None:
    for keys in ([1, 2], [1, 2**63], ["a", 1], [(1, "a"), None], [True, 1.5], []):
        back = keys_array(keys).tolist()
        assert back == keys
        assert list(map(type, back)) == list(map(type, keys))


def test_keys_of_several_kinds_are_joined() -> None:
    parts = [np.array([1]), keys_array(["a"]), keys_array([])]
    assert joined(parts).tolist() == [1, "a"]
    assert (joined([]).dtype, joined([np.array([1])]).dtype) == (INTS, INTS)


@pytest.mark.parametrize("keys", [[3, 1, 3, 2, 1], ["b", "a", "b"], []])
def test_each_key_once_is_in_the_order_of_the_first(keys: list[Any]) -> None:
    assert unique(keys_array(keys)).tolist() == list(dict.fromkeys(keys))


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_changes_is_as_with_a_dict(index: KeyIndex, seed: int) -> None:
    random, model = Random(seed), dict[int, int]()
    pool = [*collisions(30), *range(100), *(n << 48 for n in range(1, 30)), *FARTHEST]
    pool = list(dict.fromkeys(pool))
    for slot in range(200):
        keys = random.sample(pool, random.randrange(40))
        held = [key for key in keys if key in model]
        match random.choice(["remember", "forget", "pop"]):
            case "remember":
                new = [key for key in keys if key not in model]
                slots = list(range(slot * 100, slot * 100 + len(new)))
                index.remember(keys_array(new), np.array(slots, np.intp))
                model.update(zip(new, slots, strict=True))
            case "forget":
                assert index.forget(keys_array(held)).tolist() == [model.pop(k) for k in held]
            case _:
                popped = [index.pop(key, ABSENT) for key in keys]
                assert popped == [model.pop(key, ABSENT) for key in keys]
        assert entries(index) == model
        assert index.find(keys_array(pool)).tolist() == [model.get(k, ABSENT) for k in pool]
        assert len(index) == len(model) == len(list(index)) == len(list(reversed(index)))


@pytest.mark.parametrize("step", [1, 1_000, 1 << 16, 1 << 22, 1 << 32, 165_580_141])
def test_keys_with_a_fixed_step_lie_apart(step: int) -> None:
    """Such as ids that begin with a time: hardly a search goes on for long."""
    index, keys = IntIndex(), np.arange(20_000) * step
    index.remember(keys, np.arange(20_000))
    farthest = index._find(keys) - index._home(keys)
    assert np.percentile(farthest[farthest >= 0], 99.9) < 64
