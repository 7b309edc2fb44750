"""Keys stand in ascending blocks, whenever and in whatever order they were numbered."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

import pytest

from streamlet.operators import ordered_keys
from streamlet.operators.ordered_keys import OrderedKeys
from streamlet.state.key_numbers import KeyNumbers


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_keys, "_BLOCK", 4)
    monkeypatch.setattr(ordered_keys, "PIECE", 8)


def caught_up(ordered: OrderedKeys) -> list[int]:
    """How much each step did."""
    return list(ordered.catching_up())


@pytest.mark.parametrize("seed", range(12))
def test_blocks_have_all_keys_in_their_order_with_their_numbers(seed: int) -> None:
    draw, numbers = Random(seed), KeyNumbers()
    ordered, known = OrderedKeys(numbers), set[int]()
    for _ in range(6):
        first = draw.choice([0, 0, 500, -500])
        newer = draw.sample(range(first, first + 400), draw.choice([0, 1, 3, 40, 300]))
        numbers.of_each(newer)
        known.update(newer)
        steps = caught_up(ordered)
        assert max(steps, default=0) <= 8
        keys = [key for block in ordered.blocks for key in block.keys]
        assert keys == sorted(known)
        assert [n for block in ordered.blocks for n in block.numbers.tolist()] == (
            numbers.of_each(keys).tolist()
        )


def test_many_keys_before_and_behind_all_others_are_sorted_in_pieces() -> None:
    """They come into one block, which is too large then."""
    numbers = KeyNumbers()
    ordered = OrderedKeys(numbers)
    for some in (range(100, 120), range(2_000, 1_000, -1), range(-1_000, 0)):
        numbers.of_each(list(some))
        assert max(caught_up(ordered)) <= 8
    keys = [key for block in ordered.blocks for key in block.keys]
    assert keys == [*range(-1_000, 0), *range(100, 120), *range(1_001, 2_001)]


def test_what_somebody_made_of_a_block_stays_until_the_block_changes() -> None:
    numbers = KeyNumbers()
    ordered = OrderedKeys(numbers)
    numbers.of_each(list(range(0, 40, 2)))
    caught_up(ordered)
    for block in ordered.blocks:
        block.columns = block.keys
    numbers.of_each([1])
    caught_up(ordered)
    assert [block.columns for block in ordered.blocks if block.columns is None] == [None]
    assert len(ordered.blocks) > 2


@pytest.mark.parametrize("other", [1, date(2026, 1, 1), None])
def test_keys_that_do_not_compare_are_refused(other: Any) -> None:
    numbers = KeyNumbers()
    ordered = OrderedKeys(numbers)
    numbers.of_each([str(n) for n in range(50)])
    caught_up(ordered)
    numbers.of_each([other])
    with pytest.raises(TypeError):
        caught_up(ordered)
