"""Sends what a chain emits to the tasks behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamlet.columns import to_rows
from streamlet.elements import Batch, ColumnBatch, Element, RowBatch, SideBatch
from streamlet.runtime.channel import Channel
from streamlet.runtime.partition import Router


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """The greatest number of records that travel together."""

    rows: int
    columns: int

    def of(self, batch: Batch) -> int:
        """The bound for this kind of batch."""
        return self.columns if isinstance(batch, ColumnBatch) else self.rows


@dataclass(frozen=True, slots=True)
class OutgoingEdge:
    """One edge of the plan as one sending subtask sees it."""

    operator_position: int
    tag_id: str | None
    router: Router
    channels: Sequence[Channel]
    """By receiving subtask; for a forward edge only this subtask's own is a real one."""
    targets: Sequence[int]
    """The subtasks that this sender has a channel to: they get every control element."""
    carries_columns: bool = False
    """False: columns become rows before they are routed."""


class Outputs:
    """All outgoing edges of one task."""

    def __init__(self, edges: Sequence[OutgoingEdge], sizes: BatchSizes) -> None:
        self._edges = edges
        self._sizes = sizes

    async def send(self, position: int, element: Element) -> None:
        """Sends an element of the operator at `position` along its edges."""
        if isinstance(element, RowBatch | ColumnBatch):
            await self._send_batch(position, None, element)
        elif isinstance(element, SideBatch):
            await self._send_batch(position, element.tag_id, element.batch)
        else:
            for edge in self._edges:
                if edge.operator_position == position:
                    await _send_control(edge, element)

    async def send_to_all(self, element: Element) -> None:
        """Sends a barrier or its cancellation along every edge."""
        for edge in self._edges:
            await _send_control(edge, element)

    async def _send_batch(self, position: int, tag_id: str | None, batch: Batch) -> None:
        for edge in self._edges:
            if edge.operator_position != position or edge.tag_id != tag_id:
                continue
            sent = batch if edge.carries_columns else to_rows(batch)
            size = self._sizes.of(sent)
            for start in range(0, len(sent), size):
                for target, part in edge.router.route(sent.slice(start, start + size)):
                    await edge.channels[target].send(part)


async def _send_control(edge: OutgoingEdge, element: Element) -> None:
    for target in edge.targets:
        await edge.channels[target].send(element)
