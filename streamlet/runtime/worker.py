"""Hosts the tasks of an attempt on one event loop; talks to the coordinator in messages only."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from random import Random

from streamlet.runtime.containment import contained
from streamlet.runtime.deployment import Deployed, Deployment, StateSettings
from streamlet.runtime.interpreter import tuned_interpreter
from streamlet.runtime.messages import (
    AssignSplits,
    AttemptEnded,
    CancelAttempt,
    Deploy,
    NoMoreSplits,
    SplitsUnread,
    ToTask,
    ToWorker,
    TriggerCheckpoint,
)
from streamlet.runtime.task import Task, TaskSettings

_log = logging.getLogger("streamlet.worker")

REPORT_INTERVAL_S = 0.1


class Worker:
    """Runs one attempt at a time."""

    def __init__(
        self,
        settings: TaskSettings,
        state: StateSettings,
        random: Random,
    ) -> None:
        self._settings = settings
        self._state = state
        self._random = random
        self._tell = settings.tell
        self._inbox: asyncio.Queue[ToWorker] = asyncio.Queue()
        self._running: asyncio.Task[None] | None = None
        self._building: asyncio.Future[Deployed] | None = None
        self._deployed: Deployed | None = None
        self._early: list[ToTask] = []

    def post(self, message: ToWorker) -> None:
        """Puts a message into the worker's inbox."""
        self._inbox.put_nowait(message)

    async def run(self) -> None:
        """Serves messages until it is cancelled."""
        with tuned_interpreter():
            await self._serve()

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._report_for_ever())
            while True:
                message = await self._inbox.get()
                if isinstance(message, Deploy):
                    # Messages for an attempt come after its Deploy. One kept until now was sent to
                    # the attempt before; its trigger would stop the new sources for good.
                    self._early.clear()
                    self._running = asyncio.get_running_loop().create_task(self._run_tasks(message))
                    group.create_task(self._run_attempt(message, self._running))
                elif isinstance(message, CancelAttempt):
                    if self._running is not None:
                        self._running.cancel()
                else:
                    self._dispatch(message)

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            self._report()

    def _report(self) -> None:
        """Tells the coordinator the figures of all tasks."""
        if self._deployed is not None:
            for task in self._deployed.tasks.values():
                self._tell(task.report())

    async def _run_attempt(self, deploy: Deploy, running: asyncio.Task[None]) -> None:
        """An attempt ends here whatever happened: only then may the next one begin.

        A cancellation may come before the tasks have begun, and while they are being let go: it
        goes to `running` alone, so it can never cut this off and leave the coordinator waiting.
        """
        try:
            await asyncio.wait([running])
        finally:
            closing = asyncio.get_running_loop().create_task(self._close_attempt(deploy, running))
            while not closing.done():
                # A worker that is told to stop twice must still join its threads.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([closing])
        error = closing.exception() if running.cancelled() else running.exception()
        self._tell(AttemptEnded(deploy.attempt, None if error is None else _first_cause(error)))

    async def _run_tasks(self, deploy: Deploy) -> None:
        deployment = Deployment(deploy, self._settings, self._state, self._random)
        loop = asyncio.get_running_loop()
        self._building = loop.run_in_executor(None, deployment.build)
        self._deployed = deployed = await asyncio.shield(self._building)
        for message in self._early:
            self._dispatch(message)
        self._early.clear()
        async with asyncio.TaskGroup() as group:
            for task in deployed.tasks.values():
                group.create_task(contained(task.run, f"task {task.task}"))

    async def _close_attempt(self, deploy: Deploy, running: asyncio.Task[None]) -> None:
        running.cancel()  # it has ended, unless the worker itself was cancelled
        await asyncio.wait([running])
        self._report()
        await self._let_go(deploy)

    async def _let_go(self, deploy: Deploy) -> None:
        """Threads are joined and functions closed before the databases under them are shut."""
        if self._building is not None and not self._building.done():
            await asyncio.wait([self._building])  # cancelled while state was still being restored
        has_built = self._building is not None and self._building.exception() is None
        deployed = self._building.result() if self._building is not None and has_built else None
        self._deployed = self._building = None
        if deployed is not None:
            for task in deployed.tasks.values():
                await task.join_threads()
                task.close()
            deployed.executor.shutdown(wait=True)
            for log in deployed.logs:
                log.close()
        self._settings.disk.remove(deploy.work_directory)

    def _dispatch(self, message: ToTask) -> None:
        if self._deployed is None:
            self._early.append(message)
            return
        for task in self._deployed.tasks.values():
            if _is_for(task, message):
                task.post(message)


def _is_for(task: Task, message: ToTask) -> bool:
    """Whether the message is for this task."""
    if isinstance(message, AssignSplits | NoMoreSplits):
        return message.task == task.task
    if isinstance(message, SplitsUnread):
        return task.is_source and message.uid == task.head_uid
    return task.is_source or not isinstance(message, TriggerCheckpoint)


def _first_cause(error: BaseException) -> BaseException:
    """What the first task to fail raised, which may be a group of the user's own.

    The group of tasks cancelled the others after it.
    """
    return error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
