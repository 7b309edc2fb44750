"""Up to which watermark the windows of each key group have fired; it outlives a restore.

A slice is kept until the last of its windows has fired, and watermarks are not restored (WM-54): a
restored slice alone does not show which of its windows have fired. So every subtask puts its
watermark into its operator state, for the key groups it owns at the checkpoint:

    subtask 0 of 2, at 700: (0, 64, 700)      restored by 1 of 3:  groups 43-63 at 700
    subtask 1 of 2, at 500: (64, 128, 500)                         groups 64-85 at 500

At a checkpoint two subtasks may be at different watermarks: a watermark is the minimum over inputs
that are not idle, and each subtask hears of an idle one at a time of its own. So this is kept per
key group and not as one number. What a subtask restored, it writes again until its own watermark
is past it: it may fail again before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, TypeAlias

from streamlet.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from streamlet.operators.operator import OperatorContext
from streamlet.state.keys import key_group, key_group_range
from streamlet.state.operator_lists import UNION, ListSnapshot

_NAME: Final = "_fired"

Range: TypeAlias = tuple[int, int, int]
"""Key groups [first, stop), and the time up to which they have fired, epoch ms."""


class FiredUntil:
    """What is known of the time before the last restore, by key group."""

    def __init__(self, ctx: OperatorContext) -> None:
        self._max_parallelism = ctx.max_parallelism
        self._subtask = ctx.subtask_index
        groups = key_group_range(ctx.subtask_index, ctx.parallelism, ctx.max_parallelism)
        self._by_group = dict.fromkeys(groups, MIN_TIMESTAMP)
        for first, stop, fired_ms in _restored(ctx):
            for group in range(max(first, groups.start), min(stop, groups.stop)):
                self._by_group[group] = max(self._by_group[group], fired_ms)
        self.latest_ms = max(self._by_group.values(), default=MIN_TIMESTAMP)
        """No key has fired beyond this, as far as the restored state goes."""
        self.earliest_ms = min(self._by_group.values(), default=MIN_TIMESTAMP)
        """Every key has fired up to this."""

    def of(self, key: Any) -> int:
        """Windows whose last millisecond is not later have fired for the key."""
        return self._by_group[key_group(key, self._max_parallelism)]

    def snapshot(self, watermark_ms: int) -> list[Any]:
        """Operator state at this watermark."""
        # At the end of event time all have fired and no slice is left that could fire again. Who
        # goes on from there may bring records of any time, as for other windows.
        is_over = watermark_ms == MAX_TIMESTAMP
        ranges = [] if is_over else list(self._ranges(watermark_ms))
        return [ListSnapshot(_NAME, UNION, self._subtask, ranges)]

    def _ranges(self, watermark_ms: int) -> Iterator[Range]:
        items = self._by_group.items()
        for fired_ms, same in groupby(items, lambda item: max(item[1], watermark_ms)):
            groups = [group for group, _ in same]
            if fired_ms > MIN_TIMESTAMP:
                yield groups[0], groups[-1] + 1, fired_ms


def _restored(ctx: OperatorContext) -> Iterator[Range]:
    for part in ctx.restored:
        if isinstance(part, ListSnapshot) and part.name == _NAME:
            yield from part.items
