"""Runs the operators of one vertex as one: what one emits, those behind it take at once.

Operators form a tree: each has one sender, which stands before it in the list. `feed` is a
generator that stops whenever something waits in `outbox` or a budget ran out, so that the task can
send, breathe and come back; nothing else may enter the chain until it is exhausted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from streamlet.columns import to_rows
from streamlet.elements import (
    MIN_TIMESTAMP,
    ColumnBatch,
    Element,
    EndOfInput,
    RowBatch,
    SideBatch,
    StreamStatus,
    Watermark,
)
from streamlet.errors import InternalError
from streamlet.operators.operator import Operator, OperatorSnapshot, Output

FIRING_BUDGET: Final = 4_096
"""How many timers or windows fire before the task sends and breathes."""

Link: TypeAlias = tuple[str | None, int]
"""A side output's tag id (None: the main output) and the position of the operator behind it."""


@dataclass(slots=True)
class ChainedOperator:
    """One operator of a chain, its links, and what it has done so far."""

    uid: str
    operator: Operator | None
    """None for a source: the source task emits in its place."""
    links: Sequence[Link] = ()
    has_edges: bool = False
    """Whether other vertices take its output."""
    records_in: int = 0
    records_out: int = 0
    watermark_ms: int = MIN_TIMESTAMP
    out: Output = field(default_factory=Output)


class OperatorChain:
    """The operators of one subtask."""

    def __init__(self, members: Sequence[ChainedOperator]) -> None:
        self.members = members
        self.outbox: list[tuple[int, Element]] = []
        """(position of the sending operator, element) for other vertices, in order."""

    def feed(self, position: int, element: Element) -> Iterator[None]:
        """Gives the element to one operator, and all that follows from it to those behind."""
        member = self.members[position]
        operator, out = self._operator(position), member.out
        if isinstance(element, RowBatch | ColumnBatch):
            member.records_in += len(element)
            if isinstance(element, ColumnBatch) and not operator.takes_columns:
                element = to_rows(element)
            operator.process_batch(0, element, out)
        elif isinstance(element, Watermark):
            member.watermark_ms = element.timestamp_ms
            while not operator.advance_watermark(element.timestamp_ms, FIRING_BUDGET, out):
                yield from self._drain(position)
                yield
        elif isinstance(element, StreamStatus):
            operator.on_status(element.is_idle, out)
        elif isinstance(element, EndOfInput):
            operator.finish(out)
            out.elements.append(element)
        else:
            raise InternalError(f"{element!r} does not go through a chain")
        yield from self._drain(position)

    def emit(self, position: int, element: Element) -> Iterator[None]:
        """Hands on what the operator at this position emitted."""
        member = self.members[position]
        if isinstance(element, RowBatch | ColumnBatch):
            member.records_out += len(element)
        if member.has_edges:
            self.outbox.append((position, element))
            yield
        tag_id = element.tag_id if isinstance(element, SideBatch) else None
        is_control = not isinstance(element, RowBatch | ColumnBatch | SideBatch)
        content = element.batch if isinstance(element, SideBatch) else element
        for link_tag_id, receiver in member.links:
            if is_control or link_tag_id == tag_id:
                yield from self.feed(receiver, content)

    def next_processing_time(self) -> int | None:
        """When an operator next wants to be called, epoch ms."""
        times = [
            time
            for member in self.members
            if member.operator and (time := member.operator.next_processing_time()) is not None
        ]
        return min(times, default=None)

    def advance_processing_time(self, now_ms: int) -> Iterator[None]:
        """Fires what is due by the clock."""
        for position, member in enumerate(self.members):
            operator = member.operator
            if operator is None or (time := operator.next_processing_time()) is None:
                continue
            if time > now_ms:
                continue
            while not operator.advance_processing_time(now_ms, FIRING_BUDGET, member.out):
                yield from self._drain(position)
                yield
            yield from self._drain(position)

    def prepare_barrier(self, checkpoint_id: int) -> Iterator[None]:
        """Lets operators emit what must go before the barrier, head to tail (5.3)."""
        for position, member in enumerate(self.members):
            if member.operator is not None:
                member.operator.prepare_barrier(checkpoint_id, member.out)
                yield from self._drain(position)

    def snapshot(self, checkpoint_id: int) -> dict[str, OperatorSnapshot]:
        """Freezes every operator, tail to head, by uid."""
        return {
            member.uid: member.operator.snapshot(checkpoint_id)
            for member in reversed(self.members)
            if member.operator is not None
        }

    def operators(self) -> Iterator[Operator]:
        """All operators, tail to head: the order of `open` and of notifications (CP-21)."""
        for member in reversed(self.members):
            if member.operator is not None:
                yield member.operator

    def _operator(self, position: int) -> Operator:
        operator = self.members[position].operator
        if operator is None:
            raise InternalError("a source takes no input")
        return operator

    def _drain(self, position: int) -> Iterator[None]:
        for element in self.members[position].out.take():
            yield from self.emit(position, element)
