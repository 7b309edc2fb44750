"""Starts jobs: from a blocking `execute`, from a running event loop, from the command line."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from streamlet.runtime.job import Job
from streamlet.runtime.machine import this_machine
from streamlet.runtime.setup import JobRequest, JobResult, JobState

T = TypeVar("T")


class JobClient:
    """A handle on a job that runs in this event loop."""

    def __init__(self, job: Job, running: asyncio.Task[JobResult]) -> None:
        self._job = job
        self._running = running
        self.job_id = job.run_id

    async def result(self) -> JobResult:
        """Waits for the end; raises what made the job fail."""
        return await asyncio.shield(self._running)

    async def cancel(self) -> None:
        """Stops the job now, without a savepoint, and waits for its end."""
        self._job.cancel()
        with suppress(Exception):
            await self.result()

    async def trigger_savepoint(self, directory: str | Path | None = None) -> str:
        """Takes a savepoint below the directory; gives its path."""
        return await self._job.savepoint(directory)

    async def stop_with_savepoint(
        self, directory: str | Path | None = None, drain: bool = False
    ) -> str:
        """Takes a savepoint and ends the job; with `drain` windows fire first."""
        path = await self._job.stop(directory, drain=drain)
        await self.result()
        return path

    async def status(self) -> dict[str, Any]:
        """How the job stands."""
        return self._job.status()


async def start_job(request: JobRequest) -> JobClient:
    """Starts the job in the running event loop; signals are the caller's."""
    job = Job(request, this_machine())
    await job.prepare()
    running = asyncio.get_running_loop().create_task(job.run())
    return JobClient(job, running)


class JobInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM has ended the job: what waited for it must not go on as if it was done."""

    def __init__(self, result: JobResult) -> None:
        super().__init__()
        self.result = result


def run_job(request: JobRequest) -> JobResult:
    """Runs the job to its end. Inside a running event loop it gets a thread and loop of its own.

    Raises what made the job fail, and JobInterrupted when a signal ended it.
    """
    if _is_in_event_loop():
        return _in_own_thread(lambda: _run_loop(_run(request)))[0]  # signals go to the main thread
    result, is_interrupted = _run_loop(_run(request))
    if is_interrupted and result.state != JobState.FINISHED.value:
        raise JobInterrupted(result)
    return result


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _run(request: JobRequest) -> tuple[JobResult, bool]:
    """What became of the job, and whether a signal asked it to stop."""
    job = Job(request, this_machine())
    await job.prepare()
    if threading.current_thread() is threading.main_thread():
        job.handle_signals()
    return await job.run(), job.is_interrupted


def _run_loop(work: Coroutine[Any, Any, T]) -> T:
    """On uvloop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _in_own_thread(work: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # raised again in the calling thread
            failure.append(error)

    thread = threading.Thread(target=run, name="streamlet job")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
