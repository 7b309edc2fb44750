"""What outlives simulated processes, and the running of one process in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

from streamlet.api.environment import StreamExecutionEnvironment
from streamlet.checkpoint.manifest import MANIFEST_NAME, read_manifest
from streamlet.checkpoint.storage import CheckpointStorage
from streamlet.connectors.files.disk import FileDisk
from streamlet.errors import ConfigError, RestoreError, TransientError
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.sink import Sink
from streamlet.testing.simulation.crash_points import CrashPoints, ProcessDeath
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.fates import Fate, Flip
from streamlet.testing.simulation.files import Files, VisibleFiles, hidden_parts
from streamlet.testing.simulation.leftovers import leftovers
from streamlet.testing.simulation.mounted_disk import SAVEPOINTS
from streamlet.testing.simulation.output import Output, SimulatedSink
from streamlet.testing.simulation.process import Process
from streamlet.testing.simulation.returns import Returns

Build: TypeAlias = Callable[[StreamExecutionEnvironment, Sink[Any]], None]
"""Builds the pipeline under test; every process builds it anew."""

FileBuild: TypeAlias = Callable[[StreamExecutionEnvironment, FileDisk], None]
"""As `Build`, of a pipeline from files to files: its source and sink are given the disk."""

Prepare: TypeAlias = Callable[[Mapping[str, Any], Output, CrashPoints], JobRequest]
"""What one process is to run, under this configuration; its name and `resume` are the world's."""

_FAILURES: Final = (OSError, TransientError, RestoreError, ConfigError)
"""With these a job may end when an operation of the disk or of the sink has failed."""
JOB_NAME: Final = "simulated"
CHECKPOINTS: Final = Path("/simulated/checkpoints")
SAVEPOINT_DIRECTORY: Final = Path("/simulated") / SAVEPOINTS
START_S: Final = 1_700_000_000.0
SLOW_THREAD_S: Final = 0.1
SLOW_FOR_S: Final = 1.0
"""For so long a slow disk is slow: no checkpoint is complete in time meanwhile."""
SETTINGS: Final[Mapping[str, Any]] = {
    "execution.batch-size": 8,
    "execution.buffer-timeout": "5ms",
    "execution.checkpointing.dir": str(CHECKPOINTS),
    "execution.checkpointing.interval": "30ms",
    "execution.checkpointing.savepoint-dir": str(SAVEPOINT_DIRECTORY),
    "execution.checkpointing.timeout": "250ms",
    "execution.checkpointing.tolerable-failed-checkpoints": 1,
    "pipeline.auto-watermark-interval": "20ms",
    "restart-strategy.exponential-delay.initial-backoff": "20ms",
    "restart-strategy.exponential-delay.max-backoff": "1s",
    "sink.committer.retries": 0,
    "state.backend.memory": "16kb",
}
"""Small batches and frequent checkpoints, so that a short input meets many of them; a slow disk
makes some of them expire. So little memory that state on RocksDB spills and is evicted."""
FREQUENT: Final[Mapping[str, Any]] = {
    "execution.batch-size": 1,
    "execution.checkpointing.interval": "5ms",
}
"""How a process runs that has frequent checkpoints."""


@dataclass(slots=True)
class Ended:
    """How a process ended."""

    is_finished: bool
    """It came to the end of the job."""
    has_crashed: bool
    hits: Counter[str]
    """By crash point: how often it came by."""
    is_refused: bool = False
    """It would not restore what is damaged: the job has ended, without a wrong result."""
    is_turned_away: bool = False
    """It would not go back to a savepoint whose output was discarded: the job can be resumed."""
    savepoints: int = 0
    """How many savepoints its clients were told of."""
    has_flipped: bool = False
    was_full: bool = False
    """Whether the disk was full for a while."""
    result: JobResult | None = None
    """What became of the job, if the process lived to tell."""


def from_build(build: Build) -> Prepare:
    """Builds the pipeline anew for every process; it ends in the world's output."""

    def prepare(config: Mapping[str, Any], output: Output, points: CrashPoints) -> JobRequest:
        env = StreamExecutionEnvironment(config)
        build(env, SimulatedSink(output, points))
        request = JobRequest(env.get_execution_plan(), JOB_NAME, env.config)
        env.graph.forget_executed()
        return request

    return prepare


