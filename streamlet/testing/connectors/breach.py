"""What is said of a connector that does not keep a rule, and how records are compared."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from streamlet.errors import StateTypeError
from streamlet.state.codec import decode, encode
from streamlet.testing.differences import counted, described, difference

_OPEN_FILES: Final = Path("/dev/fd")


class ContractBroken(AssertionError):
    """A source or sink does not keep a rule; the text says which, and what happened."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule
        """Its number in the list of rules, like "SNK-3"."""


def check_same(rule: str, what: str, got: Iterable[Any], expected: Iterable[Any]) -> None:
    """Compares as multisets: 1, 1.0 and True are three different records."""
    if differs := difference(expected, got):
        raise ContractBroken(rule, f"{what}: {differs}")


def check_at_least(
    rule: str, what: str, got: Iterable[Any], expected: Iterable[Any], possible: Iterable[Any]
) -> None:
    """Nothing expected is missing, and nothing is there that was never written."""
    given = counted(got)
    invented = Counter(given.keys() - counted(possible).keys())
    if differs := described(counted(expected) - given, invented):
        raise ContractBroken(rule, f"{what}: {differs}")


def kept(rule: str, what: str, value: Any) -> Any:
    """The value as a checkpoint gives it back; the rule is broken if that is another one."""
    try:
        again = decode(encode(value))
    except StateTypeError as error:
        raise ContractBroken(rule, f"{what} is no value that state can keep: {error}") from error
    if repr(again) != repr(value):
        raise ContractBroken(rule, f"{what} was {value!r}, and a checkpoint makes it {again!r}")
    return again


def count_open_files() -> int | None:
    """How many files and sockets this process has open; None: the system does not say."""
    return len(os.listdir(_OPEN_FILES)) if _OPEN_FILES.is_dir() else None


def check_given_back(rule: str, what: str, before: int | None) -> None:
    """Compares with what `count_open_files` gave before."""
    now = count_open_files()
    if now is not None and before is not None and now > before:
        raise ContractBroken(rule, f"{what} left {now - before} files or sockets open")
