"""What the new tasks are given of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlet.checkpoint.manifest import OperatorEntry
from streamlet.checkpoint.operator_state import flatten, spread
from streamlet.checkpoint.restore import (
    RestoringOperator,
    restored_max_parallelism,
    shares_of,
)
from tests.checkpoint.saved_operators import HERE, entry, operator


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
    assert [Path(scoped.file.path).stem for scoped in share.files] == files


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
