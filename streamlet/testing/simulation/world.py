"""What outlives simulated processes, and the running of one process in it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from streamlet.api.environment import StreamExecutionEnvironment
from streamlet.checkpoint.storage import CheckpointStorage
from streamlet.clock import Clock
from streamlet.errors import ConfigError, RestoreError, TransientError
from streamlet.runtime.job import Job
from streamlet.runtime.machine import Machine
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.sink import Sink
from streamlet.testing.simulation.crash_points import Crash, CrashPoints, ProcessDeath
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.link import SimulatedLink
from streamlet.testing.simulation.loop import SimulatedLoop
from streamlet.testing.simulation.mounted_disk import MountedDisk
from streamlet.testing.simulation.output import Output, SimulatedSink

Build: TypeAlias = Callable[[StreamExecutionEnvironment, Sink[Any]], None]
"""Builds the pipeline under test; every process builds it anew."""

Prepare: TypeAlias = Callable[[Mapping[str, Any], Output, CrashPoints], JobRequest]
"""What one process is to run, under this configuration; its name and `resume` are the world's."""

_FAILURES: Final = (OSError, TransientError, RestoreError, ConfigError)
"""With these a job may end when an operation of the disk or of the sink has failed."""
JOB_NAME: Final = "simulated"
CHECKPOINTS: Final = Path("/simulated/checkpoints")
SCRATCH: Final = Path("/simulated/scratch")
START_S: Final = 1_700_000_000.0
SETTINGS: Final[Mapping[str, Any]] = {
    "execution.batch-size": 8,
    "execution.buffer-timeout": "5ms",
    "execution.checkpointing.dir": str(CHECKPOINTS),
    "execution.checkpointing.interval": "30ms",
    "pipeline.auto-watermark-interval": "20ms",
    "restart-strategy.fixed-delay.delay": "20ms",
    "state.backend.type": "heap",
}
"""Small batches and frequent checkpoints, so that a short input meets many of them."""


class SimulatedClock:
    """The loop's time as a `Clock`; the time of day may be wrong by so much."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wrong_by_ms: int = 0) -> None:
        self._loop = loop
        self._wrong_by_ms = wrong_by_ms

    def now_ms(self) -> int:
        return int(self._loop.time() * 1_000) + self._wrong_by_ms

    def monotonic_s(self) -> float:
        return self._loop.time()


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to happen to one process."""

    crash: Crash | None = None
    has_power: bool = False
    """A crash ends the process alone: what was not synced is there, and may yet be lost."""
    errors: tuple[Crash, ...] = ()
    """Where an operation fails with OSError, and the process lives on."""
    clock_wrong_by_ms: int = 0
    parallelism: int = 1

    def __str__(self) -> str:
        parts = [f"parallelism {self.parallelism}"]
        parts += [f"error at {error}" for error in self.errors]
        if self.clock_wrong_by_ms:
            parts.append(f"clock wrong by {self.clock_wrong_by_ms} ms")
        end = "process killed" if self.has_power else "power lost"
        parts.append("no crash" if self.crash is None else f"{end} at {self.crash}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    is_finished: bool
    """It came to the end of the job."""
    has_crashed: bool
    hits: Counter[str]


def from_build(build: Build) -> Prepare:
    """Builds the pipeline anew for every process; it ends in the world's output."""

    def prepare(config: Mapping[str, Any], output: Output, points: CrashPoints) -> JobRequest:
        env = StreamExecutionEnvironment(config)
        build(env, SimulatedSink(output, points))
        request = JobRequest(env.get_execution_plan(), JOB_NAME, env.config)
        env.graph.forget_executed()
        return request

    return prepare


class World:
    """A disk, a place for output, and a clock that goes on while no process runs."""

    def __init__(self, prepare: Prepare, seed: int, config: Mapping[str, Any]) -> None:
        self.disk = SimulatedDisk()
        self.output = Output()
        self.random = Random(seed)
        self._prepare = prepare
        self._config = {**SETTINGS, **config}
        self._now_s = START_S
        self._trace = hashlib.sha256()

    def schedule_hash(self) -> str:
        """Equal for two runs in which the same happened at the same times."""
        return self._trace.hexdigest()[:16]

    def run_process(self, fate: Fate) -> Ended:
        """Starts or resumes the job; runs it to its end, to its crash, or until it has failed."""
        points = CrashPoints(fate.crash, fate.errors)
        loop = SimulatedLoop(Random(self.random.random()), points, self._now_s)
        clock = SimulatedClock(loop, fate.clock_wrong_by_ms)
        try:
            machine = self._machine(loop, clock, points)
            result = loop.run_until_complete(self._run_job(points, machine, fate.parallelism))
            assert result.state == "FINISHED", f"the job ended as {result.state}"
        except (ProcessDeath, Exception) as error:
            # Asked for first: in a dying process one error may follow another.
            has_crashed, points.is_dead = points.is_dead, True
            loop.unwind()
            has_failed = points.has_failed and isinstance(error, _FAILURES)
            if not has_crashed and not has_failed:
                raise
            if has_crashed and not fate.has_power:
                self.disk.crash(self.random)
            self.output.crash()
            return Ended(False, has_crashed, points.hits)
        else:
            return Ended(True, False, points.hits)
        finally:
            self._close(loop, points)

    async def _run_job(self, points: CrashPoints, machine: Machine, parallelism: int) -> JobResult:
        config = {"parallelism.default": parallelism, **self._config}
        request = self._prepare(config, self.output, points)
        job = Job(replace(request, name=JOB_NAME, resume=self._has_earlier_run()), machine)
        await job.prepare()
        return await job.run()

    def _machine(self, loop: SimulatedLoop, clock: Clock, points: CrashPoints) -> Machine:
        random = Random(self.random.random())
        return Machine(
            clock=clock,
            disk=MountedDisk(self.disk, points),
            random=random,
            make_token=lambda size: random.randbytes(size).hex(),
            make_work_directory=lambda: SCRATCH / random.randbytes(4).hex(),
            link=lambda post: SimulatedLink(loop, random, points, post),
            is_shared=False,
        )

    def _has_earlier_run(self) -> bool:
        """As a service manager does it: resume if there is something to resume."""
        return bool(CheckpointStorage(self.disk, CHECKPOINTS, JOB_NAME, "").earlier_runs())

    def _close(self, loop: SimulatedLoop, points: CrashPoints) -> None:
        points.is_dead = True  # a generator that is collected later must change nothing
        self._now_s = loop.time() + self.random.random()
        self._trace.update(repr((loop.time(), sorted(points.hits.items()))).encode())
        loop.close()
