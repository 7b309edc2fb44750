"""Errors on one line, whatever they say."""

from __future__ import annotations

import pytest

from streamlet.errors import one_line


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError("k"), "KeyError: 'k'"),
        (MemoryError(), "MemoryError"),
        (ValueError("first\nsecond"), "ValueError: first..."),
        (ValueError("x" * 900), f"ValueError: {'x' * 200}..."),
        (Speechless(), "Speechless: <its str() raised ValueError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_is_told_on_one_short_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected
