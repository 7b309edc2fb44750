"""One subtask of an operator chain: a mailbox, a chain, its outputs, and its part of checkpoints.

A task is one coroutine. Records, timers, barriers and messages go through it one at a time, so user
code never needs a lock (CP-20). It awaits only while it sends, and between two slices of work.

    OPENING --> RUNNING --(input ended)--> ENDED --(last barrier)--> STOPPED --> CLOSED
                   |                                                    ^
                   +------------------(last barrier of a stop)----------+

A stopped task emits nothing: what came behind the last barrier would be in no checkpoint, and could
wait for ever at the channel of a task that is closed already.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from streamlet.checkpoint.disk import Disk
from streamlet.checkpoint.pending import TaskId
from streamlet.clock import Clock, monotonic_ms
from streamlet.elements import Barrier, Batch, CancelBarrier, ColumnBatch, Element, RowBatch
from streamlet.errors import InternalError
from streamlet.operators.chain import OperatorChain
from streamlet.operators.operator import OperatorContext, OperatorSnapshot
from streamlet.runtime.messages import (
    CheckpointAborted,
    CheckpointComplete,
    CloseAttempt,
    InputEnded,
    OperatorReport,
    TaskOpened,
    TaskReport,
    ToCoordinator,
    ToTask,
)
from streamlet.runtime.outputs import BatchSizes, Outputs
from streamlet.runtime.snapshots import SnapshotWriter

_log = logging.getLogger("streamlet.task")

SLOW_SLICE_S: Final = {RowBatch: 0.008, ColumnBatch: 0.030}
"""A turn of the loop is one slice of every busy task, and a checkpoint takes several turns. What
columns cost depends less on their number: many small batches take much longer than a large one."""
QUICK_SLICE: Final = 0.4
"""Slices grow again when one takes less than this part of a slow one."""
SMALLEST_SLICE: Final = 16


class Stage(enum.Enum):
    """Where a task stands."""

    OPENING = "opening"
    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What every task of an attempt is told."""

    clock: Clock
    disk: Disk
    batch_sizes: BatchSizes
    buffer_timeout_ms: int
    watermark_interval_ms: int
    tell: Callable[[ToCoordinator], None]
    """Where messages to the coordinator go."""


@dataclass(frozen=True, slots=True)
class TaskParts:
    """What every task is put together from."""

    task: TaskId
    chain: OperatorChain
    contexts: dict[str, OperatorContext]
    """By operator uid."""
    outputs: Outputs
    snapshots: SnapshotWriter
    settings: TaskSettings


