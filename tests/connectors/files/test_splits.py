"""Split names and even cuts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlet.connectors.files.splits import FileSplit, cut_evenly


@pytest.mark.parametrize(
    ("split", "name"),
    [
        (FileSplit("a.log"), "a.log"),
        (FileSplit("a.log", "bytes", 0, 10), "a.log#bytes=0-10"),
        (FileSplit("a.parquet", "row-groups", 2, 4), "a.parquet#row-groups=2-4"),
        (FileSplit("odd#bytes=0-10"), "odd#bytes=0-10#whole"),
        (FileSplit("odd#whole"), "odd#whole#whole"),
        (FileSplit("odd#bytes=0-10", "bytes", 5, 6), "odd#bytes=0-10#bytes=5-6"),
        (FileSplit("c#"), "c#"),
    ],
)
def test_names_are_readable_and_unambiguous(split: FileSplit, name: str) -> None:
    assert split.name == name
    assert FileSplit.parse(name) == split


@given(st.text(alphabet="a#=-0bytesrowgphl", max_size=24).map("a".__add__))
def test_any_path_survives_its_split_name(path: str) -> None:
    assert FileSplit.parse(FileSplit(path).name) == FileSplit(path)
    ranged = FileSplit(path, "bytes", 1, 2)
    assert FileSplit.parse(ranged.name) == ranged


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_ranges_cover_everything_once(total: int, parts: int) -> None:
    splits = cut_evenly("f", "bytes", total, parts)
    assert 1 <= len(splits) <= parts
    if splits[0].unit is not None:
        covered = [unit for split in splits for unit in range(split.start, split.end or 0)]
        assert covered == list(range(total))
