"""The asynchronous part of a task's checkpoints: writing in a thread what the barrier froze."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from streamlet.checkpoint.manifest import ScopedFile
from streamlet.checkpoint.pending import OperatorAck, TaskAck, TaskId
from streamlet.checkpoint.state_files import StateFiles
from streamlet.elements import Barrier
from streamlet.errors import FatalError, TransientError, note_place, with_place
from streamlet.operators.operator import OperatorSnapshot
from streamlet.runtime.messages import DeclineCheckpoint, ToCoordinator
from streamlet.state.log import Generation, StateLog

_log = logging.getLogger("streamlet.checkpoint")

T = TypeVar("T")


BATCHES_AFTER_FAILED_SPILL: Final = 100
"""A spill that failed is tried again so many batches later: it would likely fail at once."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A generation of keyed state, and its place in the order of freezes."""

    generation: Generation
    number: int


@dataclass(frozen=True, slots=True)
class KeyedSnapshots:
    """The keyed state of a task's head, and its files."""

    uid: str
    log: StateLog
    files: StateFiles


class SnapshotWriter:
    """Writes snapshots one after the other, in the order of their barriers.

    A generation that could not be written is unfrozen: its entries are dirty again and go into the
    next checkpoint, so a declined checkpoint loses nothing. If a later generation was frozen before
    that was known, its rows alone would be a state with a hole: it is unfrozen and declined too.
    """

    def __init__(
        self,
        task: TaskId,
        keyed: KeyedSnapshots | None,
        executor: Executor,
        tell: Callable[[ToCoordinator], None],
    ) -> None:
        self._task = task
        self._keyed = keyed
        self._executor = executor
        self._tell = tell
        self._writing: asyncio.Task[None] | None = None
        self._latest_id = 0
        self._frozen = 0
        self._refused_up_to = 0
        self._has_spilled_in_vain = False
        self._batches_to_wait = 0

    def start(self, barrier: Barrier, snapshots: dict[str, OperatorSnapshot]) -> None:
        """Writes this snapshot after those that are still being written."""
        self._latest_id = barrier.checkpoint_id
        frozen = self._freeze() if barrier.keeps_state else None
        self._follow(lambda: self._snapshot(barrier, snapshots, frozen))

    async def between_batches(self) -> None:
        """Deferred work of the state log, and a spill when memory is short."""
        if self._keyed is None:
            return
        self._keyed.log.settle()
        if self._batches_to_wait:
            self._batches_to_wait -= 1
            return
        if not self._keyed.log.wants_spill():
            return
        if self._writing is not None and not self._writing.done():
            await asyncio.shield(self._writing)  # memory is bounded: the task waits for the disk
        frozen = self._freeze()
        self._follow(lambda: self._spill(frozen))

    async def finish(self) -> None:
        """Waits for what is being written; on every way out, so that no thread outlives it."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _freeze(self) -> Frozen | None:
        if self._keyed is None:
            return None
        self._frozen += 1
        return Frozen(self._keyed.log.freeze(), self._frozen)

    def _follow(self, work: Callable[[], Awaitable[None]]) -> None:
        """Starts the work when all before it is done.

        Not in the attempt's task group: a cancelled attempt must let a running thread come to its
        end before the log it reads is closed, so `finish` waits for this task instead.
        """
        previous = self._writing

        async def write() -> None:
            if previous is not None:
                await asyncio.wait([previous])
            await work()

        self._writing = asyncio.get_running_loop().create_task(write())

    async def _snapshot(
        self,
        barrier: Barrier,
        snapshots: dict[str, OperatorSnapshot],
        frozen: Frozen | None,
    ) -> None:
        checkpoint_id = barrier.checkpoint_id
        export = None if barrier.savepoint_directory is None else Path(barrier.savepoint_directory)
        try:
            files = await self._write(frozen, checkpoint_id, export)
        except Exception as error:
            self._decline(checkpoint_id, error, is_final=isinstance(error, FatalError))
            return
        try:
            for snapshot in snapshots.values():
                if snapshot.sync is not None:
                    await self._in_thread(snapshot.sync)
        except Exception as error:
            # After a failed fsync a second one may succeed although the data is gone. A later
            # checkpoint would commit that output, so the attempt ends: it is written again.
            failure = TransientError(f"output could not be made durable: {error}")
            failure.__cause__ = error
            self._decline(checkpoint_id, failure, is_final=True)
            return
        self._tell(TaskAck(self._task, checkpoint_id, self._acks(snapshots, files)))

    def _decline(self, checkpoint_id: int, error: Exception, *, is_final: bool) -> None:
        note_place(error, f"in task {self._task}")
        final = error if is_final else None
        self._tell(DeclineCheckpoint(self._task, checkpoint_id, with_place(error), final))

    async def _spill(self, frozen: Frozen | None) -> None:
        try:
            await self._write(frozen, self._latest_id + 1, None)
            self._has_spilled_in_vain = False
        except Exception as error:
            if not self._has_spilled_in_vain:  # said once: a full disk stays full for a while
                _log.warning("state of task %s stays in memory: %s", self._task, error)
            self._has_spilled_in_vain = True
            self._batches_to_wait = BATCHES_AFTER_FAILED_SPILL

    async def _write(
        self, frozen: Frozen | None, checkpoint_id: int, export: Path | None
    ) -> list[ScopedFile]:
        if self._keyed is None or frozen is None:
            return []
        keyed, generation = self._keyed, frozen.generation
        try:
            if frozen.number <= self._refused_up_to:
                raise TransientError("an earlier part of the state could not be written")
            rows = keyed.log.write(generation)
            files = await self._in_thread(lambda: keyed.files.write(checkpoint_id, rows))
        except Exception as error:
            note_place(error, keyed.log.place)
            self._refused_up_to = self._frozen
            keyed.log.unfreeze(generation)
            raise
        keyed.log.retire(generation)
        if export is None:
            return files
        return await self._in_thread(lambda: keyed.files.export(checkpoint_id, export, keyed.uid))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _acks(
        self, snapshots: dict[str, OperatorSnapshot], files: list[ScopedFile]
    ) -> dict[str, OperatorAck]:
        acks = {}
        for uid, snapshot in snapshots.items():
            keyed = self._keyed if self._keyed is not None and self._keyed.uid == uid else None
            acks[uid] = OperatorAck(
                files=[] if keyed is None else files,
                states=[] if keyed is None else keyed.log.entries(),
                key_types=[] if keyed is None else keyed.log.types.key_types(),
                operator_state=snapshot.operator_state,
                committables=snapshot.committables,
            )
        return acks
