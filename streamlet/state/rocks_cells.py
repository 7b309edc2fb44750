"""Clean entries over RocksDB: looked for in the cache (`cached_generations.py`), then read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from streamlet.errors import InternalError
from streamlet.state.cached_generations import Generations
from streamlet.state.codec import decode
from streamlet.state.footprint import Weight
from streamlet.state.layout import MISSING, TOMBSTONE, Layout, StateSpec
from streamlet.state.pieces import Entries
from streamlet.state.row_keys import ID_BYTES, RowKeys, cut_outer
from streamlet.state.store import NOTHING, FlatLayer, NestedLayer

if TYPE_CHECKING:
    from streamlet.state.rocksdb import RocksStore

_MEASURED_EACH: Final = 8
"""Of so many entries that are read one by one the size of one is measured."""
_KNOWN_AT_ONCE: Final = 65_536
"""So many windows are known, gone ones among them, before the database is asked which there are:
it has to pass over the rows that were deleted since it last tidied up."""


class _StoredCells:
    """What both kinds of cells have in common: their rows in the database, and the cache."""

    __slots__ = ("_row_keys", "_spec", "_store", "generations", "has_failed", "weight")

    _is_nested = False

    def __init__(
        self, spec: StateSpec, row_keys: RowKeys, store: RocksStore, is_restored: bool
    ) -> None:
        self._spec = spec
        self._row_keys = row_keys
        self._store = store
        self.generations = Generations(store, self._is_nested, is_complete=not is_restored)
        self.weight = Weight(self._is_nested)
        self.has_failed = False
        """Whether a layer could not be written."""

    def take_layers(self) -> list[dict[Any, Any]]:
        """Raises InternalError: entries that are on disk stay there."""
        raise InternalError(f"state {self._spec.name!r} has left memory already")

    def on_unwritten(self, layer: Mapping[Any, Any]) -> None:
        """What is removed from it needs a tombstone, although the cache does not know it.

        The database may have rows of it, and so may earlier checkpoints, if it was leaving memory.
        """
        self.has_failed = True
        self.generations.is_complete = False

    def settle(self, budget: int) -> int:
        return self.generations.settle(budget)

    def _note_some(self, entry: Any, value: Any) -> None:
        """Measures some of the entries that are read one by one."""
        if self._store.database.reads % _MEASURED_EACH == 0:
            self.weight.note(entry, value)

    def items(self) -> Iterator[tuple[Any, Any]]:
        entry_of, revive = self._row_keys.entry_of, self._spec.revive
        for row_key, payload in self._store.database.scan(self._row_keys.prefix):
            yield entry_of(row_key), revive(payload)

    def walk(self) -> Iterator[tuple[Any, Any]]:
        entry_of, revive = self._row_keys.entry_of, self._spec.revive
        for row_key, payload in self._store.database.walk(self._row_keys.prefix):
            yield entry_of(row_key), revive(payload)

    def count_except(self, overlay: Collection[Any]) -> int:
        # by the rows alone: they may already be those of a layer that is being written
        entry_of = self._row_keys.entry_of
        rows = self._store.database.scan(self._row_keys.prefix)
        return sum(entry_of(row_key) not in overlay for row_key, _ in rows)


class RocksFlatCells(_StoredCells):
    """Clean entries of a flat table."""

    __slots__ = ()

    def get(self, entry: Any) -> Any:
        value = self._cached(entry)
        if value is MISSING and not self.generations.is_complete:
            payload = self._store.database.read(self._row_keys.of(entry))
            value = TOMBSTONE if payload is None else self._spec.revive(payload)
            self._note_some(entry, value)
            self._remember(entry, value)
        return MISSING if value is TOMBSTONE else value

    def may_have(self, entry: Any) -> bool:
        value = self._cached(entry)
        if value is MISSING:
            return not self.generations.is_complete
        return value is not TOMBSTONE or self.has_failed

    @property
    def may_read(self) -> bool:
        return not self.generations.is_complete

    def prefetch(self, entries: list[Any], above: Sequence[Mapping[Any, Any]]) -> None:
        misses = set(entries)
        for layer in (*above, *self.generations.layers):
            if isinstance(layer, dict):
                misses = misses.difference(layer)  # a look-up in the dict for each that is left
            else:
                misses = {entry for entry in misses if entry not in layer}
        if not misses:
            return
        payloads = self._store.database.read_many(self._row_keys.of_all(misses))
        values = iter(self._spec.revive_all([p for p in payloads if p is not None]))
        found = {
            entry: TOMBSTONE if payload is None else next(values)
            for entry, payload in zip(misses, payloads, strict=True)
        }
        self.generations.layers[0].update(found)
        self.weight.note_newest(found)
        self.generations.grew(self.weight.of(len(found)))

    def absorb(self, layer: FlatLayer, rows: int) -> None:
        self.weight.note_newest(layer)
        self.generations.push(layer, self.weight.of(rows))

    def _cached(self, entry: Any) -> Any:
        layers = self.generations.layers
        for position, layer in enumerate(layers):
            value = layer.get(entry, MISSING)
            if value is not MISSING:
                if position > 1:
                    self._remember(entry, value)
                return value
        return MISSING

    def _remember(self, entry: Any, value: Any) -> None:
        self.generations.layers[0][entry] = value
        self.generations.grew(self.weight.of(1))


class RocksNestedCells(_StoredCells):
    """Clean entries of a nested table."""

    __slots__ = ("_doubted", "_known", "_known_at_most")

    _is_nested = True

    def __init__(
        self, spec: StateSpec, row_keys: RowKeys, store: RocksStore, is_restored: bool
    ) -> None:
        super().__init__(spec, row_keys, store, is_restored)
        # Windows are few, and most are opened and closed in memory: knowing those that have rows
        # spares a look into the database for all the others.
        self._known: set[Any] | None = None
        self._known_at_most = _KNOWN_AT_ONCE
        self._doubted: set[Any] = set()
        """Windows whose entries could not be written once; of maps, the keys are too many."""
        if spec.layout is Layout.WINDOW:
            self._known = self.outers() if is_restored else set()

    def get(self, outer: Any, inner: Any) -> Any:
        value = self._cached(outer, inner)
        if value is MISSING and self._has_rows(outer):
            payload = self._store.database.read(self._row_keys.of((outer, inner)))
            value = TOMBSTONE if payload is None else self._spec.revive(payload)
            self._note_some(inner, value)
            self._remember(outer, inner, value)
        return MISSING if value is TOMBSTONE else value

    def may_have(self, outer: Any, inner: Any) -> bool:
        value = self._cached(outer, inner)
        if value is MISSING:
            return self._has_rows(outer)
        return value is not TOMBSTONE or self.is_doubted(outer)

    def is_doubted(self, outer: Any) -> bool:
        return self.has_failed if self._known is None else outer in self._doubted

    def scan(self, outer: Any) -> Mapping[Any, Any]:
        if self.generations.is_complete:
            return self._cached_scan(outer)
        if not self._has_rows(outer):
            return NOTHING
        found = dict(self.stored(outer))
        if not found and self._known is not None:
            self._known.discard(outer)
        return found

    def layers_of(self, outer: Any) -> list[Entries]:
        if self.generations.is_complete:
            layers = reversed(self.generations.layers)
            return [layer[outer] for layer in layers if outer in layer]
        return [_StoredEntries(self, outer)] if self._has_rows(outer) else []

    def stored(self, outer: Any) -> Iterator[tuple[Any, Any]]:
        """The entries of `outer` that the database has."""
        prefix, revive = self._row_keys.outer_prefix(outer), self._spec.revive
        start = len(prefix)
        for row_key, payload in self._store.database.scan(prefix):
            yield decode(row_key[start:]), revive(payload)

    def outers(self) -> set[Any]:
        prefixes = self._store.database.prefixes(self._row_keys.prefix, cut_outer)
        return {decode(prefix[ID_BYTES:]) for prefix in prefixes}

    def absorb(self, layer: NestedLayer, rows: int) -> None:
        self._know(layer)
        self.weight.note_newest(layer)
        self.generations.push(layer, self.weight.of(rows))

    def on_unwritten(self, layer: Mapping[Any, Any]) -> None:
        super().on_unwritten(layer)
        if self._known is not None:
            self._doubted.update(layer)

    def _know(self, layer: NestedLayer) -> None:
        """Notes the layer's windows. Those that are gone are forgotten, many at a time."""
        if self._known is None:
            return
        self._known.update(layer)
        if len(self._known) > self._known_at_most:
            self._known = self.outers()
            self._known_at_most = max(_KNOWN_AT_ONCE, 2 * len(self._known))

    def _has_rows(self, outer: Any) -> bool:
        """Whether the database may know more of `outer` than the cache."""
        if self.generations.is_complete:
            return False
        return self._known is None or outer in self._known or outer in self._doubted

    def _cached(self, outer: Any, inner: Any) -> Any:
        for position, layer in enumerate(self.generations.layers):
            inners = layer.get(outer)
            if inners is not None:
                value = inners.get(inner, MISSING)
                if value is not MISSING:
                    if position > 1:
                        self._remember(outer, inner, value)
                    return value
        return MISSING

    def _remember(self, outer: Any, inner: Any, value: Any) -> None:
        self.generations.layers[0].setdefault(outer, {})[inner] = value
        self.generations.grew(self.weight.of(1))

    def _cached_scan(self, outer: Any) -> Mapping[Any, Any]:
        merged: dict[Any, Any] = {}
        for layer in reversed(self.generations.layers):
            inners = layer.get(outer)
            if inners is not None:
                merged.update(inners)
        return {inner: value for inner, value in merged.items() if value is not TOMBSTONE}


class _StoredEntries:
    """The rows of one outer, read when asked for and as they are then."""

    __slots__ = ("_cells", "_outer")

    def __init__(self, cells: RocksNestedCells, outer: Any) -> None:
        self._cells = cells
        self._outer = outer

    def items(self) -> Iterator[tuple[Any, Any]]:
        return self._cells.stored(self._outer)
