"""Tables of keyed state whose entries have one part: a key, or a timer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streamlet.state.layers import Layer, LayeredTable, unpacked
from streamlet.state.layout import MISSING, TOMBSTONE
from streamlet.state.store import FlatCells, FlatLayer

if TYPE_CHECKING:
    from streamlet.state.arrays import KeyedArrays, Part
    from streamlet.state.key_index import Keys, Slots


class FlatTable(LayeredTable):
    """Entries with one part: a key (KEY) or a `(timestamp_ms, key)` (TIMER).

    `dirty` may be read and written directly by hot loops, and bound once per batch: it is replaced
    only between batches. It may hold TOMBSTONE; what is not in it must be asked of `load`.
    """

    __slots__ = ()

    _cells: FlatCells
    arrays: KeyedArrays | Any
    """An empty dict while there are none."""

    def load(self, entry: Any) -> Any:
        """The value below `dirty`, or MISSING. An owned value must not be changed."""
        for layer in self._above_cells():
            value = layer.get(entry, MISSING)
            if value is not MISSING:
                return MISSING if value is TOMBSTONE else value
        return self._cells.get(entry)

    def get(self, entry: Any, default: Any = None) -> Any:
        """The value or `default`. An owned value must not be changed."""
        value = self.dirty.get(entry, MISSING)
        if value is MISSING:
            value = self.load(entry)
        return default if value is MISSING or value is TOMBSTONE else value

    def put(self, entry: Any, value: Any) -> None:
        self.dirty[entry] = value
        if self.arrays:
            self.arrays.discard(entry)

    def remove(self, entry: Any) -> None:
        """Removes the entry; leaves nothing behind when no older copy of it can exist."""
        if self.arrays:
            self.arrays.discard(entry)
        if self._may_lie_below(entry):
            self.dirty[entry] = TOMBSTONE
        else:
            self.dirty.pop(entry, None)

    def remove_from_arrays(self, entries: Keys) -> None:
        """Removes entries that stand in `arrays`."""
        self.arrays.remove(entries)
        lying_below = filter(self._may_lie_below, entries.tolist())
        self.dirty.update(dict.fromkeys(lying_below, TOMBSTONE))

    def move_from_arrays(self, entries: Keys) -> None:
        """Moves entries that stand in `arrays`, to be changed one by one."""
        values = self.arrays.pop_values(entries)
        self.dirty.update(zip(entries.tolist(), values, strict=True))

    def for_update(self, entry: Any) -> Any:
        """The value, which may now be changed in place, or MISSING."""
        value = self.dirty.get(entry, MISSING)
        if value is not MISSING:
            return MISSING if value is TOMBSTONE else value
        value = self.arrays.pop(entry) if self.arrays else MISSING
        if value is MISSING:
            value = self._from_below(entry)
        if value is not MISSING:
            self.dirty[entry] = value
        return value

    def take(self, entry: Any) -> Any:
        """The value, or MISSING, of an entry that is not in `arrays` and now must be put there."""
        value = self.dirty.get(entry, MISSING)
        if value is MISSING:
            return self._from_below(entry)
        if value is TOMBSTONE:
            return MISSING
        return self.dirty.pop(entry)

    def layers(self) -> list[Layer]:
        """All that lies between `arrays` and the cells, newest first."""
        return [self.dirty, *self._frozen]

    def put_in_arrays(self, entries: Keys, slots: Slots, parts: Sequence[Part]) -> None:
        """As `KeyedArrays.put`, of entries that are there or nowhere, as `take` leaves them."""
        new = self.arrays.put(entries, slots, parts)
        for entry in new.tolist() if self.dirty else ():
            self.dirty.pop(entry, None)  # that it was removed

    def _from_below(self, entry: Any) -> Any:
        """The value of an entry that is not dirty, to be changed as that of a newer layer."""
        for layer in self._frozen:
            value = layer.get(entry, MISSING)
            if value is TOMBSTONE:
                return MISSING
            if value is not MISSING:
                return self._changeable(value, layer)
        return self._cells.get(entry)

    @property
    def may_read(self) -> bool:
        """Whether a look-up may read from disk."""
        return self._cells.may_read

    def prefetch(self, entries: list[Any]) -> None:
        """Has the cells read what `load` would have to read one by one."""
        self._cells.prefetch(entries, [self.dirty, *self._above_cells()])

    def entries_of(self, layer: Layer) -> int:
        return len(layer)

    def unpacked(self, layer: Layer) -> FlatLayer:
        return unpacked(layer)

    def thaw(self, layer: Layer) -> None:
        """The layer was not written: what nothing newer covers is dirty again."""
        newer = [later for later in self._take_out(layer) if later]
        thawed = self.unpacked(layer)
        if newer:
            thawed = {e: v for e, v in thawed.items() if not any(e in later for later in newer)}
        thawed.update(self.dirty)
        self.dirty = thawed

    def _may_lie_below(self, entry: Any) -> bool:
        for layer in self._frozen:
            if entry in layer:
                return True
        return self._cells.may_have(entry)

    def _overlay(self) -> FlatLayer:
        overlay: FlatLayer = {}
        for layer in reversed(self._above_cells()):
            overlay.update(layer.items())
        overlay.update(self.dirty)
        return overlay
