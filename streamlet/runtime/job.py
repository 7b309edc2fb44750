"""Everything one running job needs around its coordinator: directories, log, lock, socket."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from streamlet.checkpoint.manifest import read_manifest
from streamlet.checkpoint.pending import CheckpointKind
from streamlet.checkpoint.restore import RestoreOptions
from streamlet.checkpoint.storage import CheckpointStorage, RunRecord
from streamlet.errors import ConfigError, RestoreError, TransientError
from streamlet.runtime.checkpoint_writer import CheckpointSettings
from streamlet.runtime.checkpoints import Checkpoints
from streamlet.runtime.commits import CommitRetries, Committer
from streamlet.runtime.containment import contained
from streamlet.runtime.control import HOST, ControlServer, JobEntry, write_entry
from streamlet.runtime.coordinator import JobCoordinator
from streamlet.runtime.deployment import StateSettings
from streamlet.runtime.job_log import open_log
from streamlet.runtime.lock import DirectoryLock
from streamlet.runtime.machine import Machine
from streamlet.runtime.messages import CancelRequest, InterruptRequest, SavepointRequest
from streamlet.runtime.outputs import BatchSizes
from streamlet.runtime.restart import make_restart_strategy
from streamlet.runtime.run_recorder import RunRecorder
from streamlet.runtime.setup import JobRequest, JobResult, JobSetup, JobState
from streamlet.runtime.signals import catch_first
from streamlet.runtime.starting_point import starting_point
from streamlet.runtime.task import TaskSettings
from streamlet.runtime.worker import Worker

_notice = logging.getLogger("streamlet.notice")  # what the command line tells its user

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")


class Job:
    """One run of one job in this event loop."""

    def __init__(self, request: JobRequest, machine: Machine) -> None:
        if not _NAME.fullmatch(request.name):
            raise ConfigError(
                f"{request.name[:120]!r} is no job name, as it names directories: give execute() "
                "one of at most 100 letters without accents, digits, '_', '-', '.' and blanks"
            )
        self._request = request
        self._config = request.config
        self._machine = machine
        self.run_id = machine.make_token(4)
        self._clock = machine.clock
        self._disk = machine.disk
        self._is_shared = request.is_recorded and machine.is_shared
        self._has_checkpoints = self._config["execution.checkpointing.interval"] is not None
        self._storage = CheckpointStorage(
            self._disk,
            # User code may change the working directory.
            self._config["execution.checkpointing.dir"].absolute(),
            request.name,
            self.run_id,
        )
        self._started_ms = self._clock.now_ms()
        self._started_s = self._clock.monotonic_s()
        self._closing: list[Callable[[], object]] = []
        self._coordinator: JobCoordinator | None = None
        self._checkpoints: Checkpoints | None = None
        self._control: ControlServer | None = None
        self.is_interrupted = False
        self._recorder = RunRecorder(
            self._storage,
            self._disk,
            RunRecord(self.run_id, request.name, self._started_ms),
            is_recorded=request.is_recorded,
        )
        self._is_finished = False  # an earlier run left nothing to resume
        self._uid_map = request.uid_map

    async def prepare(self) -> None:
        """Finds the state to begin with and takes what must not be shared; refuses early."""
        try:
            await self._prepare()
        except OSError as error:
            await self._close()
            raise ConfigError(
                f"the job has no place for its files: {error}\n"
                f"  {self._config.home} is for logs; STREAMLET_HOME names another\n"
                f"  {self._config['execution.checkpointing.dir']} is for checkpoints; "
                "execution.checkpointing.dir names another"
            ) from error
        except BaseException:
            await self._close()
            raise

    async def run(self) -> JobResult:
        """Runs to the end; raises what made the job fail."""
        try:
            return await self._run()
        finally:
            await self._close()

    def handle_signals(self) -> None:
        """The first Ctrl-C or SIGTERM takes a last checkpoint and stops; a second one kills."""

        def ask() -> None:
            _notice.info("stopping after a last checkpoint; interrupt again to stop at once")
            self.interrupt()

        self._closing.append(catch_first(ask))

    def interrupt(self) -> None:
        """Takes a last checkpoint and stops."""
        self.is_interrupted = True
        if self._coordinator is not None:
            self._coordinator.tell(InterruptRequest())

    def cancel(self) -> None:
        """Stops now."""
        if self._coordinator is not None:
            self._coordinator.tell(CancelRequest())

    async def savepoint(self, directory: str | Path | None) -> str:
        """Takes a savepoint; gives its path."""
        return await self._ask(directory, CheckpointKind.SAVEPOINT, is_drain=False)

    async def stop(self, directory: str | Path | None, *, drain: bool) -> str:
        """Ends the job with a savepoint; gives its path."""
        return await self._ask(directory, CheckpointKind.STOP_SAVEPOINT, is_drain=drain)

    def status(self) -> dict[str, Any]:
        """How the job stands."""
        return {} if self._coordinator is None else self._coordinator.status()

    async def _prepare(self) -> None:
        if self._is_shared:
            lock = DirectoryLock(
                self._storage.run.parent, f"a job of the name {self._request.name!r}"
            )
            self._closing.append(lock.release)
            self._closing.append(open_log(self._config.home, self._request.name, self.run_id))
        restored = self._find_restored()
        if self._is_finished:
            return
        first_id = self._first_checkpoint_id(restored)  # before there is a record of this run
        work = self._machine.make_work_directory(self.run_id)
        self._closing.append(lambda: self._disk.remove(work))
        earlier_run_ids = self._recorder.begin(restored, self._uid_map)
        for run_id in earlier_run_ids:
            self._machine.forget_work(run_id)
        self._connect(restored, first_id, work, earlier_run_ids)
        if self._is_shared:
            await self._open_control()

    def _find_restored(self) -> Path | None:
        point = starting_point(self._storage, self._request)
        self._is_finished, self._uid_map = point.is_finished, point.uid_map
        if self._request.resume:
            _notice.info("%s", point.said)
            if point.is_finished:
                # It may have died while it removed them, or a loss of power brought them back.
                with suppress(OSError, RestoreError):  # it harms nobody
                    self._storage.forget_finished()
            if point.directory is not None:
                # This run is recorded as gone on from it. A killed process may not have synced it,
                # and a loss of power would leave a record that names nothing.
                self._disk.sync_directory(point.directory)
        return point.directory

    def _connect(
        self, restored: Path | None, first_id: int, work: Path, earlier: list[str]
    ) -> None:
        config, request = self._config, self._request
        committer = Committer(
            CommitRetries(config["sink.committer.retries"]),
            lambda failure: coordinator.answer_until_next_try(failure),
        )
        self._checkpoints = Checkpoints(
            self._checkpoint_settings(),
            self._storage,
            self._clock,
            committer,
            lambda message: post(message),
            first_id,
        )
        setup = JobSetup(
            name=request.name,
            run_id=self.run_id,
            plan=request.plan,
            restored=restored,
            restore_options=RestoreOptions(request.allow_non_restored_state, self._uid_map),
            later_output=request.later_output,
            earlier_run_ids=earlier,
            work_directory=work,
            has_checkpoints=self._has_checkpoints,
            on_progress=request.on_progress or (lambda status: None),
            stop_when=request.stop_when or (lambda: False),
            on_checkpoint=self._recorder.on_checkpoint,
            on_stop_savepoint=self._record_stop,
            savepoints=self._recorder.savepoints,
        )
        self._coordinator = coordinator = JobCoordinator(
            setup,
            self._checkpoints,
            committer,
            self._storage,
            make_restart_strategy(config, self._has_checkpoints, self._machine.random),
            self._clock,
        )
        self._worker = worker = Worker(
            TaskSettings(
                clock=self._clock,
                disk=self._disk,
                batch_sizes=BatchSizes(
                    config["execution.batch-size"], config["execution.column-batch-size"]
                ),
                buffer_timeout_ms=config["execution.buffer-timeout"],
                watermark_interval_ms=config["pipeline.auto-watermark-interval"],
                tell=self._machine.link(coordinator.tell),
            ),
            StateSettings(config["state.backend.type"], config["state.backend.memory"]),
            self._machine.random,
        )
        post = self._machine.link(worker.post)
        coordinator.connect(post)

    def _checkpoint_settings(self) -> CheckpointSettings:
        config, prefix = self._config, "execution.checkpointing"
        return CheckpointSettings(
            job_name=self._request.name,
            run_id=self.run_id,
            interval_ms=config[f"{prefix}.interval"],
            timeout_ms=config[f"{prefix}.timeout"],
            min_pause_ms=config[f"{prefix}.min-pause"],
            tolerable_failures=config[f"{prefix}.tolerable-failed-checkpoints"],
            retained=config[f"{prefix}.num-retained"],
            savepoints=config[f"{prefix}.savepoint-dir"],
            on_savepoint=self._recorder.on_savepoint,
            on_stop_savepoint=self._record_stop,
        )

    def _first_checkpoint_id(self, restored: Path | None) -> int:
        """Above every id that this job has used, and above the restored one (CP-1)."""
        highest = self._storage.highest_id() if self._request.is_recorded else 0
        if restored is not None:
            highest = max(highest, read_manifest(self._disk, restored).checkpoint_id)
        return highest + 1

    async def _run(self) -> JobResult:
        if self._is_finished:
            return JobResult(self.run_id, JobState.FINISHED.value, 0)
        assert self._coordinator is not None
        try:
            await self._run_both(self._coordinator, self._worker)
        except Exception as error:
            self._recorder.on_failed(error)
            if isinstance(error, RestoreError):
                self._recorder.on_refused(self._coordinator.has_recovered_sinks)
            raise
        finally:
            self._recorder.end(
                self._coordinator.state.value,
                self._clock.now_ms(),
                self._stop_savepoint(),
                keeps_checkpoints=self._keeps_checkpoints(self._coordinator.state),
            )
            for op in self._request.plan.operators():
                if op.sink is not None:
                    op.sink.close()
        return self._result()

    async def _run_both(self, coordinator: JobCoordinator, worker: Worker) -> None:
        """Until the end of the job; a worker that dies of a bug must not leave it waiting."""
        loop = asyncio.get_running_loop()
        running = loop.create_task(contained(coordinator.run, "the coordinator"))
        serving = loop.create_task(worker.run())
        try:
            await asyncio.wait([running, serving], return_when=asyncio.FIRST_COMPLETED)
            await (running if running.done() else serving)
        finally:
            running.cancel()
            serving.cancel()
            await asyncio.wait([running, serving])

    def _result(self) -> JobResult:
        assert self._coordinator is not None
        assert self._checkpoints is not None
        latest = self._checkpoints.latest
        progress, plan = self._coordinator.progress, self._request.plan
        return JobResult(
            job_id=self.run_id,
            state=self._coordinator.state.value,
            duration_ms=round((self._clock.monotonic_s() - self._started_s) * 1_000),
            records_in=progress.records_in(plan),
            records_out=progress.records_out(plan),
            restarts=progress.restarts,
            last_checkpoint=None if latest is None else latest.checkpoint_id,
            savepoint_path=self._coordinator.savepoint,
        )

    def _keeps_checkpoints(self, state: JobState) -> bool:
        """Whether anybody could still go on from them (CP-61)."""
        if state is JobState.FINISHED:
            return self._stop_savepoint() is not None
        key = "execution.checkpointing.externalized-checkpoint-retention"
        return state is not JobState.CANCELED or self._config[key] == "retain-on-cancellation"

    def _stop_savepoint(self) -> str | None:
        """The savepoint of a stop, also of one that failed after sinks may have committed it."""
        assert self._checkpoints is not None
        stop, latest = self._checkpoints.stop_savepoint, self._checkpoints.latest
        if stop is None or (latest is not None and latest.checkpoint_id > stop.checkpoint_id):
            return None
        return str(stop.directory)

    def _record_stop(self) -> None:
        self._recorder.on_stop_savepoint(self._stop_savepoint())

    async def _open_control(self) -> None:
        async def savepoint(request: dict[str, Any]) -> dict[str, Any]:
            return {"path": await self.savepoint(request.get("directory"))}

        async def stop(request: dict[str, Any]) -> dict[str, Any]:
            drain = bool(request.get("drain"))
            return {"path": await self.stop(request.get("directory"), drain=drain)}

        async def status(request: dict[str, Any]) -> dict[str, Any]:
            return self.status()

        async def cancel(request: dict[str, Any]) -> dict[str, Any]:
            self.cancel()
            return {}

        secret = self._machine.make_token(16)
        commands = {"savepoint": savepoint, "stop": stop, "status": status, "cancel": cancel}
        self._control = ControlServer(secret, commands)
        port = await self._control.start()
        path = self._config.home / "jobs" / f"{self.run_id}.json"
        write_entry(
            path,
            JobEntry(
                id=self.run_id,
                name=self._request.name,
                pid=os.getpid(),
                host=HOST,
                port=port,
                secret=secret,
                started_ms=self._started_ms,
                script=self._request.script,
            ),
        )
        self._closing.append(lambda: path.unlink(missing_ok=True))

    async def _ask(self, directory: str | Path | None, kind: CheckpointKind, is_drain: bool) -> str:
        if self._coordinator is None:
            raise TransientError("the job has ended")
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        target = None if directory is None else Path(directory)
        self._coordinator.tell(SavepointRequest(target, reply, kind, is_drain))
        return await reply

    async def _close(self) -> None:
        if self._control is not None:
            await self._control.close()
        for close in reversed(self._closing):
            close()
        self._closing.clear()
