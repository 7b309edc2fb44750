"""One run of a job in virtual time, whose sources stop after every so many records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from streamlet.runtime.job import Job
from streamlet.runtime.machine import Machine
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.source import PartitionReader
from streamlet.testing.rewired import ReplacedSource, count_records
from streamlet.testing.simulation.crash_points import CrashPoints
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.loop import SimulatedLoop
from streamlet.testing.simulation.process import SimulatedClock
from streamlet.testing.simulation.world import START_S

SETTLING_S: Final = 0.2
"""Virtual time in which all that was read is processed, and watermarks have come by."""
_TURN_S: Final = 0.01


@dataclass(slots=True)
class RecordGate:
    """How many records a job's sources have given together, and how many they may."""

    given: int = 0
    limit: int | None = None
    """None: all there are. With a limit the input does not end, even when nothing is left."""

    def room(self, wanted: int) -> int:
        """How many of the wanted records may be read now."""
        return wanted if self.limit is None else max(0, min(wanted, self.limit - self.given))


class GatedSource(ReplacedSource):
    """Gives what another source gives, as far as the gate is open."""

    def __init__(self, source: Any, gate: RecordGate) -> None:
        super().__init__(source)
        self._gate = gate

    def open_split(self, split: str, position: Any | None) -> PartitionReader[Any]:
        return _GatedReader(self.source.open_split(split, position), position, self._gate)


class _GatedReader(PartitionReader[Any]):
    def __init__(self, reader: PartitionReader[Any], position: Any, gate: RecordGate) -> None:
        self._reader = reader
        self._position = position
        self._gate = gate
        self._is_over = False

    def poll(self, max_records: int) -> Any:
        room = self._gate.room(max_records)
        if not room or self._is_over:
            return None if self._is_over and self._gate.limit is None else []
        polled = self._reader.poll(room)
        if polled is None:
            self._is_over = True
            return None if self._gate.limit is None else []
        self._position = self._reader.position()
        self._gate.given += count_records(polled)
        return polled

    def position(self) -> Any:
        return self._position

    def dead_letters(self) -> list[Any]:
        return self._reader.dead_letters()

    def close(self) -> None:
        self._reader.close()


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


@dataclass(frozen=True, slots=True)
class Place:
    """Where jobs keep what outlives them, and what does not."""

    disk: SimulatedDisk
    """Checkpoints and savepoints."""
    scratch: Path
    """A real directory, for databases."""


Drive: TypeAlias = Callable[[SteppedJob], Coroutine[Any, Any, None]]
"""What is done to a running job; the input goes on to its end when it returns."""


async def undisturbed(stepped: SteppedJob) -> None:
    """Lets the job go on to its end."""


def run_stepped(request: JobRequest, gate: RecordGate, place: Place, drive: Drive) -> JobResult:
    """Runs the job in virtual time while `drive` moves it.

    The same request and drive give the same run; the request's name tells its output from that of
    others. Raises what made the job fail.
    """
    points = CrashPoints()
    loop = SimulatedLoop(Random(0), points, START_S)
    machine = _machine(loop, request.name, place)
    try:
        return loop.run_until_complete(_run(request, machine, gate, drive))
    finally:
        points.is_dead = True
        loop.unwind()
        loop.close()


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


def _machine(loop: SimulatedLoop, name: str, place: Place) -> Machine:
    random = Random(name)
    return Machine(
        clock=SimulatedClock(loop),
        disk=place.disk,
        random=random,
        make_token=lambda size: random.randbytes(size).hex(),
        make_work_directory=lambda run_id: _made(place.scratch / run_id),
        forget_work=lambda run_id: None,
        link=lambda post: post,
        is_shared=False,
    )


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def stepped_settings(parallelism: int, backend: str) -> dict[str, Any]:
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
