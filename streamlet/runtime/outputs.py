"""Sends what a chain emits to the tasks behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamlet.elements import Element, RowBatch, SideBatch
from streamlet.runtime.channel import Channel
from streamlet.runtime.partition import Router


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


class Outputs:
    """All outgoing edges of one task."""

    def __init__(self, edges: Sequence[OutgoingEdge], batch_size: int) -> None:
        self._edges = edges
        self._batch_size = batch_size

    async def send(self, position: int, element: Element) -> None:
        """Sends an element of the operator at `position` along its edges."""
        if isinstance(element, RowBatch):
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

    async def _send_batch(self, position: int, tag_id: str | None, batch: RowBatch) -> None:
        size = self._batch_size
        for edge in self._edges:
            if edge.operator_position != position or edge.tag_id != tag_id:
                continue
            for start in range(0, len(batch), size):
                for target, part in edge.router.route(batch.slice(start, start + size)):
                    await edge.channels[target].send(part)


async def _send_control(edge: OutgoingEdge, element: Element) -> None:
    for target in edge.targets:
        await edge.channels[target].send(element)
