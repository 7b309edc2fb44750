"""Routers: every record to one subtask (or to all), in order per receiver."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from streamlet.elements import RowBatch
from streamlet.errors import FatalError, RecordError
from streamlet.graph import Broadcast, Custom, Forward, Global, Hash, Rebalance, Shuffle
from streamlet.runtime.partition import Router, make_router
from streamlet.state.keys import canonical_key, key_group, key_group_range


def batch(size: int, first: int = 0) -> RowBatch:
    values = list(range(first, first + size))
    return RowBatch(values, [10 * value for value in values])


def routed(router: Router, *batches: RowBatch) -> dict[int, list[Any]]:
    received: dict[int, list[Any]] = {}
    for given in batches:
        for target, part in router.route(given):
            assert isinstance(part, RowBatch)
            assert part.values, "no part is empty"
            assert part.timestamps == [10 * value for value in part.values]
            received.setdefault(target, []).extend(part.values)
    return received


def router_of(partitioning: Any, parallelism: int = 3, sender: int = 1) -> Router:
    return make_router(partitioning, sender, parallelism, 128, Random(4))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    "partitioning",
    [
        Rebalance(),
        Shuffle(),
        Hash(lambda value: value % 7, "key"),
        Custom(lambda key, parallelism: key % parallelism, lambda value: value, "own"),
    ],
)
def test_each_record_goes_to_one_receiver_in_order(partitioning: Any, size: int) -> None:
    """DS-5."""
    received = routed(router_of(partitioning), batch(size), batch(size, first=size))
    assert all(values == sorted(values) for values in received.values())
    assert sorted(value for values in received.values() for value in values) == [*range(2 * size)]


def test_forward_keeps_the_senders_index_and_global_takes_the_first() -> None:
    assert routed(router_of(Forward()), batch(4)) == {1: [0, 1, 2, 3]}
    assert routed(router_of(Global()), batch(4)) == {0: [0, 1, 2, 3]}


def test_broadcast_gives_all_to_all() -> None:
    assert routed(router_of(Broadcast()), batch(2)) == {0: [0, 1], 1: [0, 1], 2: [0, 1]}


def test_rebalance_is_even_over_batches_smaller_than_the_receivers() -> None:
    received = routed(router_of(Rebalance()), *(batch(1) for _ in range(30)))
    assert {len(values) for values in received.values()} == {10}


@pytest.mark.parametrize("parallelism", [1, 2, 3, 128])
def test_hash_sends_each_key_to_the_subtask_that_owns_its_key_group(parallelism: int) -> None:
    """KG-3, KG-8; and the canonical keys travel along."""
    keys = ["a", 1, 1.0, True, -0.0, ("x", 2), None, b"raw"]
    router = router_of(Hash(lambda value: keys[value], "key"), parallelism)
    seen = 0
    for target, part in router.route(batch(len(keys))):
        assert isinstance(part, RowBatch)
        assert part.keys is not None
        for value, key in zip(part.values, part.keys, strict=True):
            assert key == canonical_key(keys[value])
            owned = key_group_range(target, parallelism, 128)
            assert key_group(key, 128) in owned
            seen += 1
    assert seen == len(keys)


def test_key_that_cannot_be_had_names_the_record() -> None:
    router = router_of(Hash(lambda value: float("nan") if value == 2 else value, "price"))
    with pytest.raises(RecordError) as caught:
        list(router.route(batch(4)))
    assert "key_by(price), record 2" in caught.value.__notes__[0]


@pytest.mark.parametrize("target", [-1, 3, 1.0, True, None, "0"])
def test_custom_function_must_give_the_index_of_a_subtask(target: Any) -> None:
    router = router_of(Custom(lambda key, parallelism: target, lambda value: value, "own"))
    with pytest.raises(FatalError, match=r"own.*\[0, 3\)"):
        list(router.route(batch(1)))
