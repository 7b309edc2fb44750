"""Triggers checkpoints, collects their acknowledgements and makes them count.

    requested -> PENDING --(all acks)--> manifest written -> sinks commit -> tasks are told
                    |
                    +--(declined, timed out)--> aborted, the next one takes over

One at a time: the next is triggered only after the sinks have committed the one before, so that a
manifest never has to speak of commits under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlet.checkpoint.history import RunHistory
from streamlet.checkpoint.pending import AckResult, CheckpointKind, PendingCheckpoint, TaskAck
from streamlet.checkpoint.storage import CheckpointStorage, FoundCheckpoint, discard
from streamlet.clock import Clock, monotonic_ms
from streamlet.errors import TransientError
from streamlet.plan import ExecutionPlan
from streamlet.runtime.checkpoint_writer import (
    CheckpointSettings,
    CheckpointWriter,
    Past,
    operator_items,
)
from streamlet.runtime.commits import Committer
from streamlet.runtime.enumeration import Enumeration
from streamlet.runtime.messages import (
    CheckpointAborted,
    CheckpointComplete,
    DeclineCheckpoint,
    SavepointRequest,
    ToWorker,
    TriggerCheckpoint,
)
from streamlet.sink import Span

_log = logging.getLogger("streamlet.checkpoint")


@dataclass(frozen=True, slots=True)
class CompletedCheckpoint:
    """What is known of a complete checkpoint."""

    checkpoint_id: int
    kind: CheckpointKind
    directory: Path | None
    """None: it was not written, because the job takes no checkpoints."""
    duration_ms: int
    size_bytes: int
    completed_ms: int


class Checkpoints:
    """The checkpoints of all attempts of one run."""

    def __init__(
        self,
        settings: CheckpointSettings,
        storage: CheckpointStorage,
        clock: Clock,
        committer: Committer,
        post: Callable[[ToWorker], None],
        first_id: int,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._disk = storage.disk
        self._clock = clock
        self._writer = CheckpointWriter(settings, storage.disk, clock, storage.state)
        self._committer = committer
        self._post = post
        self.next_id = first_id
        self.latest: CompletedCheckpoint | None = None
        self.stop_savepoint: FoundCheckpoint | None = None
        """The savepoint of a stop; a restart goes on from it if the sinks could not commit it."""
        self.completed_count = 0
        self.failed_count = 0
        self._failures_in_row = 0
        self._requests: deque[SavepointRequest] = deque()
        self._pending: PendingCheckpoint | None = None
        self._request: SavepointRequest | None = None
        self._due_ms: int | None = None
        self._run_ids: list[str] = []
        self._history = RunHistory(settings.run_id)

    def begin_attempt(
        self,
        plan: ExecutionPlan,
        enumeration: Enumeration,
        run_ids: Sequence[str],
        history: Sequence[Span],
    ) -> None:
        """All tasks are running: from now on checkpoints may be triggered.

        `run_ids` and `history` are what led to the restored state.
        """
        self._plan = plan
        self._enumeration = enumeration
        self._run_ids = list(dict.fromkeys([*run_ids, self._settings.run_id]))
        self._history.begin_attempt(history, self.next_id)
        self._failures_in_row = 0
        self._schedule(self._settings.interval_ms)

    def end_attempt(self, reason: str) -> None:
        """The tasks are gone, and with them whatever was pending."""
        if self._pending is not None:
            pending = self._give_up(reason)
            # Why the attempt ended is told by who ended it.
            _log.info("%s %d ended with the attempt", pending.kind.value, pending.checkpoint_id)
        while self._requests:
            refuse(self._requests.popleft(), reason)
        self._due_ms = None

    def request(self, request: SavepointRequest) -> None:
        """Queues a savepoint, or the last checkpoint before the end; they come before others."""
        self._requests.append(request)

    def request_own(self, kind: CheckpointKind) -> None:
        """As `request`, for the coordinator itself: nobody waits for the reply."""
        self.request(SavepointRequest(None, asyncio.get_running_loop().create_future(), kind))

    def refuse_clients(self, reason: str) -> None:
        """Savepoints that wait for their turn will have none."""
        waiting = [request for request in self._requests if request.kind.is_savepoint]
        for request in waiting:
            self._requests.remove(request)
            refuse(request, reason)

    def next_due_ms(self) -> int | None:
        """When to call `trigger_due` again although nothing was announced."""
        if self._pending is not None:
            elapsed_ms = (self._clock.monotonic_s() - self._pending.started_s) * 1_000
            left_ms = int(self._settings.timeout_ms - elapsed_ms)
            return monotonic_ms(self._clock) + max(0, left_ms) + 1
        return self._due_ms

    async def trigger_due(self) -> None:
        """Starts the next checkpoint if it is time, and gives up one that takes too long."""
        if self._pending is not None:
            elapsed_ms = (self._clock.monotonic_s() - self._pending.started_s) * 1_000
            if elapsed_ms > self._settings.timeout_ms:
                late = ", ".join(map(str, self._pending.missing()))
                self._fail(
                    f"it was not complete after {self._settings.timeout_ms} ms; "
                    f"not acknowledged by (vertex, subtask) {late}"
                )
            return
        if self._requests:
            self._request = request = self._requests.popleft()
            await self._trigger(request.kind, request.directory, request.is_drain)
        elif self._due_ms is not None and monotonic_ms(self._clock) >= self._due_ms:
            await self._trigger(CheckpointKind.PERIODIC, None, is_drain=False)

    async def on_ack(self, ack: TaskAck) -> CompletedCheckpoint | None:
        """A task's part has come; the completed checkpoint if it was the last part missing.

        Raises TransientError when the sinks could not commit: the job must go back to the
        checkpoint, whose manifest is durable, and commit again.
        """
        pending = self._pending
        if pending is None or pending.acknowledge(ack) is not AckResult.SUCCESS:
            return None
        if not pending.is_complete:
            return None
        items = operator_items(pending, self._plan)
        try:
            if pending.kind.is_savepoint:
                self._history.on_savepoint(pending.checkpoint_id)
                # Before it is whole: a process that dies after that leaves a savepoint which
                # anyone may restore, and sinks must have kept what it prepared.
                await asyncio.to_thread(
                    self._settings.on_savepoint, pending.checkpoint_id, pending.directory
                )
            directory, size_bytes = await asyncio.to_thread(
                self._writer.write, pending, items, self._plan, self._past(pending.checkpoint_id)
            )
        except (TransientError, OSError) as error:
            if not pending.kind.is_savepoint and self._storage.is_whole(pending.directory):
                # Only a sync failed after the rename. Were the manifest removed now, a crash could
                # bring it back, with its output rolled back: the restart goes on from it instead.
                pending.is_durable = True
                raise
            self._fail(str(error))
            return None
        # Sinks may have committed a part of it from now on: it must never be discarded.
        pending.is_durable = True
        if pending.kind is CheckpointKind.STOP_SAVEPOINT:
            self.stop_savepoint = FoundCheckpoint(pending.checkpoint_id, pending.directory)
            # Before the commit: whoever resumes after a crash in it must not go further back.
            await asyncio.to_thread(self._settings.on_stop_savepoint)
        if pending.kind.commits:
            committables = {uid: own.committables for uid, own in items.items()}
            await self._committer.commit(self._plan, committables)
            self._post(CheckpointComplete(pending.checkpoint_id))
            await asyncio.to_thread(self._retain, pending.kind)
        return self._complete(pending, directory, size_bytes)

    def _past(self, checkpoint_id: int) -> Past:
        return Past(self._run_ids, self._history.up_to(checkpoint_id))

    def on_decline(self, decline: DeclineCheckpoint) -> None:
        """A task could not write its part; raises what no later checkpoint could make up for."""
        if decline.error is not None:
            raise decline.error
        if self._pending is not None and decline.checkpoint_id == self._pending.checkpoint_id:
            self._fail(decline.reason)

    async def _trigger(self, kind: CheckpointKind, directory: Path | None, is_drain: bool) -> None:
        checkpoint_id, self.next_id = self.next_id, self.next_id + 1
        keeps_state = self._settings.keeps_state(kind)
        target = self._target(kind, directory, checkpoint_id)
        tasks = {(v.id, i) for v in self._plan.vertices for i in range(v.parallelism)}
        self._pending = PendingCheckpoint(
            checkpoint_id, kind, target, tasks, self._clock.monotonic_s()
        )
        if keeps_state:
            try:
                await asyncio.to_thread(self._disk.make_directory, target)
            except (OSError, ValueError) as error:  # ValueError: a path that none can have
                reason = f"cannot make {target}: {getattr(error, 'strerror', None) or error}"
                if kind.is_savepoint:
                    # SP-6: no source was told, so the job goes on.
                    _log.warning("%s %d failed: %s", kind.value, checkpoint_id, reason)
                    self._give_up(reason)
                else:
                    self._fail(reason)
                return
        # One step, no await between: see runtime/splits.py.
        self._pending.enumerators = self._enumeration.snapshot()
        self._post(TriggerCheckpoint(checkpoint_id, kind, target, is_drain, keeps_state))

    def _target(self, kind: CheckpointKind, directory: Path | None, checkpoint_id: int) -> Path:
        if not kind.is_savepoint:
            return self._storage.checkpoint_directory(checkpoint_id)
        if directory is None:
            directory = self._settings.savepoints / self._settings.job_name
        return directory.absolute() / f"{self._settings.run_id}-{checkpoint_id}"

    def sweep_leftovers(self, earlier_runs: Sequence[str]) -> None:
        """Before an attempt: what earlier ones wrote for checkpoints that never were. Blocks."""
        if self._settings.interval_ms is not None:
            self._sweep(lambda: self._storage.sweep(earlier_runs))

    def _retain(self, kind: CheckpointKind) -> None:
        """Drops what no retained checkpoint needs."""
        # After the final one nobody goes back to any other, least of all to one of an earlier run.
        count = 1 if kind is CheckpointKind.FINAL else self._settings.retained
        self._sweep(lambda: self._storage.retain(count, self._run_ids[:-1]))

    def _sweep(self, sweep: Callable[[], None]) -> None:
        """What cannot be dropped now is next time: it harms nobody meanwhile."""
        try:
            sweep()
        except OSError as error:
            _log.warning("old checkpoints could not be removed: %s", error)

    def _complete(
        self, pending: PendingCheckpoint, directory: Path | None, size_bytes: int
    ) -> CompletedCheckpoint:
        duration_ms = round((self._clock.monotonic_s() - pending.started_s) * 1_000)
        completed = CompletedCheckpoint(
            pending.checkpoint_id,
            pending.kind,
            directory,
            duration_ms,
            size_bytes,
            self._clock.now_ms(),
        )
        self._pending, self._failures_in_row = None, 0
        if not pending.kind.is_savepoint and directory is not None:
            self.latest = completed
            self.completed_count += 1
        if pending.kind is CheckpointKind.PERIODIC:
            interval_ms = self._settings.interval_ms or 0
            self._schedule(max(interval_ms - duration_ms, self._settings.min_pause_ms, 0))
        if self._request is not None:
            request, self._request = self._request, None
            if not request.reply.done():
                request.reply.set_result("" if directory is None else str(directory))
        _log.info(
            "%s %d complete: %d bytes in %d ms",
            pending.kind.value,
            completed.checkpoint_id,
            size_bytes,
            duration_ms,
        )
        return completed

    def _fail(self, reason: str) -> None:
        """The pending checkpoint failed; too many in a row fail the job (CP-40, CP-42).

        It is told once: here if the job goes on, or else as what ended the attempt.
        """
        pending = self._give_up(reason)
        told = f"{pending.kind.value} {pending.checkpoint_id} failed: {reason}"
        if pending.kind is CheckpointKind.SAVEPOINT:
            _log.warning("%s", told)
            return
        self.failed_count += 1
        self._failures_in_row += 1
        if pending.kind is CheckpointKind.STOP_SAVEPOINT:
            # CP-42: the sources have stopped, and windows may have fired: there is no going on.
            raise TransientError(f"the {told}")
        tolerated = self._settings.tolerable_failures
        if self._failures_in_row > tolerated:
            key = "execution.checkpointing.tolerable-failed-checkpoints"
            raise TransientError(f"{told} ({key} is {tolerated})")
        _log.warning(
            "%s; the next one makes up for it (%d in a row, tolerated are %d)",
            told,
            self._failures_in_row,
            tolerated,
        )
        if pending.kind.ends_job:
            self.request_own(pending.kind)

    def _give_up(self, reason: str) -> PendingCheckpoint:
        pending, self._pending = self._pending, None
        assert pending is not None
        latest_id = 0 if self.latest is None else self.latest.checkpoint_id
        self._post(CheckpointAborted(pending.checkpoint_id, latest_id))
        if self._request is not None:
            request, self._request = self._request, None
            whole = f"; the savepoint is whole: {pending.directory}" if pending.is_durable else ""
            refuse(request, f"the {pending.kind.value} failed: {reason}{whole}")
        self._schedule(self._settings.interval_ms)
        if not pending.is_durable:
            self._discard(pending.directory)
        return pending

    def _discard(self, directory: Path) -> None:
        try:
            discard(self._disk, directory)
        except (OSError, ValueError) as error:
            _log.warning("%s could not be removed: %s", directory, error)

    def _schedule(self, delay_ms: int | None) -> None:
        has_periodic = self._settings.interval_ms is not None and delay_ms is not None
        self._due_ms = monotonic_ms(self._clock) + (delay_ms or 0) if has_periodic else None


def refuse(request: SavepointRequest, reason: str) -> None:
    """Tells the client that there will be no savepoint."""
    if not request.reply.done():
        request.reply.set_exception(TransientError(reason))
        request.reply.exception()  # a reply that nobody waits for is no surprise to report
