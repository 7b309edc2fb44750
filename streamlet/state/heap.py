"""The heap store: clean entries in dicts, retired generations moved into them in slices.

Merging a generation of a million entries at once would stall the loop for 100 ms and more, so
`absorb` only remembers it, and `settle` moves a few thousand entries at a time, oldest first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from streamlet.state.footprint import Weight, entries_in
from streamlet.state.layout import MISSING, TOMBSTONE, StateSpec
from streamlet.state.pieces import Entries
from streamlet.state.store import NOTHING, FlatLayer, NestedLayer, walk_flat, walk_nested

if TYPE_CHECKING:
    import pyarrow as pa


_AT_ONCE: Final = 65_536
"""So many entries of one outer are looked through in a millisecond."""
_LOOK_OR_MOVE: Final = 8
"""How many entries are looked at in the time that one is moved in."""


class HeapStore:
    """Everything in memory; rows of a restored state wait, undecoded, for their table."""

    is_bounded = False

    def __init__(self) -> None:
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._cells: list[HeapFlatCells | HeapNestedCells] = []

    def flat(self, spec: StateSpec) -> HeapFlatCells:
        cells = HeapFlatCells(self._restored(spec))
        self._cells.append(cells)
        return cells

    def nested(self, spec: StateSpec) -> HeapNestedCells:
        cells = HeapNestedCells(self._restored(spec))
        self._cells.append(cells)
        return cells

    def load(self, name: str, rows: pa.RecordBatch) -> None:
        self._waiting.setdefault(name, []).append(rows)

    def loaded(self) -> None:
        """Nothing is left to do."""

    def keep(self, name: str, rows: pa.RecordBatch) -> None:
        """The entries come by `absorb`."""

    def wants_spill(self, dirty_bytes: int) -> bool:
        return False

    def begins_to_evict(self) -> bool:
        return False

    def clean_bytes(self) -> int:
        """About how much memory the clean entries take."""
        return sum(cells.weight.of(cells.entries()) for cells in self._cells)

    def settle(self, budget: int) -> None:
        for cells in self._cells:
            if budget <= 0:
                return
            budget -= cells.settle(budget)

    def take_waiting(self) -> list[tuple[str, pa.RecordBatch]]:
        """The restored rows, by state, that no table was asked for."""
        waiting, self._waiting = self._waiting, {}
        return [(name, rows) for name, batches in waiting.items() for rows in batches]

    def close(self) -> None:
        self._cells.clear()
        self._waiting.clear()

    def _restored(self, spec: StateSpec) -> Iterator[list[tuple[Any, Any]]]:
        from streamlet.state import rows

        # popped before they are decoded, so that rows and entries are never both held in full
        waiting = self._waiting.pop(spec.name, [])
        while waiting:
            yield list(rows.decoded(spec, waiting.pop(0)))


class HeapFlatCells:
    """Clean entries of a flat table: retired layers, newest first, over one dict."""

    __slots__ = ("_entries", "_retired", "weight")

    def __init__(self, restored: Iterable[list[tuple[Any, Any]]] = ()) -> None:
        self.weight = Weight(is_nested=False)
        self._entries: FlatLayer = {}
        self._retired: list[FlatLayer] = []
        for piece in restored:
            self._apply(piece)
        self.weight.note_newest(self._entries)

    def get(self, entry: Any) -> Any:
        for layer in self._retired:
            value = layer.get(entry, MISSING)
            if value is not MISSING:
                return MISSING if value is TOMBSTONE else value
        return self._entries.get(entry, MISSING)

    def may_have(self, entry: Any) -> bool:
        return self.get(entry) is not MISSING

    @property
    def may_read(self) -> bool:
        return False

    def prefetch(self, entries: list[Any], above: Sequence[Mapping[Any, Any]]) -> None:
        """All is in memory."""

    def absorb(self, layer: FlatLayer, rows: int) -> None:
        self._retired.insert(0, layer)

    def on_unwritten(self, layer: Mapping[Any, Any]) -> None:
        """Nothing was kept."""

    def take_layers(self) -> list[FlatLayer]:
        return [layer for layer in (self._entries, *reversed(self._retired)) if layer]

    def entries(self) -> int:
        """How many there are, removed ones that still have a place included."""
        return len(self._entries) + sum(map(len, self._retired))

    def settle(self, budget: int) -> int:
        """Moves up to `budget` entries of the oldest layer down; gives how many it moved."""
        moved = 0
        while self._retired and moved < budget:
            oldest = self._retired[-1]
            # popitem and not `del`: a dict remembers deleted ends, and would be searched again
            piece = [oldest.popitem() for _ in range(min(budget - moved, len(oldest)))]
            self._apply(piece)
            moved += len(piece)
            if not oldest:
                self._retired.pop()
        return moved

    def items(self) -> Iterator[tuple[Any, Any]]:
        overlay: FlatLayer = {}
        for layer in reversed(self._retired):
            overlay.update(layer)
        live = (item for item in overlay.items() if item[1] is not TOMBSTONE)
        return chain(live, (item for item in self._entries.items() if item[0] not in overlay))

    def walk(self) -> Iterator[tuple[Any, Any]]:
        return walk_flat([*self._retired, self._entries])

    def count_except(self, overlay: Collection[Any]) -> int:
        above = set(overlay).union(*self._retired)
        live = sum(self.get(entry) is not MISSING for entry in above.difference(overlay))
        return len(self._entries) - sum(entry in self._entries for entry in above) + live

    def _apply(self, piece: list[tuple[Any, Any]]) -> None:
        self._entries.update(piece)
        for entry in [entry for entry, value in piece if value is TOMBSTONE]:
            self._entries.pop(entry, None)


class HeapNestedCells:
    """Clean entries of a nested table: retired layers, newest first, over one dict of dicts."""

    __slots__ = ("_entries", "_retired", "weight")

    def __init__(self, restored: Iterable[list[tuple[Any, Any]]] = ()) -> None:
        self.weight = Weight(is_nested=True)
        self._entries: NestedLayer = {}
        self._retired: list[NestedLayer] = []
        for (outer, inner), value in chain.from_iterable(restored):
            self._apply(outer, inner, value)
        self.weight.note_newest(self._entries)

    def get(self, outer: Any, inner: Any) -> Any:
        for layer in self._retired:
            inners = layer.get(outer)
            if inners is not None:
                value = inners.get(inner, MISSING)
                if value is not MISSING:
                    return MISSING if value is TOMBSTONE else value
        inners = self._entries.get(outer)
        return MISSING if inners is None else inners.get(inner, MISSING)

    def may_have(self, outer: Any, inner: Any) -> bool:
        return self.get(outer, inner) is not MISSING

    def is_doubted(self, outer: Any) -> bool:
        return False

    def scan(self, outer: Any) -> Mapping[Any, Any]:
        entries = self._entries.get(outer, NOTHING)
        covers = [layer[outer] for layer in reversed(self._retired) if outer in layer]
        if not covers:
            return entries
        merged = dict(entries)
        for cover in covers:
            merged.update(cover)
        return {inner: value for inner, value in merged.items() if value is not TOMBSTONE}

    def layers_of(self, outer: Any) -> list[Entries]:
        layers = (self._entries, *reversed(self._retired))
        return [layer[outer] for layer in layers if outer in layer]

    def outers(self) -> set[Any]:
        touched: set[Any] = set().union(*self._retired)
        live = {outer for outer in self._entries if outer not in touched}
        live.update(outer for outer in touched if self.scan(outer))
        return live

    def absorb(self, layer: NestedLayer, rows: int) -> None:
        self._retired.insert(0, layer)

    def on_unwritten(self, layer: Mapping[Any, Any]) -> None:
        """Nothing was kept."""

    def take_layers(self) -> list[NestedLayer]:
        return [layer for layer in (self._entries, *reversed(self._retired)) if layer]

    def entries(self) -> int:
        """How many there are, about; removed ones that still have a place included."""
        return entries_in(self._entries) + sum(map(entries_in, self._retired))

    def settle(self, budget: int) -> int:
        """Moves up to `budget` entries of the oldest layer down; gives how many it moved."""
        moved = 0
        while self._retired and moved < budget:
            oldest = self._retired[-1]
            if not oldest:
                self._retired.pop()
                continue
            outer, inners = oldest.popitem()
            size = len(inners)
            if size <= _AT_ONCE and outer not in self._entries and _is_live(inners):
                self._entries[outer] = inners
                moved += size // _LOOK_OR_MOVE + 1
                continue
            for _ in range(min(budget - moved, size)):
                self._apply(outer, *inners.popitem())
                moved += 1
            if inners:
                oldest[outer] = inners
        return moved

    def items(self) -> Iterator[tuple[tuple[Any, Any], Any]]:
        for outer in self.outers():
            for inner, value in self.scan(outer).items():
                yield (outer, inner), value

    def walk(self) -> Iterator[tuple[Any, Any]]:
        return walk_nested([*self._retired, self._entries])

    def count_except(self, overlay: Collection[Any]) -> int:
        above = {
            (outer, inner)
            for layer in self._retired
            for outer, inners in layer.items()
            for inner in inners
        }.union(overlay)
        live = sum(self.get(*entry) is not MISSING for entry in above.difference(overlay))
        covered = sum(inner in self._entries.get(outer, NOTHING) for outer, inner in above)
        return sum(map(len, self._entries.values())) - covered + live

    def _apply(self, outer: Any, inner: Any, value: Any) -> None:
        inners = self._entries.get(outer)
        if value is not TOMBSTONE:
            if inners is None:
                self._entries[outer] = {inner: value}
            else:
                inners[inner] = value
        elif inners is not None:
            inners.pop(inner, None)
            if not inners:
                del self._entries[outer]


def _is_live(inners: dict[Any, Any]) -> bool:
    """Whether nothing in it was removed."""
    return type(TOMBSTONE) not in set(map(type, inners.values()))
