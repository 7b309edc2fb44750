"""Tables of keyed state whose entries have two parts: a map's key in it, or a window's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from streamlet.state.codec import encode
from streamlet.state.footprint import entries_in
from streamlet.state.layers import Layer, LayeredTable, unpacked
from streamlet.state.layout import MISSING, TOMBSTONE
from streamlet.state.pieces import PIECE, Entries
from streamlet.state.store import NOTHING, NestedCells, NestedLayer

if TYPE_CHECKING:
    from streamlet.state.arrays import Part
    from streamlet.state.key_index import Slots
    from streamlet.state.key_numbers import NumberedArrays, Numbers


class NestedTable(LayeredTable):
    """Entries with two parts: key and map key (MAP), or window and key (WINDOW).

    `dirty` may be read and written directly by hot loops, and bound once per batch, as may an
    inner dict until `remove` or `drop` is called for its outer.
    """

    __slots__ = ()

    _cells: NestedCells
    dirty: NestedLayer
    arrays: dict[Any, NumberedArrays]

    def load(self, outer: Any, inner: Any) -> Any:
        """The value below `dirty`, or MISSING. An owned value must not be changed."""
        value = self._value_above_cells(outer, inner)
        if value is MISSING:
            return self._cells.get(outer, inner)
        return MISSING if value is TOMBSTONE else value

    def get(self, outer: Any, inner: Any, default: Any = None) -> Any:
        """The value or `default`. An owned value must not be changed."""
        inners = self.dirty.get(outer)
        value = MISSING if inners is None else inners.get(inner, MISSING)
        if value is MISSING:
            value = self.load(outer, inner)
        return default if value is MISSING or value is TOMBSTONE else value

    def put(self, outer: Any, inner: Any, value: Any) -> None:
        inners = self.dirty.get(outer)
        if inners is None:
            self.dirty[outer] = {inner: value}
        else:
            inners[inner] = value
        self._pop_from_arrays(outer, inner)

    def remove(self, outer: Any, inner: Any) -> None:
        """Removes the entry; leaves nothing behind when no older copy of it can exist."""
        self._pop_from_arrays(outer, inner)
        if self._may_lie_below(outer, inner):
            self.put(outer, inner, TOMBSTONE)
            return
        inners = self.dirty.get(outer)
        if inners is not None:
            inners.pop(inner, None)
            if not inners:
                del self.dirty[outer]

    def for_update(self, outer: Any, inner: Any) -> Any:
        """The value, which may now be changed in place, or MISSING."""
        inners = self.dirty.get(outer)
        if inners is not None:
            value = inners.get(inner, MISSING)
            if value is not MISSING:
                return MISSING if value is TOMBSTONE else value
        value = self._pop_from_arrays(outer, inner)
        if value is MISSING:
            value = self._from_below(outer, inner)
        if value is not MISSING:
            self.put(outer, inner, value)
        return value

    def take(self, outer: Any, inner: Any) -> Any:
        """The value, or MISSING, of an entry that is not in `arrays` and now must be put there."""
        inners = self.dirty.get(outer, {})
        value = inners.get(inner, MISSING)
        if value is MISSING:
            return self._from_below(outer, inner)
        if value is TOMBSTONE:
            return MISSING
        return inners.pop(inner)

    def layers(self, outer: Any) -> list[Layer]:
        """What `outer` has between `arrays` and the cells, newest first."""
        return [layer[outer] for layer in (self.dirty, *self._frozen) if outer in layer]

    def put_in_arrays(
        self, outer: Any, inners: Numbers, slots: Slots, parts: Sequence[Part]
    ) -> None:
        """As `NumberedArrays.put`, of entries that are there or nowhere, as `take` leaves them."""
        arrays, dirty = self.arrays[outer], self.dirty.get(outer)
        new = arrays.put(inners, slots, parts)
        if dirty:
            for inner in arrays.keys_of(new).tolist():
                dirty.pop(inner, None)  # that it was removed

    def _from_below(self, outer: Any, inner: Any) -> Any:
        """The value of an entry that is not dirty, to be changed as that of a newer layer."""
        for layer in self._frozen:
            value = layer.get(outer, NOTHING).get(inner, MISSING)
            if value is TOMBSTONE:
                return MISSING
            if value is not MISSING:
                return self._changeable(value, layer)
        return self._cells.get(outer, inner)

    def _pop_from_arrays(self, outer: Any, inner: Any) -> Any:
        arrays = self.arrays.get(outer) if self.arrays else None
        return MISSING if arrays is None else arrays.pop(inner)

    def scan(self, outer: Any) -> list[tuple[Any, Any]]:
        """All live `(inner, value)` of `outer`, by ascending inner, the same on every store.

        Inners whose types do not compare are ordered by their encoding. Owned values must not be
        changed.
        """
        live = [item for item in self._merged(outer).items() if item[1] is not TOMBSTONE]
        if len(live) > 1:
            try:
                live.sort(key=itemgetter(0))
            except TypeError:
                live.sort(key=lambda item: encode(item[0]))
        return live

    def layers_of(self, outer: Any) -> list[Entries]:
        """What `outer` consists of, oldest layer first, for a reader that takes its time.

        The layers stay as they are while nothing is put, dropped or settled, although a background
        write may end meanwhile: a layer that is retired only moves, one that is thawed is copied.
        """
        layers = self._cells.layers_of(outer)
        for layer in (*reversed(self._above_cells()), self.dirty):
            if inners := layer.get(outer):
                layers.append(inners)
        return layers

    def arrays_of(self, outer: Any) -> NumberedArrays | None:
        """The entries of `outer`, if all of them stand in arrays."""
        match self.layers_of(outer):
            case [only] if only is self.arrays.get(outer):
                return self.arrays[outer]
        return None

    def outers(self) -> list[Any]:
        """Every outer with a live entry, ascending as in `scan`."""
        touched: set[Any] = set(self.dirty).union(*self._above_cells())
        live = [outer for outer in self._cells.outers() if outer not in touched]
        live += [
            outer
            for outer in touched
            if any(value is not TOMBSTONE for value in self._merged(outer).values())
        ]
        try:
            live.sort()
        except TypeError:
            live.sort(key=encode)
        return live

    def drop(self, outer: Any) -> None:
        """Removes every entry of `outer`; quick when none was ever frozen or stored."""
        in_arrays = self.arrays.pop(outer, ())
        live = [i for i, value in self._merged_below(outer).items() if value is not TOMBSTONE]
        if self._cells.is_doubted(outer):
            live += [*self.dirty.get(outer, ()), *in_arrays]
        if live:
            self.dirty[outer] = dict.fromkeys(live, TOMBSTONE)
        else:
            self.dirty.pop(outer, None)

    def dropping(self, outer: Any, inners: list[Any]) -> Iterator[int]:
        """As `drop`, giving the size of each piece; `inners` has all that live, and is emptied.

        Were a write to fail in between and its entries to be dirty again, what is removed stays so.
        """
        self.arrays.pop(outer, None)
        while inners:
            piece = inners[-PIECE:]
            del inners[-PIECE:]
            self._remove_all(outer, piece)
            yield len(piece)

    def _remove_all(self, outer: Any, inners: list[Any]) -> None:
        below: list[Any] = [layer[outer] for layer in self._frozen if outer in layer]
        below += self._cells.layers_of(outer)
        dirty = self.dirty.setdefault(outer, {})
        if all(isinstance(layer, Mapping) for layer in below):
            dead = {i for i in inners if any(i in layer for layer in below)} if below else set()
        else:
            dead = set(inners)  # removing from disk what may not be there is cheaper than looking
        dirty.update(dict.fromkeys(dead, TOMBSTONE))
        if not below and len(dirty) <= len(inners):
            dirty = {}
        elif len(dead) < len(inners):
            for inner in inners:
                if inner not in dead:
                    dirty.pop(inner, None)
        if not dirty:
            del self.dirty[outer]

    def entries_of(self, layer: Layer) -> int:
        return entries_in(layer)

    def unpacked(self, layer: Layer) -> NestedLayer:
        if isinstance(next(iter(layer.values()), None), dict):
            return cast("NestedLayer", layer)
        return {outer: unpacked(inners) for outer, inners in layer.items()}

    def thaw(self, layer: Layer) -> None:
        """The layer was not written: what nothing newer covers is dirty again."""
        newer = self._take_out(layer)
        dirty = self.dirty
        for outer, inners in self.unpacked(layer).items():
            covers = [later[outer] for later in newer if outer in later]
            if covers:
                inners = {i: v for i, v in inners.items() if not any(i in c for c in covers)}
            if outer in dirty:
                inners = {**inners, **dirty[outer]}  # a copy: a firing may be reading the layer
            if inners:
                dirty[outer] = inners

    def _may_lie_below(self, outer: Any, inner: Any) -> bool:
        if self._value_above_cells(outer, inner) is not MISSING:
            return True
        return self._cells.may_have(outer, inner)

    def _value_above_cells(self, outer: Any, inner: Any) -> Any:
        for layer in self._above_cells():
            inners = layer.get(outer)
            if inners is not None:
                value = inners.get(inner, MISSING)
                if value is not MISSING:
                    return value
        return MISSING

    def _merged_below(self, outer: Any) -> dict[Any, Any]:
        merged = dict(self._cells.scan(outer))
        for layer in reversed(self._above_cells()):
            merged.update(layer.get(outer, NOTHING).items())
        return merged

    def _merged(self, outer: Any) -> dict[Any, Any]:
        merged = self._merged_below(outer)
        inners = self.dirty.get(outer)
        if not inners:
            return merged
        if not merged:
            return inners
        merged.update(inners)
        return merged

    def _overlay(self) -> dict[tuple[Any, Any], Any]:
        return {
            (outer, inner): value
            for layer in [*reversed(self._above_cells()), self.dirty]
            for outer, inners in layer.items()
            for inner, value in inners.items()
        }
