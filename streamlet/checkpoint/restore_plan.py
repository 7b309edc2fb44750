"""Matches the state of a checkpoint with the operators of a plan, before anything is touched.

Pure. What a restore does is what the plan says; there is no second way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from streamlet.checkpoint.manifest import LIST_KINDS, Manifest, OperatorEntry
from streamlet.checkpoint.restore import (
    RestoreOptions,
    RestoringOperator,
    has_state,
    restored_max_parallelism,
    row_count,
)
from streamlet.errors import RestoreError
from streamlet.state.schemas import class_changes, is_own_state

_SHOWN: Final = 5


class Fit(Enum):
    """What becomes of an operator's state."""

    MATCHED = "matched"
    NEW = "new"
    """No state was saved for it: it starts empty."""
    ORPHANED = "orphaned"
    """No operator has its uid: its state would be lost."""
    CHANGED = "type changed"
    """The operator of that uid is of another kind: its state would be lost."""


@dataclass(frozen=True, slots=True)
class OperatorRestore:
    """One operator of the snapshot, of the plan, or of both."""

    uid: str
    name: str
    kind: str
    fit: Fit
    saved: OperatorEntry | None = None
    planned: RestoringOperator | None = None
    renamed_from: str | None = None
    """The uid it had, as --map says."""
    probably: str | None = None
    """Of an orphan: the uid of the new operator that it probably is."""
    refusals: tuple[str, ...] = ()
    """Why the restore is refused, whatever may be dropped."""
    doubts: tuple[str, ...] = ()
    """Why it is refused as soon as the operator asks for a state that it had."""

    @property
    def is_lost(self) -> bool:
        return self.fit in (Fit.ORPHANED, Fit.CHANGED)

    @property
    def states(self) -> list[str]:
        """The names of what was saved, of what the operator itself keeps by its kind."""
        if self.saved is None:
            return []
        names = [
            f"({state.kind})" if is_own_state(state.name) else state.name.removeprefix("_ttl/")
            for state in self.saved.states
        ]
        return list(dict.fromkeys(names)) + ["(operator state)"] * (self.saved.item_count > 0)

    def to_dict(self) -> dict[str, Any]:
        saved, planned = self.saved, self.planned
        return {
            "uid": self.uid,
            "name": self.name,
            "kind": self.kind,
            "fit": self.fit.value,
            "states": self.states,
            "rows": 0 if saved is None else row_count(saved) + saved.item_count,
            "key_types": [] if saved is None else saved.key_types,
            "parallelism": _pair(saved, planned, "parallelism"),
            "max_parallelism": _pair(saved, planned, "max_parallelism"),
            "renamed_from": self.renamed_from,
            "probably": self.probably,
            "refusals": [*self.refusals, *self.doubts],
        }


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do with each operator."""

    directory: Path
    manifest: Manifest
    operators: tuple[OperatorRestore, ...]
    options: RestoreOptions

    def restored(self) -> dict[str, OperatorEntry]:
        """By uid of the plan: the entries whose state is taken over."""
        return {
            op.uid: op.saved
            for op in self.operators
            if op.fit is Fit.MATCHED and op.saved is not None
        }

    @property
    def is_fine(self) -> bool:
        """Nothing is lost that may not be, and nothing is in the way of the restore."""
        lost = any(op.is_lost for op in self.operators)
        is_allowed = self.options.allow_non_restored_state
        return not (lost and not is_allowed) and not any(
            op.refusals or op.doubts for op in self.operators
        )

    def check(self) -> None:
        """Raises RestoreError if state would be lost, or if it cannot be spread as planned."""
        refusals = [text for op in self.operators for text in op.refusals]
        lost = [op for op in self.operators if op.is_lost]
        if lost and not self.options.allow_non_restored_state:
            raise RestoreError(_lost_text(self, lost))
        if refusals:
            raise RestoreError("\n".join(refusals[:_SHOWN]))

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON can say it."""
        return {
            "snapshot": str(self.directory),
            "kind": self.manifest.kind,
            "checkpoint_id": self.manifest.checkpoint_id,
            "job_name": self.manifest.job_name,
            "is_fine": self.is_fine,
            "operators": [op.to_dict() for op in self.operators],
        }


def plan_restore(
    manifest: Manifest,
    directory: Path,
    operators: Sequence[RestoringOperator],
    fingerprint: str,
    options: RestoreOptions,
) -> RestorePlan:
    """What becomes of the snapshot's state in a plan of these operators.

    Raises RestoreError only for a --map that names what is not there.
    """
    saved = {entry.uid: entry for entry in manifest.operators}
    _check_map(options.uid_map, saved, {operator.uid for operator in operators})
    renamed = {new: old for old, new in options.uid_map.items()}
    is_same_graph = manifest.fingerprint == fingerprint
    rows, taken = [], set()
    for operator in operators:
        entry = saved.get(renamed.get(operator.uid, operator.uid))
        if entry is not None and operator.uid not in renamed and entry.uid in options.uid_map:
            entry = None  # its state goes to another
        if entry is not None:
            taken.add(entry.uid)
        row = _row(operator, entry, is_same_graph, is_mapped=operator.uid in renamed)
        if row is not None:
            rows.append(row)
    orphans = [e for e in manifest.operators if e.uid not in taken and has_state(e)]
    rows += _orphan_rows(orphans, [row for row in rows if row.fit is Fit.NEW])
    return RestorePlan(directory, manifest, tuple(rows), options)


