"""The write-back log of keyed state: one per keyed subtask, over a heap or a RocksDB store.

    put ---> dirty ---freeze---> frozen ---write, retire---> cells ---settle---> store
               ^                    |
               '-----unfreeze-------'   (the write failed)

A barrier freezes: it swaps references, whatever was written. A background thread then encodes the
frozen generation while the loop goes on with a new dirty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from streamlet.errors import InternalError, RestoreError, StateTypeError
from streamlet.state.codec import DEFAULT_CODEC, Codec, Encoded
from streamlet.state.flat_table import FlatTable
from streamlet.state.layers import Layer
from streamlet.state.layout import MISSING, TOMBSTONE, Layout, StateSpec
from streamlet.state.log_types import LogTypes
from streamlet.state.nested_table import NestedTable
from streamlet.state.schemas import StateEntry
from streamlet.state.store import Store, open_store

if TYPE_CHECKING:
    import pyarrow as pa

    from streamlet.state.key_index import Keys

__all__ = [
    "MISSING",
    "TOMBSTONE",
    "Encoded",
    "FlatTable",
    "Generation",
    "Layout",
    "NestedTable",
    "StateLog",
    "open_store",
]


ROWS_PER_BATCH: Final = 2_048
"""Small enough that the loop breathes between two batches of a background write."""


Layers: TypeAlias = list[tuple[FlatTable | NestedTable, Layer]]


class Stage(Enum):
    """Where a generation stands: FROZEN -> WRITTEN -> GONE, or FROZEN | WRITTEN -> GONE."""

    FROZEN = "frozen"
    WRITTEN = "written"
    GONE = "retired or unfrozen"


class Generation:
    """What was dirty at one freeze. Its entries must not change until it is gone.

    `leaving`: what was clean, and is too much for memory from now on; in checkpoints it is already.
    """

    __slots__ = ("layers", "leaving", "stage", "written")

    def __init__(self, layers: Layers, leaving: Layers) -> None:
        self.layers = layers
        self.leaving = leaving
        self.written = list[tuple[dict[Any, Any], int]]()
        """Of each layer its entries as the cells take them, and how many rows they were."""
        self.stage = Stage.FROZEN

    def oldest_first(self) -> Layers:
        """All layers, in the order in which they are written and retired."""
        return [*self.leaving, *self.layers]

    def is_empty(self) -> bool:
        return not self.layers and not self.leaving

    def let_go(self) -> None:
        """Nothing will be done with it any more."""
        self.layers, self.leaving, self.written, self.stage = [], [], [], Stage.GONE


class StateLog:
    """All keyed state and timers of one subtask.

    `key` is the current key, set by the operator before it calls user code; the handles read it.
    Everything but `write` is called from the loop thread.
    """

    __slots__ = (
        "_key_groups",
        "_max_parallelism",
        "_restored",
        "_store",
        "_tables",
        "key",
        "place",
        "types",
    )

    def __init__(
        self, store: Store, key_groups: range, max_parallelism: int, place: str = ""
    ) -> None:
        self.key: Any = None
        self.place = place
        self.types = LogTypes(place)
        self._store = store
        self._key_groups = key_groups
        self._max_parallelism = max_parallelism
        self._tables: dict[str, FlatTable | NestedTable] = {}
        self._restored: dict[str, frozenset[Layout]] = {}

    def flat(
        self,
        name: str,
        layout: Layout = Layout.KEY,
        codec: Codec | None = None,
        *,
        owned: bool = False,
        kind: str = "value",
        copy: Callable[[Any], Any] | None = None,
    ) -> FlatTable:
        """The flat table of that name (KEY or TIMER); the same one when it was asked for before.

        Raises StateTypeError when the name is taken by a table of another shape (ST-4), and
        RestoreError when restored rows cannot be read as what is asked for (EV-1).
        """
        spec = StateSpec(name, kind, layout, codec or DEFAULT_CODEC, owned, copy)
        if not layout.is_flat:
            raise InternalError(f"state {name!r}: layout {layout.name} is not flat")
        table = self._known(spec)
        if table is None:
            table = self._tables[name] = FlatTable(spec, self._store.flat(spec))
        assert isinstance(table, FlatTable)
        return table

    def nested(
        self,
        name: str,
        layout: Layout,
        codec: Codec | None = None,
        *,
        owned: bool = False,
        kind: str = "map",
        copy: Callable[[Any], Any] | None = None,
    ) -> NestedTable:
        """The nested table of that name (MAP or WINDOW); as `flat`."""
        spec = StateSpec(name, kind, layout, codec or DEFAULT_CODEC, owned, copy)
        if layout.is_flat:
            raise InternalError(f"state {name!r}: layout {layout.name} is not nested")
        table = self._known(spec)
        if table is None:
            table = self._tables[name] = NestedTable(spec, self._store.nested(spec))
        assert isinstance(table, NestedTable)
        return table

    def freeze(self) -> Generation:
        """Sets the dirty entries aside: what `write` gives is the state of this moment."""
        leaving = self._leave_memory()
        layers = [(table, layer) for table in self._tables.values() for layer in table.freeze()]
        return Generation(layers, leaving)

    def write(
        self, generation: Generation, batch_rows: int = ROWS_PER_BATCH
    ) -> Iterator[pa.RecordBatch]:
        """The generation as batches of STATE_ROWS; runs in a background thread.

        On RocksDB, once memory is not enough, each goes into the database before it is given.
        """
        for table, layer in generation.leaving:
            entries = table.unpacked(layer)
            rows = sum(batch.num_rows for batch in self._written(table.spec, entries, batch_rows))
            generation.written.append((entries, rows))
            table.note_encoded(layer)
        for table, layer in generation.layers:
            entries, rows = table.unpacked(layer), 0
            self.types.note_layer(table.spec, entries)
            for batch in self._written(table.spec, entries, batch_rows):
                self.types.note_rows(table.spec, batch)
                rows += batch.num_rows
                yield batch
            generation.written.append((entries, rows))
            table.note_encoded(layer)
        generation.stage = Stage.WRITTEN

    def _written(
        self, spec: StateSpec, layer: dict[Any, Any], batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        from streamlet.state import rows

        for batch in rows.encoded(spec, layer, self._max_parallelism, batch_rows):
            rows.check_key_groups(batch, self._key_groups, spec.name, self.place)
            self._store.keep(spec.name, batch)
            yield batch

    def retire(self, generation: Generation) -> None:
        """The generation is in safe hands: its entries are clean now. Oldest first."""
        _expect(generation, Stage.WRITTEN)
        layers = generation.oldest_first()
        for (table, layer), (entries, rows) in zip(layers, generation.written, strict=True):
            table.retire(layer, entries, rows)
        generation.let_go()

    def unfreeze(self, generation: Generation) -> None:
        """The generation could not be written: its entries are dirty again, newer ones win."""
        _expect(generation, Stage.FROZEN, Stage.WRITTEN)
        for table, layer in generation.oldest_first():
            table.thaw(layer)
        generation.let_go()

    def settle(self, budget: int = 4_096) -> None:
        """Deferred work on about `budget` entries, to be called between batches."""
        self._store.settle(budget)

    def prefetch(self, keys: list[Any] | Keys) -> None:
        """Reads what the state of these keys lacks in memory at one go, before a batch.

        Makes misses of RocksDB cheaper; does nothing on the heap or while all is in memory.
        Raises RestoreError when they cannot be keys of the restored state (see `LogTypes`).
        """
        tables = [
            table
            for table in self._tables.values()
            if table.spec.layout is Layout.KEY and isinstance(table, FlatTable) and table.may_read
        ]
        if not tables and not self.types.has_unmet_keys:
            return
        keys = keys if isinstance(keys, list) else keys.tolist()
        if self.types.has_unmet_keys:
            self.types.check_keys(keys)
        for table in tables:
            table.prefetch(keys)

    def restore(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Takes over STATE_ROWS, before any table is asked for.

        Rows of other key groups are skipped, later rows win over earlier ones, and a row marked as
        deleted removes. A state that no operator asks for stays where it is (EV-5).
        """
        from streamlet.state import rows

        if self._tables:
            raise InternalError("state must be restored before its tables are asked for")
        for batch in batches:
            for name, part in rows.by_state(batch, self._key_groups):
                if name not in self._restored:
                    self._restored[name] = rows.layouts_of(part)
                self._store.load(name, part)
        self._store.loaded()

    def wants_spill(self) -> bool:
        """True when the dirty entries outgrow memory: freeze, write and retire without a barrier.

        The rows of a spill belong into the next checkpoint.
        """
        if not self._store.is_bounded:
            return False
        return self._store.wants_spill(sum(table.dirty_bytes() for table in self._tables.values()))

    def size(self) -> int:
        """The number of live entries over all tables; may read all of RocksDB."""
        return sum(table.size() for table in self._tables.values())

    def entries(self) -> list[StateEntry]:
        """What a manifest notes of every state that was asked for or is carried along."""
        return self.types.entries(table.spec for table in self._tables.values())

    def check_own_taken(self) -> None:
        """Called when the operator is open: it has asked for all tables that are its own.

        Raises RestoreError when another operator's were restored, as when windows became sessions:
        nobody would look at them again. A state of the user's may stay unasked for (EV-5).
        """
        self.types.check_own_taken(self._restored.keys() - self._tables.keys())

    def unasked(self) -> list[str]:
        """The user's states that came from a savepoint and that nobody has asked for yet (EV-5)."""
        return self.types.unasked(self._tables)

    def is_restored(self, name: str) -> bool:
        """Whether rows of a state of that name were restored."""
        return name in self._restored

    def has_state(self, name: str) -> bool:
        """Whether a table of that name was asked for or restored."""
        return name in self._tables or name in self._restored

    def close(self) -> None:
        """Lets go of the store; nothing may be called afterwards."""
        self._store.close()

    def _leave_memory(self) -> Layers:
        """Freezes what is clean, once, when it is too much for memory.

        Layers are retired oldest first, so not while an earlier generation is still being written;
        a spill never begins before that, and asks again until it is done.
        """
        tables = self._tables.values()
        if any(table.has_frozen() for table in tables) or not self.wants_spill():
            return []
        if not self._store.begins_to_evict():
            return []
        leaving: Layers = []
        for table in tables:
            spec = table.spec
            cells = self._store.flat(spec) if spec.layout.is_flat else self._store.nested(spec)
            leaving += [(table, layer) for layer in table.freeze_clean(cells)]
        return leaving

    def _known(self, spec: StateSpec) -> FlatTable | NestedTable | None:
        table = self._tables.get(spec.name)
        if table is None:
            self._check_restored(spec)
            return None
        known = table.spec
        if (known.kind, known.layout, known.owned) != (spec.kind, spec.layout, spec.owned) or type(
            known.codec
        ) is not type(spec.codec):
            raise StateTypeError(
                f"state {spec.name!r} {self.place} is asked for as {_described(spec)}, but it is "
                f"{_described(known)}; give each state a name of its own"
            )
        return table

    def _check_restored(self, spec: StateSpec) -> None:
        layouts = self._restored.get(spec.name)
        if layouts is None:
            return
        self.types.check(spec)
        if spec.layout not in layouts:
            found = " or ".join(sorted(layout.name for layout in layouts))
            raise RestoreError(
                f"state {spec.name!r} {self.place} is asked for as {_described(spec)}, but the "
                f"restored state has the layout {found}; use another name for the new state"
            )


def _described(spec: StateSpec) -> str:
    return f"{spec.kind} state ({spec.layout.name}, {type(spec.codec).__name__})"


def _expect(generation: Generation, *stages: Stage) -> None:
    if generation.stage not in stages:
        expected = " or ".join(stage.value for stage in stages)
        raise InternalError(f"a generation must be {expected}, but it is {generation.stage.value}")
