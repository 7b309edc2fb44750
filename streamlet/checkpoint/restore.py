"""What the tasks of a new run are given of a checkpoint, and what must be known of an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamlet.checkpoint.manifest import LIST_KINDS, OperatorEntry, ScopedFile, StateEntry


@dataclass(frozen=True, slots=True)
class RestoringOperator:
    """What the matching must know of an operator of the new plan."""

    uid: str
    name: str
    kind: str
    parallelism: int
    max_parallelism: int
    max_parallelism_is_explicit: bool
    uid_is_ambiguous: bool
    is_stateful: bool = True


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What the user says about a restore."""

    allow_non_restored_state: bool = False
    """State that no operator takes is dropped, and keys of another type are let pass."""
    uid_map: Mapping[str, str] = field(default_factory=dict)
    """Uid in the snapshot to uid in the plan, for operators whose uid has changed."""
    is_own: bool = False
    """The snapshot is one of this very run, so its keys are those of this program."""


@dataclass(frozen=True, slots=True)
class KeyedShare:
    """The files that one new subtask reads, for its key groups, in order; and their types."""

    directory: Path
    files: tuple[ScopedFile, ...]
    states: tuple[StateEntry, ...] = ()
    key_types: tuple[str, ...] = ()
    must_meet: bool = False
    """Keys that can never find the restored state are refused (EV-3)."""


def shares_of(
    entry: OperatorEntry, directory: Path, key_groups: range, *, must_meet: bool = False
) -> KeyedShare:
    """The files with rows of these key groups, in the order in which they override each other."""
    last = key_groups.stop - 1
    files = [
        scoped
        for subtask in entry.subtasks
        for scoped in subtask
        if scoped.first_key_group <= last and scoped.last_key_group >= key_groups.start
    ]
    has_rows = row_count(entry) > 0
    return KeyedShare(
        directory,
        tuple(files),
        tuple(state for state in entry.states if state.kind not in LIST_KINDS.values()),
        tuple(entry.key_types),
        must_meet and has_rows,
    )


def restored_max_parallelism(entry: OperatorEntry, operator: RestoringOperator) -> int:
    """The restored value wins over a derived one (KG-7)."""
    if not entry.subtasks or operator.max_parallelism_is_explicit:
        return operator.max_parallelism
    return entry.max_parallelism


def row_count(entry: OperatorEntry) -> int:
    """The rows of keyed state in its files; a row that a later one overrides counts too."""
    return sum(scoped.file.row_count for subtask in entry.subtasks for scoped in subtask)


def has_state(entry: OperatorEntry) -> bool:
    """Whether anything would be lost without it (SP-3)."""
    return row_count(entry) > 0 or entry.item_count > 0
