"""Runs a job: attempt after attempt, until it has finished, stopped or failed.

    CREATED -> RUNNING -----> FINISHED | SUSPENDED | CANCELED | FAILED
                |    ^
     (failure)  v    |  (restart strategy)
              RESTARTING

One coroutine handles all messages in order; what may block runs in threads while it waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from streamlet.checkpoint.pending import CheckpointKind, TaskAck, TaskId
from streamlet.checkpoint.storage import CheckpointStorage
from streamlet.clock import Clock, monotonic_ms
from streamlet.errors import InternalError, TransientError, one_line, with_place
from streamlet.runtime.attempt_start import AttemptStart
from streamlet.runtime.checkpoints import Checkpoints, refuse
from streamlet.runtime.commits import CommitFailure, Committer
from streamlet.runtime.enumeration import Enumeration
from streamlet.runtime.inbox import Inbox
from streamlet.runtime.messages import (
    AttemptEnded,
    CancelAttempt,
    CancelRequest,
    CloseAttempt,
    DeclineCheckpoint,
    Deploy,
    InputEnded,
    InterruptRequest,
    SavepointRequest,
    SplitRequest,
    TaskOpened,
    TaskReport,
    ToCoordinator,
    ToWorker,
)
from streamlet.runtime.progress import Progress, checkpoint_status
from streamlet.runtime.recovery import Recovery
from streamlet.runtime.restart import Failure, RestartStrategy
from streamlet.runtime.setup import JobSetup, JobState

_log = logging.getLogger("streamlet.job")

INTERRUPT_TIMEOUT_S = 10.0
"""How long a last checkpoint may take after Ctrl-C."""

_NOT_COMMITTED: Final = "the job is to end, and its output could not be committed yet"


class JobCoordinator:
    """Deploys, triggers checkpoints, collects acknowledgements, restarts."""

    def __init__(
        self,
        setup: JobSetup,
        checkpoints: Checkpoints,
        committer: Committer,
        storage: CheckpointStorage,
        strategy: RestartStrategy,
        clock: Clock,
    ) -> None:
        self.state = JobState.CREATED
        self.savepoint: str | None = None
        self._setup = setup
        self._checkpoints = checkpoints
        self._committer = committer
        self._storage = storage
        self._start = AttemptStart(setup, checkpoints, committer, storage)
        self._strategy = strategy
        self._disk = storage.disk
        self._clock = clock
        self._inbox = Inbox()
        self._post: Callable[[ToWorker], None] = lambda message: None
        self._plan = setup.plan
        self._attempt = 0
        self._unopened: set[TaskId] = set()
        self._reading: set[TaskId] = set()
        self._end_state: JobState | None = None
        self._is_cancelling = False
        self._is_over = False
        self._interrupt_deadline_s: float | None = None
        self.progress = Progress(monotonic_ms(clock))
        self._handlers: dict[type, Callable[[Any], Awaitable[None]]] = {
            TaskOpened: self._on_opened,
            SplitRequest: self._on_split_request,
            TaskReport: self._on_report,
            TaskAck: self._on_ack,
            DeclineCheckpoint: self._on_decline,
            InputEnded: self._on_input_ended,
            SavepointRequest: self._on_savepoint,
            InterruptRequest: self._on_interrupt,
            CancelRequest: self._on_cancel,
        }

    @property
    def has_recovered_sinks(self) -> bool:
        """Whether output was brought to a restored state, which cannot be undone."""
        return self._start.has_recovered_sinks

    def connect(self, post: Callable[[ToWorker], None]) -> None:
        """Where messages for the worker go."""
        self._post = post

    def tell(self, message: ToCoordinator) -> None:
        """Puts a message into the inbox; from tasks, clients and signals."""
        if self._is_over and isinstance(message, SavepointRequest):
            refuse(message, "the job has ended")
            return
        self._inbox.put(message)

    def status(self) -> dict[str, Any]:
        """How the job stands, for people."""
        failure = self._committer.failure
        return {
            "id": self._setup.run_id,
            "name": self._setup.name,
            "state": self.state.value,
            "attempt": self._attempt,
            "uptime_ms": monotonic_ms(self._clock) - self.progress.started_ms,
            "restarts": self.progress.restarts,
            "last_failure": self.progress.last_failure,
            "commit_failure": None if failure is None else str(failure),
            **checkpoint_status(self._checkpoints),
            "operators": self.progress.operators(self._plan, self._clock.now_ms()),
        }

    async def run(self) -> None:
        """Runs the job to its end; raises what made it fail."""
        try:
            while self._end_state is None:
                await self._after_attempt(await self._run_attempt())
            self.state = self._end_state
        finally:
            self._is_over = True
            while not self._inbox.is_empty():
                self._handle_while_closing(self._inbox.take())

    async def _after_attempt(self, error: BaseException | None) -> None:
        """Decides what follows an attempt; raises its error if that is the end of the job."""
        while not self._inbox.is_empty():
            # Whoever ended the job while it was being started is heard before it starts again.
            self._handle_while_closing(self._inbox.take())
        if self._end_state is not None:
            if error is not None:
                _log.warning("the job was ending, and an error came with it: %r", error)
            return
        if self._interrupt_deadline_s is not None:
            reason = "the tasks ended" if error is None else one_line(error)
            _log.warning("the last checkpoint failed: %s; stopping without it", reason)
            self._end_state = JobState.SUSPENDED
            return
        if error is None:
            error = InternalError("the tasks ended before the job did")
        latest = self._checkpoints.latest
        now_ms = int(self._clock.monotonic_s() * 1_000)
        failure = Failure(error, now_ms, 0 if latest is None else latest.checkpoint_id)
        delay_ms = self._strategy.next_delay_ms(failure)
        if delay_ms is None:
            self.state = JobState.FAILED
            _log.info("the job failed: %s", with_place(error), exc_info=error)
            raise error
        self.state = JobState.RESTARTING
        self.progress.on_restart(error)
        _log.warning(
            "attempt %d failed: %s; restarting in %d ms",
            self._attempt,
            with_place(error),
            delay_ms,
        )
        await self._wait_to_restart(delay_ms)

    async def _wait_to_restart(self, delay_ms: int) -> None:
        """Waits, unless somebody ends the job meanwhile."""
        until_s = self._clock.monotonic_s() + delay_ms / 1_000
        while self._end_state is None and (left_s := until_s - self._clock.monotonic_s()) > 0:
            self._handle_while_closing(await self._inbox.next(left_s))

    async def _run_attempt(self) -> BaseException | None:
        """One attempt; what made it fail, or None if the job is at an end."""
        self._attempt += 1
        self._is_cancelling = False
        self.progress.begin_attempt()
        try:
            recovery = await self._start.restore()
            self._plan = recovery.plan
            self._enumeration = Enumeration(recovery.plan, recovery)
            await asyncio.to_thread(self._enumeration.discover, monotonic_ms(self._clock))
            await asyncio.to_thread(self._disk.make_directory, self._state_directory())
        except Exception as error:
            return error
        self._run_ids, self._history = recovery.run_ids, recovery.history
        self._deploy(recovery)
        reason = "the job ended"
        try:
            failure = await self._serve()
            if failure is not None:
                reason = f"the attempt ended: {one_line(failure)}"
            return failure
        finally:
            self._checkpoints.end_attempt(reason)

    def _state_directory(self) -> Path:
        if self._setup.has_checkpoints:
            return self._storage.state
        return self._setup.work_directory / str(self._attempt) / "state"

    def _deploy(self, recovery: Recovery) -> None:
        tasks = {(v.id, i) for v in recovery.plan.vertices for i in range(v.parallelism)}
        self._unopened, self._reading = set(tasks), set(tasks)
        self._post(
            Deploy(
                plan=recovery.plan,
                run_id=self._setup.run_id,
                attempt=self._attempt,
                next_checkpoint_id=self._checkpoints.next_id,
                state_directory=self._state_directory(),
                work_directory=self._setup.work_directory / str(self._attempt),
                keyed_state=recovery.keyed_state,
                operator_state=recovery.operator_state,
            )
        )

    async def _serve(self) -> BaseException | None:
        """Handles messages until the attempt has ended."""
        failure: BaseException | None = None
        while True:
            message = await self._next_message()
            if isinstance(message, AttemptEnded):
                if message.attempt == self._attempt:
                    return failure or message.error
            elif self._is_cancelling or self._end_state is not None:
                self._handle_while_closing(message)
            else:
                try:
                    if message is not None:
                        await self._handlers[type(message)](message)
                    await self._do_due()
                except Exception as error:
                    failure = error
                    self._cancel()

    def _handle_while_closing(self, message: ToCoordinator | None) -> None:
        """The tasks are being closed: only figures and what clients want still count."""
        if isinstance(message, TaskReport):
            self.progress.take(message, monotonic_ms(self._clock))
        elif isinstance(message, SavepointRequest):
            refuse(message, "the job is ending or restarting")
        elif isinstance(message, InterruptRequest | CancelRequest) and self._end_state is None:
            is_kept = isinstance(message, InterruptRequest) and self._setup.has_checkpoints
            self._end_state = JobState.SUSPENDED if is_kept else JobState.CANCELED

    async def _do_due(self) -> None:
        """What follows from the new situation, or from the time."""
        if self._is_cancelling or self._end_state is not None:
            return
        enumeration = self._enumeration
        due_ms = enumeration.next_discovery_ms()
        if due_ms is not None and due_ms <= monotonic_ms(self._clock):
            await asyncio.to_thread(enumeration.discover, monotonic_ms(self._clock))
        for message in enumeration.hand_out():
            self._post(message)
        if not self._unopened:
            await self._checkpoints.trigger_due()
        deadline_s = self._interrupt_deadline_s
        if deadline_s is not None and self._clock.monotonic_s() > deadline_s:
            _log.warning("the last checkpoint took too long; stopping without it")
            self._end(JobState.SUSPENDED)

    async def _next_message(self) -> ToCoordinator | None:
        """The next message; None when something is due first."""
        if not self._inbox.is_empty():
            return self._inbox.take()
        now_ms = monotonic_ms(self._clock)
        times = [self._enumeration.next_discovery_ms()]
        if not self._unopened:
            times.append(self._checkpoints.next_due_ms())
        if self._interrupt_deadline_s is not None:
            left_s = self._interrupt_deadline_s - self._clock.monotonic_s()
            times.append(now_ms + int(left_s * 1_000) + 1)
        due = min((time for time in times if time is not None), default=None)
        if due is None or self._is_cancelling or self._end_state is not None:
            return await self._inbox.next()
        return await self._inbox.next(max(0, due - now_ms) / 1_000)

    async def answer_until_next_try(self, failure: CommitFailure) -> None:
        """The pause between two tries of a commit: nothing else is done, but clients are answered.

        Raises TransientError when the job is to end: whoever resumes it commits again.
        """
        reason = (
            "a savepoint comes after the output of the checkpoint before it, which could not be "
            f"committed yet: {failure}. Ask again when it is, or end the job and resume it later"
        )
        self._checkpoints.refuse_clients(reason)
        if self._interrupt_deadline_s is not None:  # this was the last checkpoint before the end
            raise TransientError(_NOT_COMMITTED)
        until_s = self._clock.monotonic_s() + failure.delay_ms / 1_000
        while (left_s := until_s - self._clock.monotonic_s()) > 0:
            message = await self._inbox.next_new(left_s)
            if isinstance(message, TaskReport):
                self._take_report(message)
            elif isinstance(message, SavepointRequest):
                refuse(message, reason)
            elif message is not None:
                self._inbox.put_off(message)
            if isinstance(message, InterruptRequest | CancelRequest):
                raise TransientError(_NOT_COMMITTED)

    async def _on_opened(self, message: TaskOpened) -> None:
        self._unopened.discard(message.task)
        if not self._unopened:
            self.state = JobState.RUNNING
            self._checkpoints.begin_attempt(
                self._plan, self._enumeration, self._run_ids, self._history
            )

    async def _on_split_request(self, message: SplitRequest) -> None:
        self._enumeration.ask(*message.task)

    async def _on_report(self, message: TaskReport) -> None:
        self._take_report(message)
        if self._setup.stop_when() and self._end_state is None:
            self._end(JobState.FINISHED)

    def _take_report(self, message: TaskReport) -> None:
        self.progress.take(message, monotonic_ms(self._clock))
        if message.task == (0, 0):
            self._setup.on_progress(self.status())

    async def _on_ack(self, message: TaskAck) -> None:
        """After the job's last checkpoint everything is committed: let the tasks end."""
        completed = await self._checkpoints.on_ack(message)
        if completed is None:
            return
        if not completed.kind.is_savepoint and completed.directory is not None:
            self._setup.on_checkpoint(completed.checkpoint_id)
        if completed.kind is CheckpointKind.STOP_SAVEPOINT:
            self.savepoint = str(completed.directory)
        if completed.kind.ends_job:
            is_stop = completed.kind is CheckpointKind.STOP_CHECKPOINT
            self._end_state = JobState.SUSPENDED if is_stop else JobState.FINISHED
            self._post(CloseAttempt())

    async def _on_decline(self, message: DeclineCheckpoint) -> None:
        self._checkpoints.on_decline(message)

    async def _on_input_ended(self, message: InputEnded) -> None:
        self._reading.discard(message.task)
        if not self._reading:
            self._checkpoints.request_own(CheckpointKind.FINAL)

    async def _on_savepoint(self, message: SavepointRequest) -> None:
        self._checkpoints.request(message)

    async def _on_interrupt(self, message: InterruptRequest) -> None:
        if not self._setup.has_checkpoints or self._unopened:
            self._end(JobState.SUSPENDED if self._setup.has_checkpoints else JobState.CANCELED)
            return
        self._interrupt_deadline_s = self._clock.monotonic_s() + INTERRUPT_TIMEOUT_S
        self._checkpoints.request_own(CheckpointKind.STOP_CHECKPOINT)

    async def _on_cancel(self, message: CancelRequest) -> None:
        self._end(JobState.CANCELED)

    def _end(self, state: JobState) -> None:
        """Ends the job now, without results that no checkpoint has committed."""
        self._end_state = state
        self._cancel()

    def _cancel(self) -> None:
        if not self._is_cancelling:
            self._is_cancelling = True
            self._post(CancelAttempt())
