"""One simulated process: a job on a simulated machine, and what its clients ask of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from streamlet.errors import TransientError
from streamlet.runtime.job import Job
from streamlet.runtime.machine import Machine
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.testing.simulation.crash_points import CrashPoints, ProcessDeath
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.fates import Fate, Wish
from streamlet.testing.simulation.file_disk import SimulatedFileDisk
from streamlet.testing.simulation.link import SimulatedLink
from streamlet.testing.simulation.loop import SimulatedLoop

SCRATCH: Final = Path("/simulated/scratch")
ANSWER_S: Final = 1.0
"""How soon after the end of a job all its clients must have their answer."""
_IN_MEMORY: Final = Path("/dev/shm")
"""Databases are quick there, on machines that have it."""


class SimulatedClock:
    """The loop's time as a `Clock`; the time of day may be wrong by so much."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wrong_by_ms: int = 0) -> None:
        self._loop = loop
        self._wrong_by_ms = wrong_by_ms

    def now_ms(self) -> int:
        return int(self._loop.time() * 1_000) + self._wrong_by_ms

    def monotonic_s(self) -> float:
        return self._loop.time()


class Process:
    """Lives until the job ends, or until it dies."""

    def __init__(self, fate: Fate, disk: SimulatedDisk, random: Random, start_s: float) -> None:
        self.fate = fate
        self.points = CrashPoints(fate.crash, fate.errors)
        if fate.is_crash_after_ask:
            self.points.hits_before = None
        self.loop = SimulatedLoop(Random(random.random()), self.points, start_s)
        self.disk = SimulatedFileDisk(disk, self.points)
        self._random = Random(random.random())
        self._waiting: list[asyncio.Task[None]] = []
        self._databases: tempfile.TemporaryDirectory[str] | None = None

    def run(
        self, prepare: Callable[[], JobRequest], on_savepoint: Callable[[str], None]
    ) -> JobResult:
        """Runs the job; `on_savepoint` is given the path of each savepoint that was taken."""
        return self.loop.run_until_complete(self._run(prepare, on_savepoint))

    @property
    def has_recovered_sinks(self) -> bool:
        """Whether later output has been discarded, if it was to be."""
        return self.points.hits["before-deploy-message"] > 0

    def close(self) -> None:
        """Nothing of the process is left; what is collected later changes nothing."""
        self.points.is_dead = True
        self.loop.close()
        if self._databases is not None:
            self._databases.cleanup()

    async def _run(
        self, prepare: Callable[[], JobRequest], on_savepoint: Callable[[str], None]
    ) -> JobResult:
        request = prepare()
        job = Job(request, self._machine(request))
        for ask in self.fate.asks:
            self._at(ask.point, ask.occurrence, self._asker(job, ask.wish, on_savepoint))
        await job.prepare()
        try:
            result = await job.run()
        finally:
            if not self.points.is_dead:
                await self._answers()
        if self.points.is_dead:
            raise ProcessDeath("hidden by what the dying process caught")
        self._check_end(result)
        return result

    def _machine(self, request: JobRequest) -> Machine:
        random, loop, points = self._random, self.loop, self.points
        scratch = SCRATCH
        if request.config["state.backend.type"] == "rocksdb":
            self._databases = tempfile.TemporaryDirectory(
                prefix="streamlet-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None
            )
            scratch = Path(self._databases.name) / SCRATCH.name
        return Machine(
            clock=SimulatedClock(loop, self.fate.clock_wrong_by_ms),
            disk=self.disk,
            random=random,
            make_token=lambda size: random.randbytes(size).hex(),
            make_work_directory=lambda run_id: scratch / run_id,
            forget_work=lambda run_id: None,
            link=lambda post: SimulatedLink(
                loop, random, points, post, loses_notices=self.fate.loses_notices
            ),
            is_shared=False,
        )

    def _at(self, point: str, occurrence: int, action: Callable[[], object]) -> None:
        def come() -> None:
            if self.points.hits_before is None:
                self.points.hits_before = Counter(self.points.hits)
            # Not at once: a client is a party of its own, which comes in between two steps.
            self.loop.call_soon(action)

        self.points.at(point, occurrence, come)

    def _asker(
        self, job: Job, wish: Wish, on_savepoint: Callable[[str], None]
    ) -> Callable[[], object]:
        if wish == "interrupt":
            return job.interrupt
        if wish == "cancel":
            return job.cancel

        async def savepoint() -> None:
            try:
                asked = job.savepoint(None) if wish == "savepoint" else job.stop(None, drain=False)
                on_savepoint(await asked)
            except TransientError:
                return  # refused, or it failed: the client knows

        return lambda: self._waiting.append(self.loop.create_task(savepoint()))

    async def _answers(self) -> None:
        if not self._waiting:
            return
        done, waiting = await asyncio.wait(self._waiting, timeout=ANSWER_S)
        assert not waiting, "the job has ended and a client still waits for its savepoint"
        for answered in done:
            answered.result()

    def _check_end(self, result: JobResult) -> None:
        wishes = {ask.wish for ask in self.fate.asks}
        ends = {"FINISHED"}
        ends |= {"SUSPENDED"} if "interrupt" in wishes else set()
        ends |= {"CANCELED"} if "cancel" in wishes else set()
        assert result.state in ends, f"the job ended as {result.state}"
