"""Errors on one line, whatever they say."""

from __future__ import annotations

import pytest

from streamlet.errors import first_lines, one_line, with_place


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KeyError("k"), "KeyError: 'k'"),
        (MemoryError(), "MemoryError"),
        (ValueError("first\nsecond"), "ValueError: first..."),
        (ValueError("a" * 900 + "z" * 900), f"ValueError: {'a' * 200}...{'z' * 200}"),
        (Speechless(), "Speechless: <its str() raised ValueError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_is_told_on_one_short_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected


def test_error_is_told_with_the_place_in_the_pipeline() -> None:
    """A job that restarted for ever once never said which operator and which record it was."""
    error = KeyError("kwh")
    assert with_place(error) == "KeyError: 'kwh'"
    error.add_note("in operator 'watch', record {'meter': 'm1'}")
    assert with_place(error) == "KeyError: 'kwh' (in operator 'watch', record {'meter': 'm1'})"


@pytest.mark.parametrize(
    ("error", "notes", "expected"),
    [
        (KeyError("k"), ["in operator 'a'", "x", "y"], ["KeyError: 'k'", "in operator 'a'", "x"]),
        (ValueError("1\n2\n3\n4\n5"), ["6\n7\n8"], ["ValueError: 1", *"23467"]),
        (ValueError("x" * 900), [], [f"ValueError: {'x' * 188}...{'x' * 200}"]),
        (MemoryError(), [], ["MemoryError"]),
        (Speechless(), [], ["Speechless: <its str() raised ValueError>"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_few_lines_of_an_error_are_kept(
    error: Exception, notes: list[str], expected: list[str]
) -> None:
    for note in notes:
        error.add_note(note)
    assert first_lines(error).splitlines() == expected
