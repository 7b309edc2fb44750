"""Matches the state of a checkpoint with the operators of a plan; pure, and refuses loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streamlet.checkpoint.manifest import Manifest, OperatorEntry, ScopedFile
from streamlet.errors import RestoreError


@dataclass(frozen=True, slots=True)
class RestoringOperator:
    """What the matching must know of an operator of the new plan."""

    uid: str
    name: str
    parallelism: int
    max_parallelism: int
    max_parallelism_is_explicit: bool
    uid_is_ambiguous: bool


@dataclass(frozen=True, slots=True)
class KeyedShare:
    """The files that one new subtask reads, for its key groups, in order."""

    directory: Path
    files: tuple[ScopedFile, ...]


def check_restore(
    manifest: Manifest,
    directory: Path,
    operators: Iterable[RestoringOperator],
    fingerprint: str,
    allow_non_restored_state: bool,
) -> None:
    """Raises RestoreError if state would be lost, or if it cannot be spread as planned."""
    by_uid = {operator.uid: operator for operator in operators}
    saved = {entry.uid: entry for entry in manifest.operators if _has_state(entry)}
    lost = [entry for uid, entry in saved.items() if uid not in by_uid]
    if lost and not allow_non_restored_state:
        new = [op for uid, op in by_uid.items() if uid not in saved]
        raise RestoreError(_lost_text(directory, lost, new))
    for uid, entry in saved.items():
        if uid in by_uid:
            _check_operator(entry, by_uid[uid], manifest.fingerprint == fingerprint)


def shares_of(entry: OperatorEntry, directory: Path, key_groups: range) -> KeyedShare:
    """The files with rows of these key groups, in the order in which they override each other."""
    last = key_groups.stop - 1
    files = [
        scoped
        for subtask in entry.subtasks
        for scoped in subtask
        if scoped.first_key_group <= last and scoped.last_key_group >= key_groups.start
    ]
    return KeyedShare(directory, tuple(files))


def restored_max_parallelism(entry: OperatorEntry, operator: RestoringOperator) -> int:
    """The restored value wins over a derived one (KG-7)."""
    if not entry.subtasks or operator.max_parallelism_is_explicit:
        return operator.max_parallelism
    return entry.max_parallelism


def _has_state(entry: OperatorEntry) -> bool:
    rows = sum(scoped.file.row_count for subtask in entry.subtasks for scoped in subtask)
    return rows > 0 or entry.item_count > 0


def _check_operator(entry: OperatorEntry, operator: RestoringOperator, is_same_graph: bool) -> None:
    if (operator.uid_is_ambiguous or entry.uid_is_ambiguous) and not is_same_graph:
        raise RestoreError(
            f"operator {operator.name!r} has an automatic uid, numbered among equal operators, "
            "and the pipeline has changed since: which state is whose cannot be known. "
            "Give the operators uid(...) before taking the savepoint"
        )
    if not entry.subtasks:
        return
    if operator.max_parallelism_is_explicit and operator.max_parallelism != entry.max_parallelism:
        raise RestoreError(
            f"operator {operator.name!r} has max parallelism {operator.max_parallelism}, its state "
            f"was made with {entry.max_parallelism}; set it to {entry.max_parallelism}"
        )
    if operator.parallelism > entry.max_parallelism:
        raise RestoreError(
            f"operator {operator.name!r} has parallelism {operator.parallelism}, its state can be "
            f"spread over at most {entry.max_parallelism} subtasks (its max parallelism)"
        )


def _lost_text(directory: Path, lost: list[OperatorEntry], new: list[RestoringOperator]) -> str:
    lines = [f"the state in {directory} would be lost in part:"]
    for entry in lost[:5]:
        states = ", ".join(state.name for state in entry.states) or "operator state"
        lines.append(f"  operator {entry.name!r} (uid {entry.uid!r}): {states}")
    if len(lost) > 5:
        lines.append(f"  and {len(lost) - 5} more operators")
    lines.append("no operator of this pipeline has these uids.")
    if new:
        names = ", ".join(f"{op.name!r} (uid {op.uid!r})" for op in new[:3])
        lines.append(f"without state here: {names}")
    lines.append("give the operators their old uid(...), or pass --allow-non-restored-state")
    return "\n".join(lines)
