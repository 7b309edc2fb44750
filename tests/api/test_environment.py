"""Settings, plans and executions of an environment, over a runtime that only takes notes."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from streamlet import ConfigError, GraphError, PartitionedSource, StreamExecutionEnvironment
from streamlet.api.collect import CollectSink
from streamlet.api.prepared import PlanOnly, PreparedRun, prepared_run
from streamlet.config import Configuration
from streamlet.runtime.run import JobInterrupted
from streamlet.sink import WriterContext

INTERVAL = "execution.checkpointing.interval"


class NotingRuntime(ModuleType):
    """Stands in for `streamlet.runtime.run`: notes requests, and feeds 0..9 to every sink."""

    JobInterrupted = JobInterrupted

    def __init__(self) -> None:
        super().__init__("streamlet.runtime.run")
        self.requests: list[SimpleNamespace] = []

    def run_job(self, request: SimpleNamespace) -> SimpleNamespace:
        self.requests.append(request)
        for operator in request.plan.operators():
            if operator.sink is not None:
                writer = operator.sink.create_writer(WriterContext("run", 0, 1))
                for value in range(10):
                    if request.stop_when is None or not request.stop_when():
                        writer.write([value], None)
        return SimpleNamespace(state="finished")

    async def start_job(self, request: SimpleNamespace) -> str:
        self.requests.append(request)
        return "client"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> NotingRuntime:
    noting = NotingRuntime()
    monkeypatch.setitem(sys.modules, "streamlet.runtime.run", noting)
    return noting


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STREAMLET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@dataclass
class Job:
    env: StreamExecutionEnvironment = field(default_factory=StreamExecutionEnvironment)

    def __post_init__(self) -> None:
        self.stream = self.env.from_collection([1, 2, 3]).map(lambda value: value)


def test_settings_made_in_code_are_the_plans_defaults() -> None:
    env = StreamExecutionEnvironment({"pipeline.max-parallelism": 64})
    env.set_parallelism(3).disable_operator_chaining()
    env.from_sequence(1, 9).map(str).print()
    plan = env.get_execution_plan()
    assert [vertex.parallelism for vertex in plan.vertices] == [1, 3, 3]
    assert {vertex.max_parallelism for vertex in plan.vertices} == {64}


def test_settings_may_come_after_the_operators() -> None:
    job = Job()
    job.stream.print()
    job.env.set_parallelism(2).set_max_parallelism(32)
    plan = job.env.get_execution_plan()
    assert [(v.parallelism, v.max_parallelism) for v in plan.vertices] == [(1, 32), (2, 32)]


@pytest.mark.parametrize("values", [{"paralelism": 1}, {"parallelism.default": 0}])
def test_wrong_setting_is_refused_and_changes_nothing(values: dict[str, Any]) -> None:
    env = StreamExecutionEnvironment()
    with pytest.raises(ConfigError):
        env.configure(values)
    assert env.config["parallelism.default"] == 1


def test_checkpoint_interval_is_a_setting() -> None:
    env = StreamExecutionEnvironment().enable_checkpointing("3s")
    assert env.config[INTERVAL] == 3_000


def test_execute_hands_the_plan_and_the_settings_to_the_runtime(runtime: NotingRuntime) -> None:
    job = Job()
    job.stream.print()
    result: Any = job.env.execute("counts")
    assert result.state == "finished"
    (request,) = runtime.requests
    assert (request.name, request.savepoint, request.resume) == ("counts", None, False)
    assert request.config[INTERVAL] == 10_000
    assert [vertex.name for vertex in request.plan.vertices] == ["collection -> map -> print"]


def test_second_execution_runs_only_what_was_added_since(runtime: NotingRuntime) -> None:
    job = Job()
    job.stream.print("first")
    job.env.execute()
    with pytest.raises(GraphError, match="nothing to execute"):
        job.env.execute()
    job.stream.print("second").name("second")
    job.env.execute()
    names = [operator.name for operator in runtime.requests[-1].plan.operators()]
    assert names[1:] == ["map", "second"]


def test_execute_async_gives_the_client(runtime: NotingRuntime) -> None:
    job = Job()
    job.stream.print()
    client: Any = asyncio.run(job.env.execute_async("later"))
    assert client == "client"
    assert runtime.requests[0].name == "later"


def test_collecting_runs_without_checkpoints_unless_told(runtime: NotingRuntime) -> None:
    Job().stream.execute_and_collect()
    told = Job()
    told.env.enable_checkpointing("1s")
    told.stream.execute_and_collect()
    assert [request.config[INTERVAL] for request in runtime.requests] == [None, 1_000]


def test_collect_gives_the_records_and_stops_at_the_limit(runtime: NotingRuntime) -> None:
    job = Job()
    assert job.stream.execute_and_collect() == list(range(10))
    assert job.stream.execute_and_collect(limit=2) == [0, 1]
    sink = next(operator.sink for operator in runtime.requests[1].plan.operators() if operator.sink)
    assert isinstance(sink, CollectSink)
    assert len(sink) == 2, "the runtime is told to stop, not to go on and drop"


def test_several_streams_are_collected_in_one_run(runtime: NotingRuntime) -> None:
    job = Job()
    results = job.env.execute_and_collect({"main": job.stream, "odd": job.stream.filter(bool)}, 3)
    assert results == {"main": [0, 1, 2], "odd": [0, 1, 2]}
    assert len(runtime.requests) == 1


def test_iterating_gives_the_records_of_bounded_sources(runtime: NotingRuntime) -> None:
    assert next(Job().stream.execute_and_iterate()) == 0


def test_iterating_over_an_endless_source_is_refused(runtime: NotingRuntime) -> None:
    class Endless(PartitionedSource[int]):
        def list_partitions(self) -> list[str]:
            return []

        def open_partition(self, name: str, position: Any | None) -> Any:
            raise AssertionError

    env = StreamExecutionEnvironment()
    with pytest.raises(GraphError, match="sources that end"):
        env.from_source(Endless()).execute_and_iterate()
    assert runtime.requests == []


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., PreparedRun]:
    return partial(PreparedRun, Configuration(tmp_path), script="job.py")


@pytest.fixture
def prepared_with_path(tmp_path: Path) -> Callable[..., PreparedRun]:
    """Under `streamlet run`, with a file in the home that names a savepoint."""
    (tmp_path / "streamlet.toml").write_text('execution.state-recovery.path = "of-the-file"')
    env = {"STREAMLET_HOME": str(tmp_path)}
    return partial(PreparedRun, Configuration.load(env, tmp_path), script="job.py")


def test_prepared_run_sets_up_the_request_and_gets_the_result(
    runtime: NotingRuntime, prepared: Callable[..., PreparedRun]
) -> None:
    with prepared_run(prepared()) as run:
        job = Job(StreamExecutionEnvironment.get_execution_environment())
        recovery = "execution.state-recovery"
        job.env.configure({f"{recovery}.path": "sp-1", f"{recovery}.ignore-unclaimed-state": True})
        job.stream.print()
        result: Any = job.env.execute()
    (request,) = runtime.requests
    assert (request.savepoint, request.script) == ("sp-1", "job.py")
    assert request.allow_non_restored_state
    assert (run.executions, run.results) == (1, [result])


@pytest.mark.parametrize(
    ("is_resumed", "in_code", "savepoint"),
    [
        (False, None, "of-the-file"),
        (False, "of-the-code", "of-the-code"),
        (True, None, None),
        (True, "of-the-code", None),
    ],
)
def test_savepoint_is_a_setting_and_resume_goes_before_it(
    runtime: NotingRuntime,
    prepared_with_path: Callable[..., PreparedRun],
    is_resumed: bool,
    in_code: str | None,
    savepoint: str | None,
) -> None:
    with prepared_run(prepared_with_path(resume=is_resumed)):
        job = Job()
        if in_code is not None:
            job.env.configure({"execution.state-recovery.path": in_code})
        job.stream.print()
        job.env.execute()
    (request,) = runtime.requests
    assert (request.savepoint, request.resume) == (savepoint, is_resumed)


def test_plan_only_ends_the_script_with_the_plan(
    runtime: NotingRuntime, prepared: Callable[..., PreparedRun]
) -> None:
    with prepared_run(prepared(plan_only=True)) as run:
        job = Job(StreamExecutionEnvironment.get_execution_environment())
        job.stream.print()
        with pytest.raises(PlanOnly) as stopped:
            job.env.execute()
    assert len(stopped.value.request.plan.vertices) == 1
    assert (run.executions, runtime.requests) == (1, [])


def build_and_forget(is_executed: bool) -> None:
    job = Job()
    job.stream.print()
    if is_executed:
        job.env.execute()


@pytest.mark.parametrize("is_executed", [True, False])
def test_script_that_never_executes_is_reminded(
    runtime: NotingRuntime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_executed: bool,
) -> None:
    main = ModuleType("__main__")
    main.__file__ = __file__
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.delattr(sys, "last_value", raising=False)
    with caplog.at_level(logging.WARNING, logger="streamlet"):
        build_and_forget(is_executed)
    assert [record.levelname for record in caplog.records] == ([] if is_executed else ["WARNING"])
    assert is_executed or "test_environment.py:" in caplog.text
