"""A plan with other sources and sinks in the place of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from streamlet.operators.sink import SinkOperator
from streamlet.plan import ExecutionPlan, PlannedOperator
from streamlet.sink import Sink
from streamlet.source import PartitionReader, Source

ReplaceSource: TypeAlias = Callable[[Source[Any]], Source[Any]]
"""What to put in the place of a source."""

ReplaceSink: TypeAlias = Callable[[PlannedOperator, Sink[Any]], Sink[Any]]
"""What to put in the place of an operator's sink."""


def rewired(plan: ExecutionPlan, source: ReplaceSource, sink: ReplaceSink) -> ExecutionPlan:
    """The plan with each source and sink replaced by what these functions make of it."""

    def replaced(operator: PlannedOperator) -> PlannedOperator:
        if operator.source is not None:
            return replace(operator, source=source(operator.source))
        if operator.sink is not None:
            other = sink(operator, operator.sink)
            return replace(operator, sink=other, factory=partial(SinkOperator, other))
        return operator

    vertices = tuple(
        replace(vertex, operators=tuple(map(replaced, vertex.operators)))
        for vertex in plan.vertices
    )
    return replace(plan, vertices=vertices)


class ReplacedSource(Source[Any]):
    """A source that stands before another one; what it reads is the other's."""

    def __init__(self, source: Source[Any]) -> None:
        self.source = source
        self.bounded = source.bounded
        self.blocking = source.blocking
        self.dead_letter_tag = source.dead_letter_tag
        self.name = source.name
        self.rows_because = source.rows_because

    def create_enumerator(self, parallelism: int) -> Any:
        return self.source.create_enumerator(parallelism)

    def open_split(self, split: str, position: Any | None) -> PartitionReader[Any]:
        return self.source.open_split(split, position)


class ReplacedReader(PartitionReader[Any]):
    """A reader that stands before another one."""

    def __init__(self, reader: PartitionReader[Any]) -> None:
        self.reader = reader

    def poll(self, max_records: int) -> Any:
        return self.reader.poll(max_records)

    def position(self) -> Any:
        return self.reader.position()

    def dead_letters(self) -> list[Any]:
        return self.reader.dead_letters()

    def close(self) -> None:
        self.reader.close()


def count_records(polled: Any) -> int:
    """How many records a poll gave: a list, a RowBatch or an Arrow batch; others hold none."""
    return len(polled) if hasattr(polled, "__len__") else 0
