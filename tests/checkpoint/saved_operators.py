"""Entries of a manifest and operators of a plan, for the tests of restoring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamlet.checkpoint.manifest import (
    FileEntry,
    Manifest,
    OperatorEntry,
    ScopedFile,
    StateEntry,
)
from streamlet.checkpoint.restore import RestoringOperator

HERE = Path("chk-3")


def entry(
    uid: str,
    *,
    rows: int = 5,
    items: int = 0,
    keyed: bool = True,
    ambiguous: bool = False,
    kind: str = "process",
    states: Sequence[StateEntry] = (StateEntry("total", "value"),),
) -> OperatorEntry:
    """An operator with parallelism 2 and max parallelism 128, `rows` of keyed state per subtask."""
    files = [
        [ScopedFile(FileEntry(f"../state/{uid}-{i}.parquet", 1, "", rows, 3), i * 64, i * 64 + 63)]
        for i in range(2)
    ]
    return OperatorEntry(
        uid,
        uid.title(),
        kind,
        2,
        128,
        True,
        ambiguous,
        states=list(states),
        subtasks=files if keyed else [],
        item_count=items,
        key_types=["int"],
    )


def operator(
    uid: str,
    parallelism: int = 2,
    max_parallelism: int = 128,
    *,
    explicit: bool = False,
    ambiguous: bool = False,
    kind: str = "process",
    stateful: bool = True,
) -> RestoringOperator:
    """An operator of the plan that is restored into."""
    return RestoringOperator(
        uid, uid.title(), kind, parallelism, max_parallelism, explicit, ambiguous, stateful
    )


def manifest_of(saved: Sequence[OperatorEntry]) -> Manifest:
    """A checkpoint with these operators, of a graph with the fingerprint `same`."""
    state = FileEntry("operator-state.parquet", 0, "", 0, 3)
    return Manifest(3, "checkpoint", "", "", "job", [], "same", 0, list(saved), state)
