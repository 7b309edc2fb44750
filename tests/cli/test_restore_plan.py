"""The restore plan as people read it."""

from __future__ import annotations

from pathlib import Path

from streamlet.checkpoint.manifest import (
    FileEntry,
    Manifest,
    OperatorEntry,
    ScopedFile,
    StateEntry,
)
from streamlet.checkpoint.restore import RestoreOptions, RestoringOperator
from streamlet.checkpoint.restore_plan import plan_restore
from streamlet.cli.restore_plan import to_text

STATES = [StateEntry("total", "value"), StateEntry("_event_time_timers", "timer")]


def saved(uid: str, name: str, states: list[StateEntry], items: int = 0) -> OperatorEntry:
    file = ScopedFile(FileEntry("x.parquet", 1, "", 1_200, 3), 0, 127)
    return OperatorEntry(
        uid, name, "process", 1, 128, True, False, states, [[file]] if states else [], items
    )


def planned(uid: str, name: str, parallelism: int = 1) -> RestoringOperator:
    return RestoringOperator(uid, name, "process", parallelism, 128, False, False)


def text_of(*planned: RestoringOperator, options: RestoreOptions | None = None) -> str:
    entries = [saved("src", "clicks", [], 2), saved("sum", "totals", STATES)]
    state = FileEntry("operator-state.parquet", 0, "", 0, 3)
    manifest = Manifest(7, "savepoint", "", "", "shop", [], "", 0, entries, state)
    plan = plan_restore(manifest, Path("sp"), planned, "", options or RestoreOptions())
    return to_text(plan)


def test_each_operator_has_a_line() -> None:
    assert text_of(planned("src", "clicks"), planned("sum", "totals", 3)) == (
        "savepoint 7 of job 'shop':\n"
        "OPERATOR  UID  STATE             ROWS   PARALLELISM  MAX  RESTORE\n"
        "clicks    src  (operator state)  2      1            128  matched\n"
        "totals    sum  total, (timer)    1,200  1 -> 3       128  matched\n"
        "nothing is in the way of this restore"
    )


def test_what_would_be_lost_is_said_with_the_way_out() -> None:
    lines = text_of(planned("src", "clicks"), planned("sums", "totals")).splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["matched", "new", "orphaned"]
    assert lines[5:] == [
        "- the state of 'totals' (uid 'sum') would be lost",
        "  probably renamed: --map sum=sums",
        "this restore would be refused",
    ]


def test_loss_that_is_allowed_is_said_too() -> None:
    text = text_of(planned("src", "clicks"), options=RestoreOptions(True))
    assert "the state of 'totals' (uid 'sum') is dropped" in text
    assert text.endswith("nothing is in the way of this restore")


def test_mapped_operator_says_where_its_state_comes_from() -> None:
    options = RestoreOptions(uid_map={"sum": "sums"})
    text = text_of(planned("src", "clicks"), planned("sums", "totals"), options=options)
    assert "mapped from sum" in text
