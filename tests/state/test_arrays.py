"""Entries in arrays are as those of a dict, whatever is removed, put again, or no number."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from streamlet.column_folds.kept import INTS
from streamlet.state import arrays as module
from streamlet.state.arrays import KeyedArrays
from streamlet.state.key_index import ABSENT, Slots, keys_array
from streamlet.state.layout import MISSING


def lists_of(parts: Sequence[list[Any]]) -> list[Any]:
    return list(map(list, zip(*parts, strict=True)))


def keyed(**values: int) -> KeyedArrays:
    """With one part."""
    arrays = KeyedArrays(lists_of, [INTS])
    if values:
        put(arrays, list(values), np.array(list(values.values()), INTS))
    return arrays


def put(arrays: KeyedArrays, keys: Sequence[Any], part: Any) -> list[Any]:
    names = keys_array(keys)
    return list(arrays.put(names, arrays.find(names), [np.asarray(part)]).tolist())


def slots(arrays: KeyedArrays, *keys: Any) -> Slots:
    return arrays.find(keys_array(keys))


def in_columns(arrays: KeyedArrays) -> dict[Any, Any]:
    keys, [part] = arrays.columns()
    return dict(zip(keys.tolist(), part.tolist(), strict=True))


def test_a_slot_that_became_free_is_used_again() -> None:
    arrays = keyed(a=1, b=2, c=3)
    arrays.remove(keys_array(["a", "c"]))
    put(arrays, ["d", "e", "f"], [4, 5, 6])
    assert sorted(slots(arrays, "b", "d", "e", "f").tolist()) == [0, 1, 2, 3]
    assert slots(arrays, "a", "c").tolist() == [ABSENT, ABSENT]
    assert dict(arrays.items()) == {"b": [2], "d": [4], "e": [5], "f": [6]}


def test_columns_are_in_the_order_of_their_keys() -> None:
    assert in_columns(keyed(b=2, a=1)) == {"b": 2, "a": 1}


def test_columns_after_removals_are_those_of_the_keys_that_are_left() -> None:
    arrays = keyed(a=1, b=2, c=3)
    arrays.discard("b")
    assert in_columns(arrays) == {"a": 1, "c": 3}


def test_columns_stand_beside_their_keys_although_slots_were_used_again() -> None:
    """As many keys as slots do not mean that both are in the same order."""
    arrays = keyed(a=1, b=2, c=3)
    arrays.pop("a")
    put(arrays, ["a"], [4])
    assert in_columns(arrays) == {"a": 4, "b": 2, "c": 3}


def test_values_beyond_the_first_slots_are_kept() -> None:
    many = 2 * module._FIRST_SLOTS + 1
    arrays = keyed(first=-1)
    put(arrays, range(many), np.arange(many))
    put(arrays, ["last"], [-2])
    assert dict(arrays.items()) == {"first": [-1], "last": [-2]} | {n: [n] for n in range(many)}


@pytest.mark.parametrize("newer", [np.array([0.5]), np.array(["x"], object), np.array([2**64])])
def test_a_part_becomes_one_of_objects_when_others_come(newer: Any) -> None:
    """What stood there stays an int: rows would have left it alone."""
    arrays = keyed(a=1, b=2)
    put(arrays, ["b"], newer)
    assert arrays["a"] == [1]
    assert type(arrays["a"][0]) is int
    assert arrays["b"] == newer.tolist()
    put(arrays, ["a", "c"], [3, 4])
    assert type(arrays["a"][0]) is int
    assert dict(arrays.items()) == {"a": [3], "b": newer.tolist(), "c": [4]}


def test_only_the_part_that_gets_others_becomes_one_of_objects() -> None:
    arrays = KeyedArrays(lists_of, [INTS, INTS])
    arrays.insert(keys_array(["a"]), [np.array([1]), np.array([2])])
    arrays.write(slots(arrays, "a"), [np.array([3]), np.array([0.5])])
    assert [part.dtype for part in arrays.read(slots(arrays, "a"))] == [INTS, object]
    assert arrays["a"] == [3, 0.5]


def test_objects_beyond_the_first_slots_are_kept() -> None:
    arrays = keyed(a=1)
    put(arrays, ["b"], np.array([None], object))
    many = list(range(module._FIRST_SLOTS))
    put(arrays, many, many)
    assert (arrays["a"], arrays["b"], arrays[many[-1]]) == ([1], [None], [many[-1]])


@pytest.mark.parametrize(
    ("keys", "new"),
    [(["c", "d"], ["c", "d"]), (["b", "c", "a"], ["c"]), (["b", "a"], []), ([], [])],
)
def test_put_gives_the_keys_that_are_new(keys: list[str], new: list[str]) -> None:
    arrays = keyed(a=1, b=2)
    numbers = np.arange(10, 10 + len(keys))
    assert put(arrays, keys, numbers) == new
    assert slots(arrays, "x", *keys)[0] == ABSENT
    expected = {"a": 1, "b": 2} | dict(zip(keys, numbers.tolist(), strict=True))
    assert in_columns(arrays) == expected


def test_items_come_in_pieces_without_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 3)
    for size in range(8):
        arrays = keyed(**{f"k{n}": n for n in range(size)})
        assert list(arrays.items()) == [(f"k{n}", [n]) for n in range(size)]


def test_a_value_that_was_given_may_be_changed() -> None:
    """It is made anew for whoever asks."""
    arrays = keyed(a=1)
    for value in (arrays["a"], arrays.get("a"), dict(arrays.items())["a"]):
        value.append("changed")
    [part] = arrays.read(slots(arrays, "a"))
    part[0] = 99
    assert arrays["a"] == [1]
    assert arrays.pop("a") == [1]


def test_what_is_not_there_is_missing() -> None:
    arrays = keyed(a=1)
    arrays.discard("b")
    assert (arrays.pop("b"), arrays.get("b"), arrays.get("b", 0)) == (MISSING, None, 0)
    with pytest.raises(KeyError):
        arrays["b"]
    assert ("a" in arrays, "b" in arrays, len(arrays), bool(keyed())) == (True, False, 1, False)


def test_the_newest_keys_come_first_when_reversed() -> None:
    """State is weighed by them."""
    assert list(reversed(keyed(a=1, b=2))) == ["b", "a"]


def keys_for(seed: int, number: int) -> list[Any]:
    """Whole numbers, or texts, or first these and then those; some look alike to a hash table."""
    numbers = [n << 40 for n in range(6)] + [-n for n in range(1, 7)]
    if seed % 3 == 0 or (seed % 3 == 1 and number < 30):
        return numbers
    return [*numbers, "a", "b", None, 2**64]


@pytest.mark.parametrize("seed", range(30))
def test_any_sequence_of_changes_is_as_with_a_dict(seed: int) -> None:
    random, arrays, model = Random(seed), keyed(), dict[Any, Any]()
    for number in range(60):
        keys = random.sample(keys_for(seed, number), random.randrange(5))
        held = [key for key in keys if key in model]
        match random.choice(["put", "put", "pop", "pop_values", "discard", "remove"]):
            case "put":
                value = number / 2 if seed % 2 and number > 40 else number
                new = put(arrays, keys, np.full(len(keys), value))
                assert new == [key for key in keys if key not in model]
                model.update(dict.fromkeys(keys, value))
            case "pop":
                popped = [arrays.pop(key) for key in keys]
                expected = [[model.pop(key)] if key in held else MISSING for key in keys]
                assert popped == expected
            case "pop_values":
                assert arrays.pop_values(keys_array(held)) == [[model.pop(key)] for key in held]
            case "discard":
                for key in keys:
                    arrays.discard(key)
                    model.pop(key, None)
            case _:
                arrays.remove(keys_array(held))
                model = {key: value for key, value in model.items() if key not in held}
        assert in_columns(arrays) == model
        assert dict(arrays.items()) == {key: [value] for key, value in model.items()}
        assert repr(in_columns(arrays)) == repr({key: model[key] for key in arrays})
