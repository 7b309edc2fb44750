"""The coordinator's side of all sources: finding splits and handing them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streamlet.errors import FatalError, InternalError, note_place
from streamlet.plan import ExecutionPlan, PlannedOperator
from streamlet.runtime.messages import AssignSplits, NoMoreSplits, SplitsUnread, ToWorker
from streamlet.runtime.recovery import Recovery
from streamlet.runtime.splits import SplitAssignment
from streamlet.source import SplitEnumerator


@dataclass(slots=True)
class _EnumeratedSource:
    """One source of the plan."""

    uid: str
    name: str
    vertex_id: int
    enumerator: SplitEnumerator
    assignment: SplitAssignment
    has_told_unread: bool | None = None
    next_discovery_ms: int | None = 0
    """None: it was asked, and will not be again."""
    known: set[str] = field(default_factory=set)
    """Every split of this attempt, those restored included."""

    def discover(self) -> list[str]:
        """New splits; may block. Raises FatalError for one that is known already."""
        try:
            found = list(self.enumerator.discover())
        except Exception as error:
            note_place(error, f"while looking for splits of source {self.name!r}")
            raise
        for split in found:
            if split in self.known:
                raise FatalError(
                    f"discover() of source {self.name!r} gave split {split!r} again, which would "
                    "be read twice; an enumerator reports each split once, and remembers in "
                    "snapshot() which it has reported"
                )
            self.known.add(split)
        return found


class Enumeration:
    """The enumerators and assignments of all sources of an attempt."""

    def __init__(self, plan: ExecutionPlan, recovery: Recovery) -> None:
        self._sources = {
            vertex.id: _enumerated(vertex.id, vertex.parallelism, vertex.head, recovery)
            for vertex in plan.vertices
            if vertex.is_source
        }

    def discover(self, now_ms: int) -> None:
        """Asks the enumerators that are due. Blocks."""
        for source in self._sources.values():
            if source.next_discovery_ms is not None and source.next_discovery_ms <= now_ms:
                source.assignment.add([(split, None) for split in source.discover()])
                interval_ms = source.enumerator.discovery_interval_ms
                source.next_discovery_ms = None if interval_ms is None else now_ms + interval_ms

    def next_discovery_ms(self) -> int | None:
        """When `discover` is next due."""
        times = [s.next_discovery_ms for s in self._sources.values()]
        return min((t for t in times if t is not None), default=None)

    def ask(self, vertex_id: int, subtask: int) -> None:
        """A reader wants a split."""
        if vertex_id not in self._sources:
            raise InternalError(f"vertex {vertex_id} is no source")
        self._sources[vertex_id].assignment.ask(subtask)

    def hand_out(self) -> list[ToWorker]:
        """What the readers are told now, in order: splits first, then that none are left."""
        messages: list[ToWorker] = []
        for source in self._sources.values():
            for handed in source.assignment.hand_out():
                task = (source.vertex_id, handed.subtask)
                if handed.splits:
                    messages.append(AssignSplits(task, handed.splits))
                if handed.is_last:
                    messages.append(NoMoreSplits(task))
            has_unread = source.assignment.has_unread
            if has_unread != source.has_told_unread:
                source.has_told_unread = has_unread
                messages.append(SplitsUnread(source.uid, has_unread))
        return messages

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps per source uid."""
        return {
            source.uid: {
                "unread": source.assignment.unread(),
                "state": source.enumerator.snapshot(),
            }
            for source in self._sources.values()
        }


def _enumerated(
    vertex_id: int, parallelism: int, head: PlannedOperator, recovery: Recovery
) -> _EnumeratedSource:
    assert head.source is not None
    enumerator = head.source.create_enumerator(parallelism)
    if head.uid in recovery.enumerators:
        enumerator.restore(recovery.enumerators[head.uid])
    assignment = SplitAssignment(
        parallelism,
        on_demand=enumerator.on_demand,
        is_growing=enumerator.discovery_interval_ms is not None,
    )
    splits = [(name, position) for name, position in recovery.splits.get(head.uid, [])]
    assignment.add(splits)
    source = _EnumeratedSource(head.uid, head.name, vertex_id, enumerator, assignment)
    source.known.update(name for name, _ in splits)
    return source
