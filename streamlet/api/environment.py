"""StreamExecutionEnvironment: where a pipeline begins, is set up, and is executed."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypeVar

from streamlet.api.call_site import drop_engine_frames, refusal
from streamlet.api.collect import CollectSink
from streamlet.api.operator_result import new_node
from streamlet.api.prepared import PlanOnly, PreparedRun, current_run
from streamlet.api.stream import DataStream
from streamlet.config import Configuration
from streamlet.eventtime.watermarks import WatermarkStrategy
from streamlet.graph import StreamGraph
from streamlet.planner import PlanDefaults, plan_graph
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.source import Source

if TYPE_CHECKING:
    from streamlet.plan import ExecutionPlan
    from streamlet.runtime.run import JobClient
    from streamlet.units import Duration

T = TypeVar("T", default=Any)

_log = logging.getLogger("streamlet")
_INTERVAL = "execution.checkpointing.interval"


@dataclass(slots=True)
class JobSettings:
    """What files, variables and the command line say, and what the script sets over it."""

    base: Configuration
    code: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Configuration:
        return self.base.with_code(self.code)

    def set(self, values: Mapping[str, Any]) -> None:
        """Adds to what the script sets; raises ConfigError and changes nothing if it is wrong."""
        self.base.with_code(values)
        self.code.update(values)


class StreamExecutionEnvironment:
    """Builds one graph, and runs it.

    `config` sets keys as `configure` does. Use `get_execution_environment()` unless there is a
    reason not to.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._run = current_run()
        base = self._run.config if self._run else Configuration.load(os.environ, Path.cwd())
        self.settings = JobSettings(base)
        self.settings.set(config or {})
        self.graph = StreamGraph()
        # Under `streamlet run` the command line says it, as an error.
        self._reminder = (
            None if self._run else weakref.finalize(self, _remind, self.graph, _script())
        )

    @classmethod
    def get_execution_environment(
        cls, config: Mapping[str, Any] | None = None
    ) -> StreamExecutionEnvironment:
        """The environment that the command line prepared, or one with the files' settings."""
        return cls(config)

    @property
    def config(self) -> Configuration:
        """All settings as they stand now."""
        return self.settings.config

    def configure(self, values: Mapping[str, Any]) -> StreamExecutionEnvironment:
        """Sets keys of the configuration; files given on the command line win over it."""
        self.settings.set(values)
        return self

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """How many subtasks an operator has unless it says otherwise."""
        return self.configure({"parallelism.default": parallelism})

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """How far the job can ever be scaled; fixed by its first checkpoint."""
        return self.configure({"pipeline.max-parallelism": max_parallelism})

    def set_runtime_mode(self, mode: Literal["streaming"]) -> StreamExecutionEnvironment:
        """Bounded input runs in streaming mode too, and ends; there is no other mode yet."""
        return self.configure({"execution.runtime-mode": mode})

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Runs every operator in a task of its own."""
        return self.configure({"pipeline.operator-chaining.enabled": False})

    def enable_checkpointing(
        self, interval: Duration, mode: Literal["exactly_once"] = "exactly_once"
    ) -> StreamExecutionEnvironment:
        """Takes a checkpoint every `interval`; it is on by default, every 10 s."""
        if mode != "exactly_once":
            raise refusal("enable_checkpointing", f"knows mode 'exactly_once' only, got {mode!r}")
        return self.configure({_INTERVAL: interval})

    def from_source(
        self,
        source: Source[T],
        watermark_strategy: WatermarkStrategy[Any] | None = None,
        name: str | None = None,
    ) -> DataStream[T]:
        """The records of a source; without a strategy it brings its own event time, or none."""
        if not isinstance(source, Source):
            raise refusal("from_source", f"takes a Source, got {source!r}")
        strategy = watermark_strategy or WatermarkStrategy.no_watermarks()
        if not isinstance(strategy, WatermarkStrategy):
            raise refusal("from_source", f"takes a WatermarkStrategy, got {watermark_strategy!r}")
        node = new_node(
            "source",
            None,
            type(source).__name__,
            name=name or source.name,
            source=source,
            strategy=strategy,
            is_stateful=True,
            side_tags=None,
            has_own_name=name is not None,
        )
        return DataStream.after(self, self.graph.add(node, []).id)

    def from_collection(
        self,
        items: Iterable[T],
        watermark_strategy: WatermarkStrategy[Any] | None = None,
        name: str | None = None,
    ) -> DataStream[T]:
        """The items in their order, read by one subtask."""
        from streamlet.connectors.collection import CollectionSource

        source = CollectionSource(items)
        return self.from_source(source, watermark_strategy, name).set_parallelism(1)

    def from_sequence(self, first: int, last: int) -> DataStream[int]:
        """The ints from `first` to `last`, both included, in their order."""
        from streamlet.connectors.collection import SequenceSource

        return self.from_source(SequenceSource(first, last)).set_parallelism(1)

    def get_execution_plan(self) -> ExecutionPlan:
        """What an execution would run: everything added since the last one."""
        self._forget_reminder()
        return self._plan(self.config)

    def execute(self, name: str | None = None) -> JobResult:
        """Runs the pipeline to its end; raises what made it fail.

        Ctrl-C and SIGTERM stop it after a last checkpoint, and then raise KeyboardInterrupt here.
        """
        return self._run_to_end(self.config, name, None)

    async def execute_async(self, name: str | None = None) -> JobClient:
        """Starts the pipeline in the running event loop."""
        if self._run is not None and self._run.runner is not None:
            raise refusal(
                "execute_async",
                "starts a job in the running event loop, which a test's simulated one cannot "
                "replace; call execute() or execute_and_collect()",
            )
        request = self._request(self.config, name, None)
        from streamlet.runtime.run import start_job

        return await start_job(request)

    def execute_and_collect(
        self, streams: Mapping[str, DataStream[Any]], limit: int | None = None
    ) -> dict[str, list[Any]]:
        """Runs the pipeline once and gives the records of each stream.

        With a `limit` it stops as soon as every stream has that many. Without checkpoints, unless
        the configuration asks for them.
        """
        sinks: dict[str, CollectSink] = {}
        for label, stream in streams.items():
            sinks[label] = CollectSink()
            stream.sink_to(sinks[label])
        is_done = None if limit is None else _all_have(limit, list(sinks.values()))
        is_recorded = self.config.is_set(_INTERVAL)
        self._run_to_end(self._collecting_config(), None, is_done, is_recorded=is_recorded)
        return {label: sink.values(limit) for label, sink in sinks.items()}

    def execute_and_iterate(self, stream: DataStream[T]) -> Iterator[T]:
        """Runs the pipeline to its end and yields the stream's records; sources must be bounded."""
        if not self._plan_is_bounded():
            raise refusal(
                "execute_and_iterate",
                "needs sources that end; for others there are execute_and_collect(limit=...) "
                "and sink_to()",
            )
        return iter(self.execute_and_collect({"": stream})[""])

    def _plan_is_bounded(self) -> bool:
        sources = [node.source for node in self.graph.pending().nodes]
        return all(source.bounded for source in sources if source is not None)

    def _collecting_config(self) -> Configuration:
        config = self.config
        return config if config.is_set(_INTERVAL) else config.with_code({_INTERVAL: "off"})

    def _plan(self, config: Configuration) -> ExecutionPlan:
        defaults = PlanDefaults(
            config["parallelism.default"],
            config["pipeline.max-parallelism"],
            config["pipeline.operator-chaining.enabled"],
        )
        return plan_graph(self.graph.pending(), defaults)

    def _run_to_end(
        self,
        config: Configuration,
        name: str | None,
        is_done: Callable[[], bool] | None,
        *,
        is_recorded: bool = True,
    ) -> JobResult:
        request = self._request(config, name, is_done, is_recorded=is_recorded)
        from streamlet.runtime.run import JobInterrupted, run_job  # not before: a plan needs none

        runner = self._run.runner if self._run else None
        try:
            result = (runner or run_job)(request)
        except JobInterrupted as interruption:
            self._take_result(interruption.result, request.script)
            raise KeyboardInterrupt from None  # the script must not go on with half a result
        except Exception as error:
            # The command line shows what matters by itself, and all of it with --debug.
            is_shown_there = self._run is not None and runner is None
            if not is_shown_there and os.environ.get("STREAMLET_DEBUG", "0") in ("", "0"):
                drop_engine_frames(error)
            raise
        self._take_result(result, request.script)
        return result

    def _take_result(self, result: JobResult, script: str) -> None:
        """Hands the result to the command line; without one, says itself how to go on."""
        if self._run:
            self._run.results.append(result)
        elif result.state == "SUSPENDED":
            arguments = ["--", *sys.argv[1:]] if sys.argv[1:] else []
            command = shlex.join(["streamlet", "run", "--resume", script, *arguments])
            _log.warning("job %s was interrupted; go on with: %s", result.job_id, command)

    def _request(
        self,
        config: Configuration,
        name: str | None,
        is_done: Callable[[], bool] | None,
        *,
        is_recorded: bool = True,
    ) -> JobRequest:
        self._forget_reminder()
        plan = self._plan(config)
        run = self._run or PreparedRun(config, script=_script())
        run.executions += 1
        request = JobRequest(
            plan=plan,
            name=name or _default_name(),
            config=config,
            # --resume is about this job's own checkpoints: a path in a file does not count then.
            savepoint=None if run.resume else config["execution.state-recovery.path"],
            resume=run.resume,
            allow_non_restored_state=config["execution.state-recovery.ignore-unclaimed-state"],
            uid_map=run.uid_map,
            later_output=run.later_output,
            on_progress=run.on_progress,
            stop_when=is_done,
            script=run.script,
            is_recorded=is_recorded,
        )
        if run.plan_only:
            raise PlanOnly(request, run.look(request))
        run.may_resume = is_recorded and config[_INTERVAL] is not None
        self.graph.forget_executed()
        return request

    def _forget_reminder(self) -> None:
        if self._reminder is not None:
            self._reminder.detach()


def _all_have(count: int, sinks: list[CollectSink]) -> Callable[[], bool]:
    return lambda: all(len(sink) >= count for sink in sinks)


def _remind(graph: StreamGraph, script: str) -> None:
    """Called when an environment is gone that was never executed.

    Silent where the program is not the script that built it (a test runner, a notebook), and
    after a crash, whose traceback has said why. `script` was asked for when the environment was
    made: at the end of the program python has forgotten it.
    """
    if not graph.has_work or hasattr(sys, "last_value"):
        return
    location = graph.nodes[-1].location
    if location.rpartition(":")[0] == Path(script).name:
        _log.warning(
            "%s: this pipeline was built and never executed; call env.execute() at the end",
            location,
        )


def _script() -> str:
    """The file that is run as a program; empty where there is none, as in a notebook."""
    return str(getattr(sys.modules.get("__main__"), "__file__", None) or "")


def _default_name() -> str:
    script = Path(_script())
    name = script.parent.name if script.stem == "__main__" else script.stem
    return name or "streamlet-job"
