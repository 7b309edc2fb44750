"""Tables of keyed state: what was written since the last freeze, over what lies below it.

    look-up:  dirty -> frozen, newest to oldest -> cells (retired generations, then the store)

A frozen layer belongs to a background thread that encodes it. Until all of it is encoded, an owned
value found there is copied before it may be changed; afterwards, and in the cells, nobody else
reads it, so it moves up without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from streamlet.state.codec import encode
from streamlet.state.footprint import entries_in
from streamlet.state.layers import LayeredTable
from streamlet.state.layout import MISSING, TOMBSTONE
from streamlet.state.pieces import PIECE, Entries
from streamlet.state.store import (
    NOTHING,
    FlatCells,
    FlatLayer,
    NestedCells,
    NestedLayer,
)


class FlatTable(LayeredTable):
    """Entries with one part: a key (KEY) or a `(timestamp_ms, key)` (TIMER).

    `dirty` may be read and written directly by hot loops, and bound once per batch: it is replaced
    only between batches. It may hold TOMBSTONE; what is not in it must be asked of `load`.
    """

    __slots__ = ()

    _cells: FlatCells

    def load(self, entry: Any) -> Any:
        """The value below `dirty`, or MISSING. An owned value must not be changed."""
        for layer in self._frozen:
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

    def remove(self, entry: Any) -> None:
        """Removes the entry; leaves nothing behind when no older copy of it can exist."""
        if self._may_lie_below(entry):
            self.dirty[entry] = TOMBSTONE
        else:
            self.dirty.pop(entry, None)

    def for_update(self, entry: Any) -> Any:
        """The value, which may now be changed in place, or MISSING."""
        value = self.dirty.get(entry, MISSING)
        if value is not MISSING:
            return MISSING if value is TOMBSTONE else value
        for layer in self._frozen:
            value = layer.get(entry, MISSING)
            if value is TOMBSTONE:
                return MISSING
            if value is not MISSING:
                value = self.dirty[entry] = self._changeable(value, layer)
                return value
        value = self._cells.get(entry)
        if value is not MISSING:
            self.dirty[entry] = value
        return value

    def prefetch(self, entries: list[Any]) -> None:
        """Has the cells read what `load` would have to read one by one."""
        self._cells.prefetch(entries, [self.dirty, *self._frozen])

    def dirty_entries(self) -> int:
        return len(self.dirty)

    def thaw(self, layer: FlatLayer) -> None:
        """The layer was not written: what nothing newer covers is dirty again."""
        newer = self._take_out(layer)
        if newer:
            layer = {e: v for e, v in layer.items() if not any(e in later for later in newer)}
        layer.update(self.dirty)
        self.dirty = layer

    def _may_lie_below(self, entry: Any) -> bool:
        for layer in self._frozen:
            if entry in layer:
                return True
        return self._cells.may_have(entry)

    def _overlay(self) -> FlatLayer:
        overlay: FlatLayer = {}
        for layer in reversed(self._frozen):
            overlay.update(layer)
        overlay.update(self.dirty)
        return overlay


class NestedTable(LayeredTable):
    """Entries with two parts: key and map key (MAP), or window and key (WINDOW).

    `dirty` may be read and written directly by hot loops, and bound once per batch, as may an
    inner dict until `remove` or `drop` is called for its outer.
    """

    __slots__ = ()

    _cells: NestedCells
    dirty: NestedLayer

    def load(self, outer: Any, inner: Any) -> Any:
        """The value below `dirty`, or MISSING. An owned value must not be changed."""
        value = self._frozen_value(outer, inner)
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

    def remove(self, outer: Any, inner: Any) -> None:
        """Removes the entry; leaves nothing behind when no older copy of it can exist."""
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
        for layer in self._frozen:
            value = layer.get(outer, NOTHING).get(inner, MISSING)
            if value is TOMBSTONE:
                return MISSING
            if value is not MISSING:
                value = self._changeable(value, layer)
                self.put(outer, inner, value)
                return value
        value = self._cells.get(outer, inner)
        if value is not MISSING:
            self.put(outer, inner, value)
        return value

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
        for layer in (*reversed(self._frozen), self.dirty):
            if inners := layer.get(outer):
                layers.append(inners)
        return layers

    def outers(self) -> list[Any]:
        """Every outer with a live entry, ascending as in `scan`."""
        touched: set[Any] = set(self.dirty).union(*self._frozen)
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
        live = [i for i, value in self._merged_below(outer).items() if value is not TOMBSTONE]
        if self._cells.is_doubted(outer):
            live += self.dirty.get(outer, ())
        if live:
            self.dirty[outer] = dict.fromkeys(live, TOMBSTONE)
        else:
            self.dirty.pop(outer, None)

    def dropping(self, outer: Any, inners: list[Any]) -> Iterator[int]:
        """As `drop`, giving the size of each piece; `inners` has all that live, and is emptied.

        Were a write to fail in between and its entries to be dirty again, what is removed stays so.
        """
        while inners:
            piece = inners[-PIECE:]
            del inners[-PIECE:]
            self._remove_all(outer, piece)
            yield len(piece)

    def _remove_all(self, outer: Any, inners: list[Any]) -> None:
        below: list[Any] = [layer[outer] for layer in self._frozen if outer in layer]
        below += self._cells.layers_of(outer)
        dirty = self.dirty.setdefault(outer, {})
        if all(isinstance(layer, dict) for layer in below):
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

    def dirty_entries(self) -> int:
        """How many entries are dirty; an estimate when there are very many outers."""
        return entries_in(self.dirty)

    def thaw(self, layer: NestedLayer) -> None:
        """The layer was not written: what nothing newer covers is dirty again."""
        newer = self._take_out(layer)
        dirty = self.dirty
        for outer, inners in layer.items():
            covers = [later[outer] for later in newer if outer in later]
            if covers:
                inners = {i: v for i, v in inners.items() if not any(i in c for c in covers)}
            if outer in dirty:
                inners = {**inners, **dirty[outer]}  # a copy: a firing may be reading the layer
            if inners:
                dirty[outer] = inners

    def _may_lie_below(self, outer: Any, inner: Any) -> bool:
        if self._frozen_value(outer, inner) is not MISSING:
            return True
        return self._cells.may_have(outer, inner)

    def _frozen_value(self, outer: Any, inner: Any) -> Any:
        for layer in self._frozen:
            inners = layer.get(outer)
            if inners is not None:
                value = inners.get(inner, MISSING)
                if value is not MISSING:
                    return value
        return MISSING

    def _merged_below(self, outer: Any) -> dict[Any, Any]:
        merged = dict(self._cells.scan(outer))
        for layer in reversed(self._frozen):
            merged.update(layer.get(outer, {}))
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
            for layer in [*reversed(self._frozen), self.dirty]
            for outer, inners in layer.items()
            for inner, value in inners.items()
        }
