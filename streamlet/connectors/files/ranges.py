"""Sets of checkpoint ids as ascending ranges, both ends included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Ranges: TypeAlias = list[tuple[int, int]]
"""Checkpoint ids from first to last, both included; ascending and apart."""

ByRun: TypeAlias = Mapping[str, Ranges]
"""Checkpoint ids by run id; no run without any."""


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same ids in as few ranges as can be.

    >>> joined([(4, 6), (1, 2), (3, 3)]), joined([(1, 2), (4, 6)])
    ([(1, 6)], [(1, 2), (4, 6)])
    """
    found: Ranges = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def has(ranges: Iterable[tuple[int, int]], checkpoint_id: int) -> bool:
    """Whether the id is one of them.

    >>> has([(1, 2), (4, 6)], 5), has([(1, 2), (4, 6)], 3)
    (True, False)
    """
    return any(first <= checkpoint_id <= last for first, last in ranges)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """The ids of `ranges` that `others` does not have.

    >>> without([(1, 9)], [(2, 3), (9, 12)])
    [(1, 1), (4, 8)]
    """
    left = ranges
    for first, last in others:
        cut = [[(start, min(end, first - 1)), (max(start, last + 1), end)] for start, end in left]
        left = [(start, end) for parts in cut for start, end in parts if start <= end]
    return left


def common(ranges: Ranges, others: Ranges) -> Ranges:
    """The ids that both have."""
    return without(ranges, without(ranges, others))


def united(one: ByRun, other: ByRun) -> dict[str, Ranges]:
    """The ids that either has."""
    runs = dict.fromkeys([*one, *other])
    return {run: joined([*one.get(run, ()), *other.get(run, ())]) for run in runs}


def minus(one: ByRun, other: ByRun) -> dict[str, Ranges]:
    """The ids that only the first has."""
    left = {run: without(ranges, other.get(run, [])) for run, ranges in one.items()}
    return {run: ranges for run, ranges in left.items() if ranges}