def from_file_build(build: FileBuild) -> Prepare:
    """As `from_build`, for pipelines whose output is files."""

    def prepare(config: Mapping[str, Any], output: Output, points: CrashPoints) -> JobRequest:
        assert output.disk is not None
        env = StreamExecutionEnvironment(config)
        build(env, output.disk)
        request = JobRequest(env.get_execution_plan(), JOB_NAME, env.config)
        env.graph.forget_executed()
        return request

    return prepare


class World:
    """A disk, a place for output, and a clock that goes on while no process runs."""

    def __init__(
        self, prepare: Prepare, seed: int, config: Mapping[str, Any], files: Files | None = None
    ) -> None:
        self.disk = SimulatedDisk()
        self.output = Output()
        self.random = Random(seed)
        self._prepare = prepare
        self._config = {**SETTINGS, **config}
        self._now_s = START_S
        self._trace = hashlib.sha256()
        self._returns = Returns()
        self._is_damaged = False
        self._visible: VisibleFiles | None = None
        if files is not None:
            files.lay_out(self.disk)
            self._visible = VisibleFiles(files, self.disk)

    def schedule_hash(self) -> str:
        """Equal for two runs in which the same happened at the same times."""
        return self._trace.hexdigest()[:16]

    def run_process(self, fate: Fate) -> Ended:
        """Starts or resumes the job; runs it to its end, to its crash, or until it has failed."""
        process = Process(fate, self.disk, self.random, self._now_s)
        self.output.disk = process.disk
        seen = frozenset() if self._visible is None else self._visible.seen()
        ended = Ended(False, False, process.points.hits)
        ended.has_flipped = fate.flip is not None and self._flip(fate.flip)
        self._prepare_disk(process, ended)
        try:
            result = process.run(
                lambda: self._request(process), lambda path: self._on_savepoint(path, ended)
            )
            ended.result = result
            ended.is_finished = result.state == "FINISHED" and result.savepoint_path is None
            self._look()
            self._go_back(process, ended, seen)
            if ended.is_finished:
                self._check_finished(process)
        except (ProcessDeath, Exception) as error:
            self._after(error, process, ended)
            self._go_back(process, ended, seen)
        finally:
            self._close(process)
        return ended

    def result(self) -> list[Any]:
        """All records that a reader sees."""
        return self.output.values if self._visible is None else self._visible.records()

    def _prepare_disk(self, process: Process, ended: Ended) -> None:
        fate, loop, points = process.fate, process.loop, process.points
        if fate.is_slow:
            loop.thread_s, quick_s = SLOW_THREAD_S, loop.thread_s
            loop.call_later(SLOW_FOR_S, setattr, loop, "thread_s", quick_s)
            points.has_failed = True  # checkpoints may expire
        if fate.full_disk is None:
            return
        for_s = fate.full_disk.for_ms / 1_000

        def fill() -> None:
            self.disk.capacity_bytes = 0
            ended.was_full = points.has_failed = True
            loop.call_later(for_s, free)

        def free() -> None:
            self.disk.capacity_bytes = None

        points.at(fate.full_disk.point, fate.full_disk.occurrence, fill)

    def _request(self, process: Process) -> JobRequest:
        """As a service manager does it: resume if there is something to resume."""
        fate = process.fate
        config = {
            "parallelism.default": fate.parallelism,
            "state.backend.type": fate.backend,
            **self._config,
            **(FREQUENT if fate.is_frequent else {}),
        }
        request = self._prepare(config, self.output, process.points)
        earlier = CheckpointStorage(self.disk, CHECKPOINTS, JOB_NAME, "").earlier_runs()
        savepoint = self._returns.way_out
        if fate.is_from_savepoint:
            savepoint = self._returns.savepoint(fate.savepoints_back)
        if savepoint is not None:
            self._check_savepoint(savepoint.path)
            self._returns.begin(savepoint, earlier)
        return replace(
            request,
            name=JOB_NAME,
            savepoint=None if savepoint is None else str(savepoint.path),
            resume=savepoint is None and bool(earlier),
            later_output="refuse" if self._returns.pending is None else "discard",
        )

    def _on_savepoint(self, path: str, ended: Ended) -> None:
        savepoint = Path(path)
        ended.savepoints += 1
        self._check_savepoint(savepoint)
        self._returns.on_savepoint(savepoint, read_manifest(self.disk, savepoint).history)

    def _check_savepoint(self, path: Path) -> None:
        """Whoever was told of a savepoint relies on it, also after a loss of power."""
        assert path / MANIFEST_NAME in self.disk.list(path), "a savepoint that was told of is gone"

    def _flip(self, flip: Flip) -> bool:
        """Damages a file of checkpoints and savepoints, or of output to be committed."""
        files = [
            path
            for root in (CHECKPOINTS, SAVEPOINT_DIRECTORY)
            for path in self._files(root)
            if self.disk.read(path)
        ]
        files += [path for path in hidden_parts(self.disk) if self.disk.read(path)]
        if files:
            path = files[flip.file % len(files)]
            self.disk.flip_bit(path, flip.bit % (8 * len(self.disk.read(path))))
            self._is_damaged = True
        return bool(files)

    def _files(self, directory: Path) -> Iterator[Path]:
        for path in self.disk.list(directory):
            below = list(self._files(path))
            if below:
                yield from below
            elif path.suffix:
                yield path

    def _after(self, error: BaseException, process: Process, ended: Ended) -> None:
        """How a process ended that did not end by itself; raises what must not happen."""
        points = process.points
        # Asked for first: in a dying process one error may follow another.
        ended.has_crashed, points.is_dead = points.is_dead, True
        process.loop.unwind()
        has_failed = points.has_failed and isinstance(error, _FAILURES)
        if not ended.has_crashed:
            ended.is_refused = self._is_damaged and isinstance(error, RestoreError)
            if isinstance(error, RestoreError) and not ended.is_refused:
                storage = CheckpointStorage(self.disk, CHECKPOINTS, JOB_NAME, "")
                ended.is_turned_away = self._returns.turn_away(storage.earlier_runs())
            if not (ended.is_refused or ended.is_turned_away or has_failed):
                raise error
        self._look()
        if ended.has_crashed and not process.fate.has_power:
            self.disk.crash(self.random)
            self._look()
        self.output.crash()

    def _go_back(self, process: Process, ended: Ended, seen: frozenset[Path]) -> None:
        """Readers forget what was discarded, once a process has arrived where it was told to go.

        Until then another savepoint may be gone back to, which counts on it.
        """
        pending = self._returns.pending
        if pending is None:
            return
        storage = CheckpointStorage(self.disk, CHECKPOINTS, JOB_NAME, "")
        try:
            runs = storage.earlier_runs()
        except RestoreError:
            return  # a damaged record: nothing can be resumed any more
        pending = self._returns.under_way(runs)
        # After a refused restore nobody goes on: what was discarded on the way does not count.
        is_over = process.has_recovered_sinks or ended.is_refused
        if pending is not None and self._visible is not None and is_over:
            self._visible.forget(pending.savepoint.history, seen)

    def _look(self) -> None:
        if self._visible is not None:
            self._visible.look()

    def _check_finished(self, process: Process) -> None:
        """Everything that was seen is still there, and nothing that nobody needs any more."""
        if self._visible is not None:
            self._visible.check_kept()
        # Who goes back leaves runs aside, which may still be restored by name. Who cannot record
        # the end keeps the final checkpoint. What a damaged manifest needs cannot be known.
        if self._returns.have_happened or process.points.has_failed or self._is_damaged:
            return
        storage = CheckpointStorage(self.disk, CHECKPOINTS, JOB_NAME, "")
        left = leftovers(self.disk, storage, SAVEPOINT_DIRECTORY / JOB_NAME)
        assert not left, f"the job has finished and left {len(left)} files, such as {left[0]}"

    def _close(self, process: Process) -> None:
        loop, hits = process.loop, process.points.hits
        if process.has_recovered_sinks:
            self._returns.arrive()
        self.disk.capacity_bytes = None
        self._now_s = loop.time() + self.random.random()
        self._trace.update(repr((loop.time(), sorted(hits.items()))).encode())
        process.close()
