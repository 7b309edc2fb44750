"""What tables of keyed state have in common: what was written since the last freeze, and below it.

    look-up:  dirty -> frozen, newest to oldest -> cells (retired generations, then the store)

A frozen layer belongs to a background thread that encodes it. Until all of it is encoded, an owned
value found there is copied before it may be changed; afterwards, and in the cells, nobody else
reads it, so it moves up without a copy.

Dirty entries that batches of columns work on stand in `arrays`, all others in `dirty`. None lives
in both: who asks for an entry to change it as rows do finds it moved to `dirty`. Frozen arrays are
a layer like any other, of which the background thread makes the dict that the cells get.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final, TypeAlias

from streamlet.errors import InternalError
from streamlet.state.layout import TOMBSTONE, StateSpec
from streamlet.state.store import FlatCells, NestedCells, walk_flat, walk_nested

Layer: TypeAlias = Mapping[Any, Any]
"""Entry or outer to value, TOMBSTONE or further entries: dicts, or arrays in their place."""

_WEIGHED_EVERY: Final = 16
"""A value may grow where it is: now and then it is looked at although there is no new entry."""


class LayeredTable(ABC):
    """Entries in layers over the cells."""

    __slots__ = ("_asked", "_cells", "_encoded", "_frozen", "_weighed", "arrays", "dirty", "spec")

    arrays: Layer
    """`KeyedArrays` of entries (flat), or `NumberedArrays` of each outer (nested)."""

    def __init__(self, spec: StateSpec, cells: FlatCells | NestedCells) -> None:
        self.spec = spec
        self.dirty: dict[Any, Any] = {}
        self.arrays = {}
        self._frozen: list[Layer] = []
        self._encoded: Layer | None = None
        self._cells = cells
        self._weighed = self._asked = 0

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All live entries with their values, in no particular order; none may change meanwhile."""
        overlay = self._overlay()
        for item in overlay.items():
            if item[1] is not TOMBSTONE:
                yield item
        for item in self._cells.items():
            if item[0] not in overlay:
                yield item

    def walk(self) -> Iterator[tuple[Any, Any]]:
        """As `items`, while anything may change: what does is met once, twice or not at all."""
        walk = walk_flat if self.spec.layout.is_flat else walk_nested
        return chain(walk([self.dirty, *self._above_cells()]), self._cells.walk())

    def size(self) -> int:
        """The number of live entries."""
        overlay = self._overlay()
        live = sum(value is not TOMBSTONE for value in overlay.values())
        return live + self._cells.count_except(overlay)

    def freeze(self) -> list[Layer]:
        """Starts new dirty layers; the old must not change until they are retired or thawed."""
        layers = [layer for layer in (self.arrays, self.dirty) if layer]
        self._frozen[:0] = reversed(layers)
        self.arrays, self.dirty = {}, {}
        self._weighed = 0
        return layers

    @abstractmethod
    def unpacked(self, layer: Layer) -> dict[Any, Any]:
        """The frozen layer as the cells take it; called from a background thread."""

    def _above_cells(self) -> list[Layer]:
        """The layers between `dirty` and the cells, newest first."""
        return [self.arrays, *self._frozen] if self.arrays else self._frozen

    def has_frozen(self) -> bool:
        """Whether a frozen layer is not yet retired or thawed."""
        return bool(self._frozen)

    def note_encoded(self, layer: Layer) -> None:
        """The frozen layer is in rows: its values may change now, where something newer has them.

        Called from a background thread. Until the loop sees it, it makes copies that it could do
        without. Should the rows get lost, `thaw` keeps what is newer.
        """
        self._encoded = layer

    def _changeable(self, value: Any, layer: Layer) -> Any:
        """A value of this frozen layer, to be changed as that of a newer one."""
        return value if layer is self._encoded else self.spec.copied(value)

    def freeze_clean(self, cells: FlatCells | NestedCells) -> list[dict[Any, Any]]:
        """Leaves the cells for others, empty ones; what they held, oldest first, is now frozen.

        Nothing else may be frozen.
        """
        clean = self._cells.take_layers()
        cells.weight = self._cells.weight
        self._cells = cells
        self._frozen = list(reversed(clean))
        return clean

    def dirty_bytes(self) -> int:
        """About how much memory the dirty entries take; quick."""
        entries = self.dirty_entries()
        self._asked += 1
        if entries > self._weighed or self._asked % _WEIGHED_EVERY == 0:
            self._weighed = entries
            are_most = self.entries_of(self.arrays) > self.entries_of(self.dirty)
            self._cells.weight.note_newest(self.arrays if are_most else self.dirty)
        return self._cells.weight.of(entries)

    def dirty_entries(self) -> int:
        """How many entries are dirty, about."""
        return self.entries_of(self.dirty) + self.entries_of(self.arrays)

    @abstractmethod
    def entries_of(self, layer: Layer) -> int:
        """How many entries a layer has; an estimate when there are very many outers."""

    def retire(self, layer: Layer, entries: dict[Any, Any], rows: int) -> None:
        """The layer was written: hands it to the cells, unpacked."""
        if not self._frozen or self._frozen[-1] is not layer:
            raise InternalError(f"state {self.spec.name!r}: retire generations oldest first")
        self._frozen.pop()
        self._encoded = None
        self._cells.absorb(entries, rows)

    @abstractmethod
    def _overlay(self) -> dict[Any, Any]:
        """What lies over the cells, TOMBSTONEs included."""

    def _take_out(self, layer: Layer) -> list[Layer]:
        """Removes the layer, gives those that are newer; by identity: `==` would read them all."""
        self._cells.on_unwritten(layer)
        self._encoded = None  # it may be dirty as it is, and frozen once more
        position = next(i for i, frozen in enumerate(self._frozen) if frozen is layer)
        del self._frozen[position]
        return [self.arrays, *self._frozen[:position]]


def unpacked(entries: Mapping[Any, Any]) -> dict[Any, Any]:
    """Entries in arrays as a dict; a dict as it is."""
    return entries if isinstance(entries, dict) else dict(entries.items())
