"""Durations and sizes as people write them: "1h30m", "500ms", "128mb"."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final, TypeAlias

from streamlet.errors import ConfigError

Duration: TypeAlias = str | int | timedelta
"""`"10s"`, `"1h30m"`, `"-5m"`, a timedelta, or int milliseconds."""

_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNIT_BYTES: Final = {"b": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_DURATION_PART: Final = re.compile(r"(\d+)\s*(ms|min|s|m|h|d)\s*")
_SIZE: Final = re.compile(r"(\d+)\s*([kmgt]?b)?")


def to_ms(duration: Duration) -> int:
    """The duration in whole milliseconds; raises ConfigError for what is no duration.

    >>> to_ms("1h30m"), to_ms("-5m"), to_ms(250)
    (5400000, -300000, 250)
    """
    if isinstance(duration, timedelta):
        return round(duration / timedelta(milliseconds=1))
    if isinstance(duration, int) and not isinstance(duration, bool):
        return duration
    if isinstance(duration, str):
        text = duration.strip().lower()
        sign, digits = (-1, text[1:].lstrip()) if text.startswith("-") else (1, text)
        if digits and not _DURATION_PART.sub("", digits):
            return sign * sum(int(n) * _UNIT_MS[unit] for n, unit in _DURATION_PART.findall(digits))
    raise ConfigError(
        f"{duration!r} is not a duration; write it like '10s', '500ms' or '1h30m', "
        "as a timedelta, or as int milliseconds"
    )


def to_positive_ms(duration: Duration, what: str) -> int:
    """The duration in milliseconds, which must be > 0; `what` names it in the error."""
    milliseconds = to_ms(duration)
    if milliseconds <= 0:
        raise ConfigError(f"{what} must be longer than zero, got {duration!r}")
    return milliseconds


def to_bytes(size: str | int) -> int:
    """The size in bytes; raises ConfigError for what is no size.

    >>> to_bytes("128mb"), to_bytes(512)
    (134217728, 512)
    """
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return size
    if isinstance(size, str) and (match := _SIZE.fullmatch(size.strip().lower())):
        return int(match[1]) * _UNIT_BYTES[match[2] or "b"]
    raise ConfigError(f"{size!r} is not a size; write it like '128mb' or as int bytes")
