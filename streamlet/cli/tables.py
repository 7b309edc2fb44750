"""Numbers, times and columns as people read them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns under a head, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )
    return "\n".join(lines)


def as_json(value: Any) -> str:
    """JSON for programs: indented, keys in their order, paths and the like as text."""
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)


def count(number: int | None) -> str:
    """A number with thousands apart; "-" for none."""
    return "-" if number is None else f"{number:,}"


def duration(milliseconds: float | None) -> str:
    """Milliseconds with at most two units; "-" for none.

    >>> duration(850), duration(4_200), duration(83_000), duration(7_500_000)
    ('850ms', '4.2s', '1m 23s', '2h 5m')
    """
    if milliseconds is None:
        return "-"
    if milliseconds < 0:
        return f"-{duration(-milliseconds)}"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f}ms"
    seconds = milliseconds / 1_000
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour}h"
    return f"{hours}h {minute}m" if hours else f"{minute}m {second}s"


def size(size_bytes: int | None) -> str:
    """Bytes in the unit that keeps the number short; "-" for none.

    >>> size(512), size(5_300_000)
    ('512 B', '5.1 MB')
    """
    if size_bytes is None:
        return "-"
    amount = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1_024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1_024
    return f"{amount:.1f} TB"


def moment(epoch_ms: int | None) -> str:
    """A time in UTC to the second; "-" for none."""
    if epoch_ms is None:
        return "-"
    try:
        time = datetime.fromtimestamp(epoch_ms // 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(epoch_ms)
    return f"{time:%Y-%m-%d %H:%M:%S}Z"
