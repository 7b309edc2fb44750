"""What a traceback of `python job.py` shows: the user's lines, and not the engine's."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from streamlet import StreamExecutionEnvironment
from streamlet.errors import InternalError


def shares(value: int) -> float:
    return 1 / value


def execute() -> Any:
    env = StreamExecutionEnvironment({"execution.checkpointing.interval": "off"})
    return env.from_collection([0]).map(shares).execute_and_collect()


def test_traceback_leads_from_the_execution_to_the_function_that_failed() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        execute()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames if frame.filename == __file__][1:] == [
        "execute",
        "shares",
    ]
    assert not [frame for frame in frames if "/runtime/" in frame.filename]
    assert len(traceback.format_exception(caught.value)) <= 15
    assert "in operator 'map'" in caught.value.__notes__[0]


def test_all_frames_are_kept_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLET_DEBUG", "1")
    with pytest.raises(ZeroDivisionError) as caught:
        execute()
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame for frame in frames if "/runtime/" in frame.filename]


def test_bug_in_the_engine_keeps_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(request: Any) -> Any:
        raise InternalError("a bug")

    monkeypatch.setattr("streamlet.runtime.run.run_job", break_down)
    with pytest.raises(InternalError) as caught:
        execute()
    assert "break_down" in [f.name for f in traceback.extract_tb(caught.value.__traceback__)]