def _check_map(
    uid_map: Mapping[str, str], saved: Mapping[str, OperatorEntry], planned: set[str]
) -> None:
    for old, new in uid_map.items():
        said = f"--map {old}={new}:"
        if old not in saved:
            raise RestoreError(
                f"{said} no operator of the snapshot has the uid {old!r}; it has {_some(saved)}"
            )
        if new not in planned:
            raise RestoreError(
                f"{said} no operator of the pipeline has the uid {new!r}; it has {_some(planned)}"
            )
        if list(uid_map.values()).count(new) > 1:
            raise RestoreError(f"{said} two states cannot go to one operator")
        if new in saved and has_state(saved[new]) and new not in uid_map:
            raise RestoreError(
                f"{said} {new!r} has state of its own in the snapshot; if that is the one it was "
                "mapped to in an earlier run, leave --map out"
            )


def _row(
    operator: RestoringOperator,
    entry: OperatorEntry | None,
    is_same_graph: bool,
    *,
    is_mapped: bool,
) -> OperatorRestore | None:
    """The operator and what was saved for it; None where there is nothing to tell."""
    if entry is None or not has_state(entry):
        if not operator.is_stateful:
            return None
        fit = Fit.NEW if entry is None else Fit.MATCHED
        return OperatorRestore(operator.uid, operator.name, operator.kind, fit, entry, operator)
    is_changed = entry.kind != operator.kind
    return OperatorRestore(
        operator.uid,
        operator.name,
        operator.kind,
        Fit.CHANGED if is_changed else Fit.MATCHED,
        entry,
        operator,
        renamed_from=entry.uid if is_mapped else None,
        refusals=() if is_changed else _refusals(entry, operator, is_same_graph or is_mapped),
        doubts=() if is_changed else tuple(_changes(entry, is_list=False)),
    )


def _refusals(entry: OperatorEntry, operator: RestoringOperator, is_known: bool) -> tuple[str, ...]:
    """Why the state cannot be given to the operator; KG-7, and uids that say too little."""
    if (operator.uid_is_ambiguous or entry.uid_is_ambiguous) and not is_known:
        return (
            f"operator {operator.name!r} has an automatic uid, numbered among equal operators, "
            "and the pipeline has changed since: which state is whose cannot be known. "
            "Give the operators uid(...) before taking the savepoint",
        )
    if changes := tuple(_changes(entry, is_list=True)):
        return changes  # all of it is read at once, whatever is asked for
    if not entry.subtasks:
        return ()
    if restored_max_parallelism(entry, operator) != entry.max_parallelism:
        return (
            f"operator {operator.name!r} has max parallelism {operator.max_parallelism}, its state "
            f"was made with {entry.max_parallelism}; set it to {entry.max_parallelism}",
        )
    if operator.parallelism > entry.max_parallelism:
        return (
            f"operator {operator.name!r} has parallelism {operator.parallelism}, its state can be "
            f"spread over at most {entry.max_parallelism} subtasks (its max parallelism)",
        )
    return ()


def _changes(entry: OperatorEntry, *, is_list: bool) -> Iterable[str]:
    """Classes in keyed state, or in lists of operator state, that cannot be read any more."""
    for state in entry.states:
        if (state.kind in LIST_KINDS.values()) == is_list:
            for change in class_changes(state.classes):
                yield f"state {state.name!r} of operator {entry.name!r}: {change}"


def _orphan_rows(orphans: list[OperatorEntry], new: list[OperatorRestore]) -> list[OperatorRestore]:
    """The orphans; one that alone has the kind, or has the name, of a new operator may be it."""
    rows = []
    for entry in orphans:
        alike = [op for op in new if op.kind == entry.kind]
        named = [op for op in alike if op.name == entry.name]
        rivals = [other for other in orphans if other.kind == entry.kind]
        likely = named if len(named) == 1 else alike if len(rivals) == 1 else []
        probably = likely[0].uid if len(likely) == 1 else None
        rows.append(
            OperatorRestore(
                entry.uid, entry.name, entry.kind, Fit.ORPHANED, entry, None, probably=probably
            )
        )
    return rows


def _lost_text(plan: RestorePlan, lost: list[OperatorRestore]) -> str:
    """At most 15 lines: what would be lost, what it could belong to, what to do."""
    lines = [f"the state in {plan.directory} would be lost in part:"]
    for op in lost[:_SHOWN]:
        states = ", ".join(op.states)
        lines.append(f"  operator {op.name!r} (uid {op.uid!r}): {states}{_why(op)}")
    if len(lost) > _SHOWN:
        lines.append(f"  and {len(lost) - _SHOWN} more operators")
    guesses = [op for op in lost if op.probably is not None]
    lines += [f"probably renamed: --map {op.uid}={op.probably}" for op in guesses[:3]]
    new = [op for op in plan.operators if op.fit is Fit.NEW]
    if new and not guesses:
        names = ", ".join(f"{op.name!r} (uid {op.uid!r})" for op in new[:3])
        lines.append(f"without state here: {names}")
    lines.append(
        "give the operators their old uid(...), map them with --map OLD=NEW, or pass "
        "--allow-non-restored-state; `streamlet restore-plan` shows all of it"
    )
    return "\n".join(lines)


def _why(op: OperatorRestore) -> str:
    if op.fit is Fit.ORPHANED or op.saved is None:
        return "; no operator of this pipeline has that uid"
    return f"; it was of kind {op.saved.kind!r} and is of kind {op.kind!r} now"


def _some(uids: Iterable[str]) -> str:
    names = sorted(uids)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _pair(
    saved: OperatorEntry | None, planned: RestoringOperator | None, name: str
) -> dict[str, int | None]:
    return {"saved": getattr(saved, name, None), "planned": getattr(planned, name, None)}
