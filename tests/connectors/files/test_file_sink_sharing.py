"""FileSink: one directory belongs to one operator of a job."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from streamlet import StreamExecutionEnvironment
from streamlet.connectors.files import FileSink
from streamlet.errors import FatalError, GraphError
from streamlet.sink import RestoreContext


def test_one_sink_in_two_places_is_refused_before_the_start(tmp_path: Path) -> None:
    """It failed late: the second writer met the files of the first."""
    env, sink = StreamExecutionEnvironment(), FileSink.json_lines(tmp_path / "out")
    env.from_collection([1]).sink_to(sink).name("first")
    env.from_collection([2]).sink_to(sink).name("second")
    with pytest.raises(GraphError) as caught:
        env.get_execution_plan()
    message = str(caught.value)
    assert "'first'" in message
    assert "'second'" in message
    assert str(tmp_path / "out") in message


def test_two_sinks_of_one_directory_are_refused_however_it_is_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "out")
    for other in ("out", "./out/", "x/../out", "link"):
        env = StreamExecutionEnvironment()
        env.from_collection([1]).sink_to(FileSink.json_lines(tmp_path / "out"))
        env.from_collection([2]).sink_to(FileSink.csv(other))
        with pytest.raises(GraphError):
            env.get_execution_plan()


def test_directories_beside_each_other_are_two(tmp_path: Path) -> None:
    env = StreamExecutionEnvironment()
    env.from_collection([1]).sink_to(FileSink.json_lines(tmp_path / "out" / "a"))
    env.from_collection([2]).sink_to(FileSink.json_lines(tmp_path / "out" / "b"))
    assert env.get_execution_plan().vertices


def test_one_job_after_the_other_may_write_there(tmp_path: Path) -> None:
    env, sink = StreamExecutionEnvironment(), FileSink.json_lines(tmp_path / "out")
    for _ in range(2):
        env.from_collection([1]).sink_to(sink)
        assert env.get_execution_plan().vertices
        env.graph.forget_executed()


def test_directory_that_was_removed_is_locked_again_or_left_to_another_job(tmp_path: Path) -> None:
    """Its lock went with it, and another job could have taken the new one unnoticed."""
    directory = tmp_path / "out"
    sink, other = FileSink.json_lines(directory), FileSink.json_lines(directory)
    sink.recover(RestoreContext(0, ["r1"]))
    shutil.rmtree(directory)
    sink.commit([])
    with pytest.raises(FatalError, match="another job writes to"):
        other.recover(RestoreContext(0, ["r2"]))
    shutil.rmtree(directory)
    other.recover(RestoreContext(0, ["r2"]))
    with pytest.raises(FatalError, match="another job writes to"):
        sink.commit([])
    sink.close()
    other.close()
