"""Puts columns of Python values together to records that are dicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeAlias

RowBuilder: TypeAlias = Callable[..., list[dict[str, Any]]]


def row_builder(names: Sequence[str]) -> RowBuilder:
    """A function from as many columns as there are names to one dict per row.

    Few names are written out, which is two to three times quicker than `dict(zip(...))`.

    >>> row_builder(["user", "n"])(["u1", "u2"], [5, 7])
    [{'user': 'u1', 'n': 5}, {'user': 'u2', 'n': 7}]
    """
    a, b, c, d, e = (*names, *repeat("", 5))[:5]
    if len(names) == 1:
        return lambda column: [{a: v} for v in column]
    if len(names) == 2:
        return lambda *columns: [{a: v, b: w} for v, w in zip(*columns, strict=True)]
    if len(names) == 3:
        return lambda *columns: [{a: v, b: w, c: x} for v, w, x in zip(*columns, strict=True)]
    if len(names) == 4:
        return lambda *columns: [
            {a: v, b: w, c: x, d: y} for v, w, x, y in zip(*columns, strict=True)
        ]
    if len(names) == 5:
        return lambda *columns: [
            {a: v, b: w, c: x, d: y, e: z} for v, w, x, y, z in zip(*columns, strict=True)
        ]
    return lambda *columns: [dict(zip(names, row)) for row in zip(*columns, strict=True)]  # noqa: B905 - speed
