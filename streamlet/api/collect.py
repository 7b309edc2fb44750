"""A sink that brings results into the program that started the job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from streamlet.sink import RestoreContext, Sink, SinkWriter, WriterContext


class CollectSink(Sink[Any]):
    """Keeps every record in memory, readable while the job runs.

    A restart takes back what the restored checkpoint does not cover, so each record is there once.
    """

    name = "collect"

    def __init__(self) -> None:
        self._collected: list[tuple[int, Any]] = []
        """Subtask and record, in the order of arrival."""
        self._covered: dict[int, dict[int, int]] = defaultdict(dict)
        """Per checkpoint and subtask, how many of the subtask's records it covers."""

    def values(self, limit: int | None = None) -> list[Any]:
        """What has arrived so far; the first `limit` of it."""
        return [value for _, value in self._collected[:limit]]

    def __len__(self) -> int:
        return len(self._collected)

    def create_writer(self, ctx: WriterContext) -> SinkWriter[Any]:
        return _CollectWriter(ctx, self._collected, self._covered)

    def recover(self, ctx: RestoreContext) -> None:
        remaining = dict(self._covered.get(ctx.checkpoint_id, {}))
        kept = []
        for subtask, value in self._collected:
            if remaining.get(subtask, 0) > 0:
                remaining[subtask] -= 1
                kept.append((subtask, value))
        self._collected[:] = kept


class _CollectWriter(SinkWriter[Any]):
    def __init__(
        self,
        ctx: WriterContext,
        collected: list[tuple[int, Any]],
        covered: dict[int, dict[int, int]],
    ) -> None:
        self._ctx = ctx
        self._collected = collected
        self._covered = covered
        self._count = sum(subtask == ctx.subtask_index for subtask, _ in collected)

    def write(self, values: Sequence[Any], timestamps: Sequence[int] | None) -> None:
        subtask = self._ctx.subtask_index
        self._collected.extend((subtask, value) for value in values)
        self._count += len(values)

    def flush(self) -> None:
        self._covered[self._ctx.checkpoint_id][self._ctx.subtask_index] = self._count
