"""The seam between the write-back log and what lies below it: the heap or RocksDB."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from streamlet.errors import ConfigError
from streamlet.state.footprint import Weight
from streamlet.state.layout import MISSING, TOMBSTONE, StateSpec
from streamlet.state.pieces import Entries

if TYPE_CHECKING:
    import pyarrow as pa

FlatLayer: TypeAlias = dict[Any, Any]
"""Entry to value or TOMBSTONE."""

NestedLayer: TypeAlias = dict[Any, dict[Any, Any]]
"""Outer to inner to value or TOMBSTONE."""

NOTHING: Final[Mapping[Any, Any]] = {}


class FlatCells(Protocol):
    """The clean entries of a flat table. Only the loop thread calls it."""

    weight: Weight

    def get(self, entry: Any) -> Any:
        """The value or MISSING."""

    def may_have(self, entry: Any) -> bool:
        """False: there is certainly no such entry."""

    @property
    def may_read(self) -> bool:
        """Whether there may be entries that are not in memory."""

    def prefetch(self, entries: list[Any], above: Sequence[Mapping[Any, Any]]) -> None:
        """Brings into memory what is neither there nor in a layer above."""

    def absorb(self, layer: FlatLayer, rows: int) -> None:
        """Takes over a layer whose `rows` entries were written; quick, whatever its size."""

    def on_unwritten(self, layer: Mapping[Any, Any]) -> None:
        """The layer is dirty again; some of its rows may have been kept."""

    def take_layers(self) -> list[FlatLayer]:
        """What is in memory, oldest first; the cells are not used any more."""

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All live entries; nothing may change meanwhile."""

    def walk(self) -> Iterator[tuple[Any, Any]]:
        """As `items`, while anything may change: what does is met once, twice or not at all."""

    def count_except(self, overlay: Collection[Any]) -> int:
        """The number of live entries that are not in `overlay`."""


class NestedCells(Protocol):
    """The clean entries of a nested table. Only the loop thread calls it."""

    weight: Weight

    def get(self, outer: Any, inner: Any) -> Any:
        """The value or MISSING."""

    def may_have(self, outer: Any, inner: Any) -> bool:
        """False: there is certainly no such entry."""

    def is_doubted(self, outer: Any) -> bool:
        """Whether older rows of `outer` may be in checkpoints, of which nothing here knows."""

    def scan(self, outer: Any) -> Mapping[Any, Any]:
        """All live entries of `outer`; the caller must not change the mapping."""

    def layers_of(self, outer: Any) -> list[Entries]:
        """The same as layers, oldest first, with removed entries; quick. See `NestedTable`."""

    def outers(self) -> set[Any]:
        """Every outer with a live entry."""

    def absorb(self, layer: NestedLayer, rows: int) -> None:
        """Takes over a layer whose `rows` entries were written; quick, whatever its size."""

    def on_unwritten(self, layer: Mapping[Any, Any]) -> None:
        """The layer is dirty again; some of its rows may have been kept."""

    def take_layers(self) -> list[NestedLayer]:
        """What is in memory, oldest first; the cells are not used any more."""

    def items(self) -> Iterator[tuple[tuple[Any, Any], Any]]:
        """All live entries as ((outer, inner), value); nothing may change meanwhile."""

    def walk(self) -> Iterator[tuple[Any, Any]]:
        """As `items`, while anything may change: what does is met once, twice or not at all."""

    def count_except(self, overlay: Collection[Any]) -> int:
        """The number of live entries that are not in `overlay`."""


class Store(Protocol):
    """Keeps the clean entries of all tables of one keyed subtask."""

    is_bounded: bool
    """Whether `wants_spill` must be asked."""

    def flat(self, spec: StateSpec) -> FlatCells:
        """The cells of a new flat table, with what `load` brought under its name."""

    def nested(self, spec: StateSpec) -> NestedCells:
        """The cells of a new nested table, with what `load` brought under its name."""

    def load(self, name: str, rows: pa.RecordBatch) -> None:
        """Rows of a restored state, before its table exists; later rows win."""

    def loaded(self) -> None:
        """No further `load` will come."""

    def keep(self, name: str, rows: pa.RecordBatch) -> None:
        """Rows of a frozen generation as they are written; called from a background thread."""

    def wants_spill(self, dirty_bytes: int) -> bool:
        """True when so many bytes of dirty entries are more than memory should hold."""

    def begins_to_evict(self) -> bool:
        """Asked when it wants to spill. True once: all that is clean must be frozen, given to
        `keep` and put into new cells."""

    def settle(self, budget: int) -> None:
        """Up to about `budget` entries of deferred work, between two batches."""

    def close(self) -> None: ...


def walk_flat(layers: Sequence[Mapping[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Live entries of the layers, top down, as `FlatCells.walk`.

    Entries only ever move down from layer to layer, so that none of them slips past.
    """
    for layer in layers:
        for entry in list(layer):
            value = layer.get(entry, MISSING)
            if value is not MISSING and value is not TOMBSTONE:
                yield entry, value


def walk_nested(layers: Sequence[Mapping[Any, Mapping[Any, Any]]]) -> Iterator[tuple[Any, Any]]:
    """The same for nested layers; an entry is `(outer, inner)`."""
    for layer in layers:
        for outer in list(layer):
            for inner, value in list(layer.get(outer, NOTHING).items()):
                if value is not TOMBSTONE:
                    yield (outer, inner), value


def open_store(backend: str, directory: Path | None, memory_bytes: int) -> Store:
    """The store of `state.backend.type`.

    `directory` is new for each attempt (RocksDB only); the caller deletes it after `close`.
    """
    if backend == "heap":
        from streamlet.state.heap import HeapStore

        return HeapStore()
    if backend == "rocksdb":
        from streamlet.state.rocksdb import RocksStore

        if directory is None:
            raise ConfigError("state.backend.type = 'rocksdb' needs a work directory, got None")
        return RocksStore(directory, memory_bytes)
    raise ConfigError(f"state.backend.type is {backend!r}, expected 'heap' or 'rocksdb'")
