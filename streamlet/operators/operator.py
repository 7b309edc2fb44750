"""What the runtime asks of every operator, and what it gives to each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamlet.clock import Clock
from streamlet.elements import Batch, Element, SideBatch, StreamStatus, Watermark
from streamlet.functions import Function
from streamlet.metrics import MetricGroup
from streamlet.state.log import StateLog


class Output:
    """Collects what an operator emits, in order; the chain hands it on and empties it."""

    __slots__ = ("elements",)

    def __init__(self) -> None:
        self.elements: list[Element] = []

    def emit(self, batch: Batch) -> None:
        """Records for the main output; the batch must not be changed afterwards."""
        if len(batch):
            self.elements.append(batch)

    def emit_side(self, tag_id: str, batch: Batch) -> None:
        """Records for the side output of that tag id."""
        if len(batch):
            self.elements.append(SideBatch(tag_id, batch))

    def emit_watermark(self, watermark_ms: int) -> None:
        self.elements.append(Watermark(watermark_ms))

    def emit_status(self, is_idle: bool) -> None:
        self.elements.append(StreamStatus(is_idle))

    def take(self) -> list[Element]:
        """What was emitted since the last call."""
        elements, self.elements = self.elements, []
        return elements


@dataclass(slots=True)
class OperatorContext:
    """Where one subtask of an operator runs; given to `open`."""

    uid: str
    name: str
    subtask_index: int
    parallelism: int
    max_parallelism: int
    attempt: int
    run_id: str
    clock: Clock
    metrics: MetricGroup
    next_checkpoint_id: int = 1
    keyed_state: StateLog | None = None
    """State and timers per key; None on an operator that is not keyed."""
    restored: Sequence[Any] = ()
    """This subtask's share of the operator state in the restored checkpoint."""

    def place(self) -> str:
        """How error notes name this subtask."""
        return f"in operator {self.name!r} (subtask {self.subtask_index + 1} of {self.parallelism})"


@dataclass(slots=True)
class OperatorSnapshot:
    """What one operator adds to a checkpoint beside keyed state, which the task freezes itself."""

    operator_state: list[Any] = field(default_factory=list)
    """Items that a restore may spread over other subtasks; values that state can keep."""
    committables: list[Any] = field(default_factory=list)
    """What the sink commits once the checkpoint is complete."""
    sync: Callable[[], None] | None = None
    """Work that must be done in a thread before the checkpoint is acknowledged."""


class Operator:
    """Base of all operators: passes everything on and keeps nothing.

    Called by one task, never by two at once. Watermarks and statuses arrive combined over all
    inputs. While `advance_watermark` says "not done" the runtime calls it again with the same
    watermark and lets no batch, barrier or notification in between.
    """

    takes_columns = False
    """Whether `process_batch` takes a ColumnBatch, too: any batch may be of either kind. Where it
    does not, the chain makes rows of columns before."""

    def open(self, ctx: OperatorContext) -> None:
        """Before the first element. State of a restored job is already there."""

    def process_batch(self, input_index: int, batch: Any, out: Output) -> None:
        """Takes a Batch; a RowBatch for sure unless `takes_columns`."""
        out.emit(batch)

    def advance_watermark(self, watermark_ms: int, budget: int, out: Output) -> bool:
        """Fires what is due, at most about `budget` firings a call; done: forwards, gives True."""
        out.emit_watermark(watermark_ms)
        return True

    def next_processing_time(self) -> int | None:
        """When `advance_processing_time` wants to be called, epoch ms; None: never."""
        return None

    def advance_processing_time(self, now_ms: int, budget: int, out: Output) -> bool:
        return True

    def on_status(self, is_idle: bool, out: Output) -> None:
        out.emit_status(is_idle)

    def prepare_barrier(self, checkpoint_id: int, out: Output) -> None:
        """Before the barrier goes downstream; may still emit."""

    def snapshot(self, checkpoint_id: int) -> OperatorSnapshot:
        """Freezes; must be quick. Called right after `prepare_barrier`."""
        return OperatorSnapshot()

    def on_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Everything up to this checkpoint is durable; may skip ids, may be lost."""

    def finish(self, out: Output) -> None:
        """The input has ended (MAX_TIMESTAMP was seen before); may still emit."""

    def close(self) -> None:
        """On every way out; called once, also when `open` failed."""


def own_copy(function: Any) -> Any:
    """The function a subtask works on: Function objects are copied, plain callables shared."""
    return copy.deepcopy(function) if isinstance(function, Function) else function
