"""Two outputs are told apart as multisets, in few words."""

from __future__ import annotations

from typing import Any

import pytest

from streamlet.testing.differences import difference


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ([1, 2, 2], [2, 1, 2], None),
        ([{"a": 1, "b": [{"c": 1, "d": 2}]}], [{"b": [{"d": 2, "c": 1}], "a": 1}], None),
        ([1], [1, 1], "1 record is too many: 1"),
        ([], [5, 6], "2 records are too many: 5, 6"),
        ([3], [], "1 record is missing: 3"),
        ([4, 3, 2, 1], [0], "4 records are missing: 1, 2, 3, ...; 1 is too many: 0"),
        (["x" * 200], [], "1 record is missing: '" + "x" * 76 + "..."),
        ([1], [True], "1 record is missing: 1; 1 is too many: True"),
    ],
)
def test_what_is_missing_and_what_is_too_many(
    expected: list[Any], got: list[Any], said: str | None
) -> None:
    assert difference(expected, got) == said
