"""Says how two outputs differ whose order does not count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

SHOWN: Final = 3
SHOWN_CHARACTERS: Final = 80


def difference(expected: Iterable[Any], got: Iterable[Any]) -> str | None:
    """Which records are missing and which are too many; None: the same records are there.

    1, 1.0 and True are three different records; the order of a dict's keys does not count.

    >>> difference(["a", "b", "b"], ["b", "a", "c"])
    "1 record is missing: 'b'; 1 is too many: 'c'"
    >>> difference([{"a": 1, "b": 2}], [{"b": 2, "a": 1}])
    """
    before, after = counted(expected), counted(got)
    return described(before - after, after - before)


def counted(records: Iterable[Any]) -> Counter[str]:
    """How often each record is there, by a text that is equal for equal records."""
    return Counter(map(_written, records))


def described(missing: Counter[str], surplus: Counter[str]) -> str | None:
    """What to say of records that are missing and of others that are too many; None: of none."""
    parts = []
    if missing:
        parts.append(f"{_number(missing.total(), 'record')} missing: {_some(missing)}")
    if surplus:
        word = "" if missing else "record"
        parts.append(f"{_number(surplus.total(), word)} too many: {_some(surplus)}")
    return "; ".join(parts) or None


def _number(count: int, word: str) -> str:
    """The subject of a sentence, and its verb."""
    if not word:
        return f"{count} {'is' if count == 1 else 'are'}"
    return f"1 {word} is" if count == 1 else f"{count} {word}s are"


def _some(records: Counter[str]) -> str:
    texts = sorted(records.elements())
    more = ", ..." if len(texts) > SHOWN else ""
    return ", ".join(map(_shortened, texts[:SHOWN])) + more


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def _written(record: Any) -> str:
    """As `repr`, but equal for equal dicts."""
    if type(record) is dict:
        entries = sorted(f"{key!r}: {_written(value)}" for key, value in record.items())
        return "{" + ", ".join(entries) + "}"
    if type(record) is list:
        return "[" + ", ".join(map(_written, record)) + "]"
    return repr(record)
