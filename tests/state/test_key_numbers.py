"""Entries by the numbers of their keys are as those of a dict, whoever else shares the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from streamlet.state import key_numbers
from streamlet.state.key_index import ABSENT, keys_array
from streamlet.state.key_numbers import KeyNumbers, NumberedArrays
from streamlet.state.layout import MISSING


def lists_of(parts: Sequence[list[Any]]) -> list[Any]:
    return list(map(list, zip(*parts, strict=True)))


def numbered(numbers: KeyNumbers) -> NumberedArrays:
    """With one part, of whole numbers."""
    return NumberedArrays(lists_of, [np.dtype(np.int64)], numbers)


def put(arrays: NumberedArrays, keys: Sequence[Any], part: Any) -> list[Any]:
    names = arrays.names_of(keys_array(keys))
    new = arrays.put(names, arrays.find(names), [np.asarray(part)])
    return list(arrays.keys_of(new).tolist())


def test_numbers_beyond_the_first_have_room() -> None:
    """Also those that another table has given out."""
    numbers, many = KeyNumbers(), 3 * key_numbers._FIRST_NUMBERS
    first, second = numbered(numbers), numbered(numbers)
    put(first, range(many), np.arange(many))
    assert second.find(numbers.of_each([many - 1, 0])).tolist() == [ABSENT, ABSENT]
    assert (many - 1 in second, second.pop(many - 1), len(second)) == (False, MISSING, 0)
    put(second, [many - 1], [7])
    assert dict(second.items()) == {many - 1: [7]}
    assert dict(first.items()) == {n: [n] for n in range(many)}


def test_a_frozen_table_knows_its_keys_although_others_get_numbers() -> None:
    numbers = KeyNumbers()
    frozen, newer = numbered(numbers), numbered(numbers)
    put(frozen, ["b", "a"], [1, 2])
    before = repr(frozen)
    put(newer, ["c", "a"], [3, 4])
    assert repr(frozen) == before
    assert (frozen.get("c", MISSING), frozen["a"], newer["a"]) == (MISSING, [2], [4])


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_changes_of_two_tables_is_as_with_dicts(seed: int) -> None:
    random, numbers = Random(seed), KeyNumbers()
    tables = [(numbered(numbers), dict[int, Any]()) for _ in range(2)]
    for value in range(60):
        arrays, model = random.choice(tables)
        keys = random.sample(range(12), random.randrange(1, 5))
        match random.choice(["put", "put", "pop", "discard"]):
            case "put":
                added = value / 2 if seed % 2 and value > 40 else value
                new = put(arrays, keys, np.full(len(keys), added))
                assert new == [key for key in keys if key not in model]
                model.update({key: [added] for key in keys})
            case "pop":
                assert [arrays.pop(k) for k in keys] == [model.pop(k, MISSING) for k in keys]
            case _:
                for key in keys:
                    arrays.discard(key)
                    model.pop(key, None)
        for arrays, model in tables:
            assert_holds(arrays, model)


def assert_holds(arrays: NumberedArrays, model: dict[int, Any]) -> None:
    keys, [part] = arrays.columns()
    assert dict(zip(keys.tolist(), lists_of([part.tolist()]), strict=True)) == model
    numbers, [same] = arrays.numbered_columns()
    assert arrays.keys_of(numbers).tolist() == keys.tolist() == list(arrays)
    assert same.tolist() == part.tolist()
    assert list(reversed(arrays)) == keys.tolist()[::-1]
    assert {key: arrays[key] for key in arrays} == dict(arrays.items()) == model
    assert (len(arrays), bool(arrays)) == (len(model), bool(model))
