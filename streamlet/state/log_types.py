"""What is known of the types in one subtask's state: those restored, declared, and seen since."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from streamlet.errors import RestoreError
from streamlet.state.codec import DEFAULT_CODEC
from streamlet.state.layout import Layout, StateSpec
from streamlet.state.schemas import (
    ClassSchema,
    StateEntry,
    class_schemas,
    codec_name,
    is_own_state,
    state_changes,
)
from streamlet.state.seen_types import SeenTypes, key_types, may_meet

if TYPE_CHECKING:
    import pyarrow as pa


class LogTypes:
    """Compares what a program asks for with what was restored, and notes what it keeps."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._restored: dict[str, StateEntry] = {}
        self._restored_keys: frozenset[str] = frozenset()
        self._declared: dict[str, str] = {}
        self._seen = SeenTypes()
        self._classes: dict[str, tuple[int, list[ClassSchema]]] = {}
        """By state: the classes as they were written down, and of how many tags."""
        self._is_strict = False
        self.has_unmet_keys = False
        """Whether `check_keys` must be called with the next keys."""

    def expect(
        self, entries: Iterable[StateEntry], keys: Collection[str], *, must_meet: bool
    ) -> None:
        """What the restored state has; `must_meet`: what could never find it is refused."""
        self._restored = {entry.name: entry for entry in entries}
        self._classes.clear()
        self._restored_keys = frozenset(keys)
        self._is_strict = must_meet
        self.has_unmet_keys = must_meet and bool(self._restored_keys - {"None"})

    def declare(self, name: str, value_type: str) -> None:
        """The type that the descriptor of a state declares, before its table is asked for."""
        self._declared[name] = value_type

    def check(self, spec: StateSpec) -> None:
        """Raises RestoreError when the restored rows cannot be read as what is asked for."""
        saved = self._restored.get(spec.name)
        changes = [] if saved is None else state_changes(saved, self._entry(spec))
        if changes:
            raise RestoreError(
                f"state {spec.name!r} {self._place} cannot be taken over:\n  "
                + "\n  ".join(changes[:5])
                + "\nput it back as it was, or use another name for the new state"
            )

    def check_keys(self, keys: Sequence[Any]) -> None:
        """Raises RestoreError when the first keys cannot meet those of the restored state (EV-3).

        They would find nothing, and nobody would be told.
        """
        new = key_types(keys) - {"None"}
        if not new:
            return
        self.has_unmet_keys = False
        if not may_meet(self._restored_keys, new):
            sample = repr(next(key for key in keys if key is not None))[:80]
            raise RestoreError(
                f"keys have another type than those of the restored state {self._place}, which "
                f"they would never find: expected {_listed(self._restored_keys)}, got "
                f"{_listed(new)}, such as {sample}; key by what the state was keyed by, or begin "
                "without it: a new uid(...) and --allow-non-restored-state"
            )

    def check_own_taken(self, unasked: Iterable[str]) -> None:
        """Raises RestoreError when rows of the operator itself were restored and not asked for."""
        own = sorted(name for name in unasked if is_own_state(name))
        if own and self._is_strict:
            raise RestoreError(
                f"the state restored {self._place} is that of an operator of another form, and "
                f"would be lost: nothing asks for {', '.join(map(repr, own))}. Keep the operator "
                "(its window assigner, above all) as it was, or give the new one a new uid(...) "
                "and pass --allow-non-restored-state. Windows of agg(...) keep slices where they "
                "overlap, without allowed lateness and first, last, collect, top, and each its "
                "own contents elsewhere: end them in the version that began them, with "
                "`stop --drain`, before they change from one to the other"
            )

    def unasked(self, asked: Container[str]) -> list[str]:
        """The user's states that came from a savepoint and that nobody has asked for yet (EV-5)."""
        if not self._is_strict:
            return []
        names = sorted(self._restored)
        return [name for name in names if name not in asked and not is_own_state(name)]

    def note_layer(self, spec: StateSpec, layer: dict[Any, Any]) -> None:
        """Notes the keys of what is being written."""
        self._seen.note_keys(layer, spec.layout)

    def note_rows(self, spec: StateSpec, rows: pa.RecordBatch) -> None:
        """Notes the classes in rows; a codec of the user's keeps its own to itself."""
        codec = getattr(spec.codec, "inner", spec.codec)
        if spec.layout is not Layout.TIMER and codec is DEFAULT_CODEC:
            self._seen.note_values(spec.name, rows)

    def entries(self, specs: Iterable[StateSpec]) -> list[StateEntry]:
        """What a manifest notes: the states asked for, and those carried along (EV-5)."""
        asked = {spec.name: self._entry(spec) for spec in specs}
        return [*asked.values(), *(e for name, e in self._restored.items() if name not in asked)]

    def key_types(self) -> list[str]:
        """The types of all keys that have, or had, state."""
        return sorted(self._restored_keys | self._seen.keys)

    def _entry(self, spec: StateSpec) -> StateEntry:
        saved = self._restored.get(spec.name)
        tags = self._seen.tags.get(spec.name, set())
        noted, classes = self._classes.get(spec.name, (-1, []))
        if noted != len(tags):  # annotations are slow to resolve, and tags only grow
            classes = class_schemas(tags, () if saved is None else saved.classes)
            self._classes[spec.name] = len(tags), classes
        declared = self._declared.get(spec.name, "")
        return StateEntry(spec.name, spec.kind, codec_name(spec.codec), declared, classes)


def _listed(types: Iterable[str]) -> str:
    return " or ".join(sorted(types))
