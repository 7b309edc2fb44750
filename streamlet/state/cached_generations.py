"""What is cached of a table over RocksDB: generations of entries, the oldest evicted as a whole.

    retired layer ---> layers[0] -> layers[1] -> ... -> layers[-1] ---evicted---> graveyard (freed)

An entry in a generation is also in the database, so dropping one loses nothing. Counting uses per
entry would cost more than it saves: what is still used is found in an old generation and copied to
the newest. As long as nothing was ever evicted the cache is complete, and a miss reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from streamlet.state.store import NestedLayer

if TYPE_CHECKING:
    from streamlet.state.rocksdb import RocksStore

_GENERATIONS: Final = 4
"""The newest generation is closed at this fraction of the room."""
_MANY_GENERATIONS: Final = 8


class Generations:
    """The cached layers of a table, newest first, with about how many bytes each takes."""

    __slots__ = ("_ages", "_graveyard", "_is_nested", "_store", "is_complete", "layers", "sizes")

    def __init__(self, store: RocksStore, is_nested: bool, is_complete: bool) -> None:
        self._store = store
        self._is_nested = is_nested
        self._graveyard: list[dict[Any, Any]] = []
        self.is_complete = is_complete
        self.layers: list[dict[Any, Any]] = [{}]
        self.sizes = [0]
        self._ages = [store.next_age()]

    def push(self, layer: dict[Any, Any], size_bytes: int) -> None:
        """Makes the layer the newest; the store evicts what is oldest of all tables."""
        self._insert(layer, size_bytes)
        self._store.grew(size_bytes)

    def grew(self, size_bytes: int) -> None:
        """So many bytes were read into the newest generation."""
        self.sizes[0] += size_bytes
        if self.sizes[0] * _GENERATIONS > self._store.clean_bytes:
            self._insert({}, 0)
        self._store.grew(size_bytes)

    def oldest_age(self) -> int | None:
        """When the oldest generation was begun; None: nothing is cached."""
        return self._ages[-1] if len(self.layers) > 1 or self.sizes[0] else None

    def evict(self) -> int:
        """Lets go of the oldest generation; gives its bytes."""
        evicted, size_bytes = self.layers.pop(), self.sizes.pop()
        self._ages.pop()
        if evicted:
            self._graveyard.append(evicted)
            self.is_complete = False
        if not self.layers:
            self._insert({}, 0)
        return size_bytes

    def _insert(self, layer: dict[Any, Any], size_bytes: int) -> None:
        self.layers.insert(0, layer)
        self.sizes.insert(0, size_bytes)
        self._ages.insert(0, self._store.next_age())

    def settle(self, budget: int) -> int:
        """Frees evicted entries, then joins the two oldest generations where there are many."""
        done = 0
        while self._graveyard and done < budget:
            done += _free(self._graveyard[-1], self._is_nested, budget - done)
            if not self._graveyard[-1]:
                self._graveyard.pop()
        while len(self.layers) > _MANY_GENERATIONS and done < budget:
            done += _move(self.layers[-2], self.layers[-1], self._is_nested, budget - done)
            if not self.layers[-2]:
                del self.layers[-2], self._ages[-1]
                self.sizes[-2:] = [sum(self.sizes[-2:])]
        return done


def _free(layer: dict[Any, Any], is_nested: bool, budget: int) -> int:
    """Drops up to `budget` entries; freeing a million at once would stall the loop."""
    if is_nested:
        return _take_apart(layer, budget, lambda outer, inner, value: None)
    freed = min(budget, len(layer))
    for _ in range(freed):
        layer.popitem()
    return freed


def _move(newer: dict[Any, Any], older: dict[Any, Any], is_nested: bool, budget: int) -> int:
    """Moves up to `budget` entries of `newer` over those of `older`."""
    if is_nested:
        return _take_apart(
            newer,
            budget,
            lambda outer, inner, value: older.setdefault(outer, {}).__setitem__(inner, value),
        )
    moved = min(budget, len(newer))
    for _ in range(moved):
        entry, value = newer.popitem()
        older[entry] = value
    return moved


def _take_apart(layer: NestedLayer, budget: int, take: Callable[[Any, Any, Any], None]) -> int:
    """Takes up to `budget` entries out of a nested layer, one by one."""
    taken = 0
    while layer and taken < budget:
        # popitem and not `del`: a dict remembers deleted ends, and would be searched again
        outer, inners = layer.popitem()
        for _ in range(min(budget - taken, len(inners))):
            take(outer, *inners.popitem())
            taken += 1
        if inners:
            layer[outer] = inners
    return taken
