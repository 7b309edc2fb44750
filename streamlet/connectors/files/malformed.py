"""What happens to a record that cannot be read: fail, skip and count, or a dead letter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from streamlet.elements import OutputTag
from streamlet.errors import ConfigError, RecordError

OnError: TypeAlias = Literal["fail", "skip"] | OutputTag[Any]
"""`"fail"` stops the job, `"skip"` counts, a tag sends the text to that side output."""

_SHOWN_CHARACTERS: Final = 200


class MalformedError(ValueError):
    """A line or row that is no record; never leaves the files package."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a malformed record stands: of line, byte offset and row, what is known."""

    unit: Literal["line", "offset", "row"]
    number: int

    def __str__(self) -> str:
        return f"byte {self.number:,}" if self.unit == "offset" else f"{self.unit} {self.number:,}"


@dataclass(slots=True)
class MalformedRecords:
    """Applies `on_error` to the malformed records of one file."""

    path: str
    on_error: OnError
    skipped: int = 0
    """Records left out so far, dead letters included."""
    letters: list[dict[str, Any]] = field(default_factory=list)

    def add(self, find_place: Callable[[], Place], text: str, error: Exception) -> None:
        """Takes one malformed record; raises RecordError under `"fail"`."""
        if self.on_error == "skip":
            self.skipped += 1
            return
        place = find_place()
        if isinstance(self.on_error, OutputTag):
            self.skipped += 1
            self.letters.append(
                {"file": self.path, place.unit: place.number, "text": text, "error": str(error)}
            )
            return
        raise RecordError(
            f"{self.path}, {place}: cannot be read as a record: {error}\n"
            f"  text: {shorten(text)}\n"
            '  to go on without such records give the source on_error="skip" (they are counted)\n'
            '  or on_error=OutputTag("malformed") (they go to that side output)'
        )

    def take_letters(self) -> list[dict[str, Any]]:
        """The dead letters since this was last asked."""
        letters, self.letters = self.letters, []
        return letters


def check_on_error(on_error: object) -> None:
    """Refuses what is no way to treat malformed records."""
    if on_error not in ("fail", "skip") and not isinstance(on_error, OutputTag):
        raise ConfigError(f'on_error must be "fail", "skip" or an OutputTag, got {on_error!r}')


def shorten(text: str) -> str:
    r"""The text as it fits a line of an error message, and does nothing to a terminal.

    >>> shorten("x" * 300).endswith("... (300 characters)")
    True
    >>> print(shorten("é\x1b[2J"))
    é\x1b[2J
    """
    shown = "".join(map(_printable, text[:_SHOWN_CHARACTERS]))
    return shown if len(text) <= _SHOWN_CHARACTERS else f"{shown}... ({len(text):,} characters)"


def _printable(character: str) -> str:
    if character.isprintable() or character == "\t":
        return character
    return character.encode("unicode_escape").decode()