class Task(ABC):
    """What tasks have in common; a subclass brings where elements come from."""

    def __init__(self, parts: TaskParts) -> None:
        self.task = parts.task
        self.chain = parts.chain
        self.settings = parts.settings
        self._contexts = parts.contexts
        self._outputs = parts.outputs
        self._snapshots = parts.snapshots
        self._tell = parts.settings.tell
        self._mailbox: deque[ToTask] = deque()
        self._wake = asyncio.Event()
        self._stage = Stage.OPENING
        # Rows and columns differ in what a record costs. Columns may meet slow user code as well,
        # so both begin with few; four quick slices make many of it.
        rows = parts.settings.batch_sizes.rows
        self._slices: dict[type, int] = {RowBatch: rows, ColumnBatch: rows}
        self._busy_s = 0.0
        self._blocked_s = 0.0

    def post(self, message: ToTask) -> None:
        """Puts a message into the mailbox."""
        self._mailbox.append(message)
        self._wake.set()

    def wake(self) -> None:
        """Says that there may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Runs to the end of the job, or until an exception or a cancellation."""
        self._open()
        self._stage = Stage.RUNNING
        self._tell(TaskOpened(self.task))
        while self._stage is not Stage.CLOSED:
            # Cleared before looking: whatever arrives later than the look sets it again.
            self._wake.clear()
            if self._mailbox:
                await self._on_message(self._mailbox.popleft())
            else:
                # Both in turn: timers that are always due must not keep barriers from being read.
                has_fired = await self._fire_processing_time()
                if not await self._step() and not has_fired:
                    await self._sleep()
            # Others must run even when no channel was full: cancellation, signals, barriers.
            await asyncio.sleep(0)

    def close(self) -> None:
        """Closes the operators, whatever happened before; errors are logged, not raised."""
        for operator in self.chain.operators():
            try:
                operator.close()
            except BaseException as error:  # a sys.exit() there must not keep the others open
                _log.exception("closing an operator of task %s failed: %r", self.task, error)

    async def join_threads(self) -> None:
        """Waits for the threads that still work for this task."""
        await self._snapshots.finish()

    @property
    def head_uid(self) -> str:
        """The uid of the first operator of the chain."""
        return self.chain.members[0].uid

    @property
    def is_source(self) -> bool:
        """Whether the chain begins with a source."""
        return self.chain.members[0].operator is None

    def report(self) -> TaskReport:
        """The figures of this task."""
        return TaskReport(
            self.task, [self._report_of(index) for index in range(len(self.chain.members))]
        )

    @abstractmethod
    async def _step(self) -> bool:
        """Processes what is there; False: there is nothing."""

    @abstractmethod
    def _next_step_ms(self) -> int | None:
        """When to look again although nothing was announced, on the monotonic clock."""

    async def _on_message(self, message: ToTask) -> None:
        if isinstance(message, CheckpointComplete):
            self._complete(message.checkpoint_id)
        elif isinstance(message, CheckpointAborted):
            # A lost completion is repaired here (CP-31).
            if message.latest_complete:
                self._complete(message.latest_complete)
        elif isinstance(message, CloseAttempt):
            self._stage = Stage.CLOSED
        else:
            raise InternalError(f"task {self.task} does not take {message!r}")

    def _complete(self, checkpoint_id: int) -> None:
        for operator in self.chain.operators():
            operator.on_checkpoint_complete(checkpoint_id)

    def _open(self) -> None:
        for member in reversed(self.chain.members):
            if member.operator is not None:
                member.operator.open(self._contexts[member.uid])

    async def _feed(self, element: Element) -> None:
        """Gives an element to the head of the chain, batches in slices."""
        if not isinstance(element, RowBatch | ColumnBatch):
            await self._run_chain(self.chain.feed(0, element))
            return
        await self._in_slices(element, lambda part: self.chain.feed(0, part))

    async def _in_slices(self, batch: Batch, work: Callable[[Batch], Iterator[None]]) -> None:
        """Works through a batch so that user code that is slow per record holds nobody up."""
        kind, longest, start = type(batch), self.settings.batch_sizes.of(batch), 0
        while start < len(batch):
            part = batch.slice(start, start + self._slices[kind])
            start += len(part)
            busy_s = await self._run_chain(work(part))
            if busy_s > SLOW_SLICE_S[kind]:
                self._slices[kind] = max(SMALLEST_SLICE, len(part) // 2)
            elif busy_s < QUICK_SLICE * SLOW_SLICE_S[kind]:
                self._slices[kind] = min(longest, self._slices[kind] * 2)
            if start < len(batch):
                await asyncio.sleep(0)

    async def _run_chain(self, work: Iterator[None]) -> float:
        """Exhausts the generator, sending in between; gives the seconds spent computing."""
        clock, outbox, outputs = self.settings.clock, self.chain.outbox, self._outputs
        busy_s, started_s = 0.0, clock.monotonic_s()
        for _ in work:
            stopped_s = clock.monotonic_s()
            busy_s += stopped_s - started_s
            for position, element in outbox:
                await outputs.send(position, element)
            outbox.clear()
            await asyncio.sleep(0)
            started_s = clock.monotonic_s()
            self._blocked_s += started_s - stopped_s
        busy_s += clock.monotonic_s() - started_s
        self._busy_s += busy_s
        await self._snapshots.between_batches()
        return busy_s

    async def _fire_processing_time(self) -> bool:
        """Fires timers that are due by the clock; none fire after the end or the stop (TM-13)."""
        if self._stage is not Stage.RUNNING:
            return False
        due_ms = self.chain.next_processing_time()
        now_ms = self.settings.clock.now_ms()
        if due_ms is None or due_ms >= now_ms:  # TM-9: a timer at t fires when the clock is past t
            return False
        await self._run_chain(self.chain.advance_processing_time(now_ms - 1))
        return True

    async def _sleep(self) -> None:
        """Waits until something arrives or is due."""
        clock, delays_ms = self.settings.clock, []
        if (step_ms := self._next_step_ms()) is not None:
            delays_ms.append(step_ms - monotonic_ms(clock))
        due_ms = self.chain.next_processing_time()
        if self._stage is Stage.RUNNING and due_ms is not None:
            delays_ms.append(due_ms + 1 - clock.now_ms())
        if not delays_ms:
            await self._wake.wait()
            return
        delay_s = max(0, min(delays_ms)) / 1_000
        alarm = asyncio.get_running_loop().call_later(delay_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    def _end(self) -> None:
        """The whole input was processed and its results are sent; barriers still come."""
        self._stage = Stage.ENDED
        self._tell(InputEnded(self.task))

    async def _checkpoint(self, barrier: Barrier) -> None:
        """The order is load-bearing (5.3): prepare, barrier downstream, freeze, then write.

        Nothing runs between the barrier and the freeze but sends of the barrier itself, and no
        record is processed meanwhile, as this coroutine is the only one that feeds the chain.
        """
        await self._run_chain(self.chain.prepare_barrier(barrier.checkpoint_id))
        await self._outputs.send_to_all(barrier)
        self._snapshots.start(barrier, self._snapshot_operators(barrier.checkpoint_id))
        if barrier.is_last:
            self._stage = Stage.STOPPED

    def _snapshot_operators(self, checkpoint_id: int) -> dict[str, OperatorSnapshot]:
        return self.chain.snapshot(checkpoint_id)

    async def _cancel_barrier(self, checkpoint_id: int) -> None:
        await self._outputs.send_to_all(CancelBarrier(checkpoint_id))

    def _report_of(self, position: int) -> OperatorReport:
        member = self.chain.members[position]
        context = self._contexts.get(member.uid)
        return OperatorReport(
            uid=member.uid,
            records_in=member.records_in,
            records_out=member.records_out,
            watermark_ms=member.watermark_ms,
            busy_s=self._busy_s,
            metrics={} if context is None else context.metrics.read(),
        )
