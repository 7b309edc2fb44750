"""A job captured from a test instead of executed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from streamlet.api.environment import StreamExecutionEnvironment
from streamlet.api.prepared import PreparedRun, prepared_run
from streamlet.api.stream import DataStream
from streamlet.config import Configuration, Layer, Setting
from streamlet.errors import ConfigError
from streamlet.runtime.setup import JobRequest, JobResult
from streamlet.testing.list_sink import ListSink

BuildJob: TypeAlias = Callable[[StreamExecutionEnvironment], "DataStream[Any] | None"]
"""Builds one pipeline: it gives a stream, or ends in sinks, with or without an `execute`."""


def capture_job(build: BuildJob, settings: Mapping[str, Any]) -> JobRequest:
    """What the pipeline asks to run under these settings; nothing runs.

    `settings` win over all others. `build` may use the environment that it is given or one of its
    own, as a script's `main` does. Raises ConfigError unless it makes exactly one job.
    """
    refuse_running_loop()
    captured: list[JobRequest] = []

    def keep(request: JobRequest) -> JobResult:
        captured.append(request)
        return JobResult("captured", "FINISHED", 0)

    config = with_settings(Configuration.load(os.environ, Path.cwd()), settings)
    with prepared_run(PreparedRun(config, runner=keep)):
        env = StreamExecutionEnvironment.get_execution_environment()
        stream = build(env)
        if isinstance(stream, DataStream):
            stream.sink_to(ListSink()).name("output")
        if env.graph.has_work:
            env.execute()
    if len(captured) != 1:
        raise ConfigError(
            f"the job made {len(captured)} pipelines, expected one: give a function of the "
            "environment that returns a stream, or one that calls execute() once"
        )
    check_bounded(captured[0])
    return captured[0]


def check_bounded(request: JobRequest) -> None:
    """Raises ConfigError when a source never ends: such a job has no output to compare."""
    for op in request.plan.operators():
        if op.source is not None and not op.source.bounded:
            raise ConfigError(
                f"source {op.name!r} never ends, so there is no whole output to compare. Expected\n"
                "sources that end: from_collection, ScriptedSource, files without follow,\n"
                "DataGenSource(count=...), a PartitionedSource with bounded = True"
            )


def refuse_running_loop() -> None:
    """Raises ConfigError inside a running event loop: a simulated one cannot run there."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "the job runs on a simulated event loop, and another loop is running here already;\n"
        "call this from a plain function, not from a coroutine"
    )


def with_settings(config: Configuration, settings: Mapping[str, Any]) -> Configuration:
    """The configuration in which these win over all others, as on the command line."""
    said = {name: Setting(value, "the test") for name, value in settings.items()}
    layers = dict(config.layers)
    layers[Layer.COMMAND_LINE] = {**layers.get(Layer.COMMAND_LINE, {}), **said}
    return replace(config, layers=layers)
