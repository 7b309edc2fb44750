"""Matching saved state with the operators of a plan: nothing is lost in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlet.checkpoint.manifest import (
    FileEntry,
    Manifest,
    OperatorEntry,
    ScopedFile,
    StateEntry,
)
from streamlet.checkpoint.operator_state import flatten, spread
from streamlet.checkpoint.restore import (
    RestoringOperator,
    check_restore,
    restored_max_parallelism,
    shares_of,
)
from streamlet.errors import RestoreError

HERE = Path("chk-3")


def entry(
    uid: str, *, rows: int = 5, items: int = 0, keyed: bool = True, ambiguous: bool = False
) -> OperatorEntry:
    files = [
        [ScopedFile(FileEntry(f"../state/{uid}-{i}", 1, "", rows, 3), i * 64, i * 64 + 63)]
        for i in range(2)
    ]
    return OperatorEntry(
        uid,
        uid.title(),
        "process",
        2,
        128,
        True,
        ambiguous,
        states=[StateEntry("total", "value")],
        subtasks=files if keyed else [],
        item_count=items,
    )


def operator(
    uid: str,
    parallelism: int = 2,
    max_parallelism: int = 128,
    *,
    explicit: bool = False,
    ambiguous: bool = False,
) -> RestoringOperator:
    return RestoringOperator(uid, uid.title(), parallelism, max_parallelism, explicit, ambiguous)


def check(
    saved: list[OperatorEntry],
    plan: list[RestoringOperator],
    *,
    fingerprint: str = "same",
    allow: bool = False,
) -> None:
    state = FileEntry("operator-state.parquet", 0, "", 0, 3)
    manifest = Manifest(3, "checkpoint", "", "", "job", [], "same", 0, False, saved, state)
    check_restore(manifest, HERE, plan, fingerprint, allow)


@pytest.mark.parametrize(
    ("saved", "plan"),
    [
        pytest.param([entry("a")], [operator("a"), operator("new")], id="a new operator SP-3"),
        pytest.param([entry("a", rows=0)], [], id="empty state of one that is gone SP-3"),
        pytest.param([entry("a")], [operator("a", 1)], id="scaled down"),
        pytest.param([entry("a")], [operator("a", 128)], id="scaled up to the limit"),
        pytest.param([entry("a")], [operator("a", 2, 512)], id="a derived maximum gives way KG-7"),
        pytest.param([entry("a")], [operator("a", 2, 128, explicit=True)], id="the same maximum"),
        pytest.param(
            [entry("a", keyed=False, items=1)],
            [operator("a", 200, 512, explicit=True)],
            id="state without keys knows no maximum",
        ),
        pytest.param(
            [entry("a", ambiguous=True)],
            [operator("a", ambiguous=True)],
            id="ambiguous, same graph",
        ),
    ],
)
def test_what_fits_is_taken(saved: list[OperatorEntry], plan: list[RestoringOperator]) -> None:
    check(saved, plan)


@pytest.mark.parametrize(
    ("saved", "plan", "fingerprint", "said"),
    [
        ([entry("a")], [operator("b")], "same", "uid 'a'"),
        ([entry("a", keyed=False, items=2)], [], "same", "uid 'a'"),
        ([entry("a")], [operator("a", 129)], "same", "at most 128"),
        ([entry("a")], [operator("a", 2, 256, explicit=True)], "same", "set it to 128"),
        ([entry("a", ambiguous=True)], [operator("a")], "other", "automatic uid"),
        ([entry("a")], [operator("a", ambiguous=True)], "other", "automatic uid"),
    ],
)
def test_what_does_not_fit_is_refused(
    saved: list[OperatorEntry], plan: list[RestoringOperator], fingerprint: str, said: str
) -> None:
    with pytest.raises(RestoreError, match=said):
        check(saved, plan, fingerprint=fingerprint)


def test_refusal_says_what_would_be_lost_and_what_to_do_in_fifteen_lines() -> None:
    with pytest.raises(RestoreError) as caught:
        check([entry(f"old{i}") for i in range(9)], [operator(f"new{i}") for i in range(9)])
    text = str(caught.value)
    assert len(text.splitlines()) <= 15
    for part in (str(HERE), "'Old0'", "total", "4 more", "'New0'", "--allow-non-restored-state"):
        assert part in text


def test_loss_may_be_allowed_and_allows_nothing_else() -> None:
    check([entry("a")], [], allow=True)
    with pytest.raises(RestoreError):
        check([entry("a"), entry("b")], [operator("b", 200)], allow=True)


@pytest.mark.parametrize(
    ("key_groups", "files"),
    [
        (range(128), ["a-0", "a-1"]),
        (range(64), ["a-0"]),
        (range(64, 128), ["a-1"]),
        (range(43, 86), ["a-0", "a-1"]),
        (range(63, 64), ["a-0"]),
    ],
)
def test_share_has_the_files_that_overlap_and_no_others(
    key_groups: range, files: list[str]
) -> None:
    """KG-5, KG-6."""
    share = shares_of(entry("a"), HERE, key_groups)
    assert [Path(scoped.file.path).name for scoped in share.files] == files


@pytest.mark.parametrize(
    ("saved", "planned", "expected"),
    [
        (entry("a"), operator("a", 2, 512), 128),
        (entry("a"), operator("a", 2, 512, explicit=True), 512),
        (entry("a", keyed=False), operator("a", 2, 512), 512),
    ],
)
def test_maximum_of_the_snapshot_wins_over_a_derived_one(
    saved: OperatorEntry, planned: RestoringOperator, expected: int
) -> None:
    """KG-7."""
    assert restored_max_parallelism(saved, planned) == expected


@pytest.mark.parametrize(
    ("count", "parallelism", "sizes"),
    [(0, 2, [0, 0]), (1, 3, [1, 0, 0]), (7, 3, [3, 2, 2]), (6, 3, [2, 2, 2])],
)
def test_items_are_spread_evenly_and_none_is_lost(
    count: int, parallelism: int, sizes: list[int]
) -> None:
    """OP-1."""
    shares = spread(list(range(count)), parallelism)
    assert [len(share) for share in shares] == sizes
    assert flatten(shares) == list(range(count))
