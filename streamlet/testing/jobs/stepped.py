"""Runs of a job in virtual time, which stop reading after every so many records."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from streamlet.runtime.job import Job
from streamlet.runtime.machine import Machine
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.testing.jobs.captured import BuildJob, capture_job
from streamlet.testing.jobs.gate import GatedSource, RecordGate
from streamlet.testing.jobs.rewired import ReplaceSink, rewired
from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.loop import SimulatedLoop
from streamlet.testing.simulation.process import SimulatedClock
from streamlet.testing.simulation.world import START_S

SETTLING_S: Final = 0.2
"""Virtual time in which all that was read is processed, and watermarks have come by."""
_TURN_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class SteppedJob:
    """A running job, and the gate of its sources."""

    job: Job
    gate: RecordGate

    async def read_up_to(self, records: int) -> None:
        """Lets the sources give so many records in all, and waits until they are processed."""
        self.gate.limit = records
        await _until(lambda: self.gate.given >= records)
        await asyncio.sleep(SETTLING_S)

    async def checkpointed(self) -> int:
        """Waits for a checkpoint of this very moment; gives how many are complete."""
        enough = self._completed() + 2  # the next one may have begun before
        await _until(lambda: self._completed() >= enough)
        return self._completed()

    def _completed(self) -> int:
        completed: int = self.job.status()["checkpoints"]["completed"]
        return completed


Drive: TypeAlias = Callable[[SteppedJob], Coroutine[Any, Any, None]]
"""What is done to a running job; the input goes on to its end when it returns."""


async def undisturbed(stepped: SteppedJob) -> None:
    """Lets the job go on to its end."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a job is run once."""

    gate: RecordGate
    sink: ReplaceSink
    """What takes the place of its sinks."""
    parallelism: int = 1
    backend: str = "heap"
    savepoint: str | None = None
    """What it starts from."""


class Runs:
    """The runs of one job: they share a disk for savepoints, and have names of their own."""

    def __init__(self, build: BuildJob, scratch: Path) -> None:
        self.disk = SimulatedDisk()
        self._build = build
        self._scratch = scratch
        self._count = 0

    def run(self, how: Run, drive: Drive = undisturbed) -> JobResult:
        """Runs the job in virtual time while `drive` moves it.

        The same runs and drives give the same. Raises what made the job fail.
        """
        self._count += 1
        request = capture_job(self._build, _settings(how.parallelism, how.backend))
        plan = rewired(request.plan, lambda source: GatedSource(source, how.gate), how.sink)
        request = replace(
            request,
            plan=plan,
            name=f"run-{self._count}",
            savepoint=how.savepoint,
            is_recorded=True,
            stop_when=None,
        )
        points = CrashPoints()
        loop = SimulatedLoop(Random(0), points, START_S)
        machine = self._machine(loop, request.name)
        try:
            return loop.run_until_complete(_run(request, machine, how.gate, drive))
        finally:
            points.is_dead = True
            loop.unwind()
            loop.close()

    def _machine(self, loop: SimulatedLoop, name: str) -> Machine:
        random = Random(name)
        return Machine(
            clock=SimulatedClock(loop),
            disk=self.disk,
            random=random,
            make_token=lambda size: random.randbytes(size).hex(),
            make_work_directory=lambda run_id: _made(self._scratch / run_id),
            forget_work=lambda run_id: None,
            link=lambda post: post,
            is_shared=False,
        )


@contextmanager
def runs_of(build: BuildJob) -> Iterator[Runs]:
    """Runs whose databases lie in a directory that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="streamlet-") as scratch:
        yield Runs(build, Path(scratch))


async def _run(request: JobRequest, machine: Machine, gate: RecordGate, drive: Drive) -> JobResult:
    loop = asyncio.get_running_loop()
    job = Job(request, machine)
    await job.prepare()
    running = loop.create_task(job.run())
    driving = loop.create_task(_started(SteppedJob(job, gate), drive))
    await asyncio.wait([running, driving], return_when=asyncio.FIRST_COMPLETED)
    if running.done() and running.exception() is None:
        # Whoever asked for a stop may be told of it only after the job has ended.
        await asyncio.wait([driving], timeout=SETTLING_S)
    if driving.done():
        driving.result()
        gate.limit = None
    driving.cancel()
    return await running


async def _started(stepped: SteppedJob, drive: Drive) -> None:
    await _until(lambda: stepped.job.status().get("state") == "RUNNING")
    await drive(stepped)


async def _until(is_so: Callable[[], bool]) -> None:
    """Asks again and again: in virtual time that costs nothing, and needs nobody to tell."""
    while not is_so():  # noqa: ASYNC110 - there is no event: what is waited for is many things
        await asyncio.sleep(_TURN_S)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def _settings(parallelism: int, backend: str) -> dict[str, Any]:
    """Frequent checkpoints and watermarks, and no second attempt that would hide a failure."""
    return {
        "parallelism.default": parallelism,
        "execution.batch-size": 16,
        "execution.checkpointing.dir": "/checkpoints",
        "execution.checkpointing.savepoint-dir": "/savepoints",
        "execution.checkpointing.interval": "50ms",
        "execution.checkpointing.min-pause": "0ms",
        "execution.state-recovery.path": None,
        "pipeline.auto-watermark-interval": "20ms",
        "restart-strategy.type": "none",
        "state.backend.type": backend,
    }
