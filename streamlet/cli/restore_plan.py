"""What a restore would do, as a table: `restore-plan`, and `run --dry-run` with a savepoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlet.cli.tables import columns, count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlet.checkpoint.restore_plan import OperatorRestore, RestorePlan

_HEAD = ("OPERATOR", "UID", "STATE", "ROWS", "PARALLELISM", "MAX", "RESTORE")


def to_text(plan: RestorePlan) -> str:
    """The plan for a terminal: a line per operator with state, then what is in the way."""
    manifest = plan.manifest
    lines = [f"{manifest.kind} {manifest.checkpoint_id} of job {manifest.job_name!r}:"]
    lines.append(columns(_HEAD, [_cells(op) for op in plan.operators]))
    lines += [line for op in plan.operators for line in _remarks(op, plan)]
    lines.append(
        "nothing is in the way of this restore" if plan.is_fine else "this restore would be refused"
    )
    return "\n".join(lines)


def _cells(op: OperatorRestore) -> tuple[str, ...]:
    row = op.to_dict()
    return (
        op.name,
        op.uid,
        ", ".join(op.states) or "-",
        count(row["rows"]),
        _change(row["parallelism"]),
        _change(row["max_parallelism"]),
        op.fit.value if op.renamed_from is None else f"mapped from {op.renamed_from}",
    )


def _change(pair: dict[str, int | None]) -> str:
    saved, planned = pair["saved"], pair["planned"]
    if saved is None or planned is None or saved == planned:
        return str(planned or saved)
    return f"{saved} -> {planned}"


def _remarks(op: OperatorRestore, plan: RestorePlan) -> Iterator[str]:
    if op.is_lost:
        is_allowed = plan.options.allow_non_restored_state
        verb = "is dropped" if is_allowed else "would be lost"
        kind = f": it was of kind {op.saved.kind!r}" if op.planned and op.saved else ""
        yield f"- the state of {op.name!r} (uid {op.uid!r}) {verb}{kind}"
    if op.probably is not None:
        yield f"  probably renamed: --map {op.uid}={op.probably}"
    for text in op.refusals:
        yield f"- {text}"
    for text in op.doubts:
        yield f"- {text}"
