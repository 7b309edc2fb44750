"""Which sessions of a key an element joins, and what becomes of their bounds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

_START: Final = itemgetter(0)
_END: Final = itemgetter(1)


class Merge(NamedTuple):
    """`sessions[first:stop]` become the one session [start, end); first == stop: it is new."""

    first: int
    stop: int
    start: int
    end: int


def merge_session(sessions: Sequence[Sequence[Any]], start: int, end: int) -> Merge:
    """Where [start, end) goes among a key's sessions; sessions that touch are one (WN-10).

    `sessions` begin with their bounds [start, end), ascending, no two of them touching. Replacing
    `sessions[first:stop]` by the merged bounds keeps them so, and in whatever order elements come
    the sessions are the same in the end.

    >>> merge_session([(0, 10), (20, 30)], 10, 20)
    Merge(first=0, stop=2, start=0, end=30)
    """
    first = bisect_left(sessions, start, key=_END)
    stop = bisect_right(sessions, end, key=_START)
    if first == stop:
        return Merge(first, stop, start, end)
    return Merge(first, stop, min(start, sessions[first][0]), max(end, sessions[stop - 1][1]))
