"""What user code raises to leave the program fails its job, and is told like any failure."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from streamlet.errors import FatalError
from streamlet.testing import ListSink
from tests.runtime.pipelines import environment


def leave() -> Any:
    sys.exit(3)


def interrupt() -> Any:
    raise KeyboardInterrupt


def cancel() -> Any:
    raise asyncio.CancelledError


class LeavingSink(ListSink):
    def commit(self, committables: Sequence[Any]) -> None:
        leave()


@pytest.mark.parametrize("escape", [leave, interrupt, cancel])
def test_a_function_cannot_leave_the_program(escape: Callable[[], Any], home: Path) -> None:
    """No restart: it would only meet the same again. The end of the run is on record."""
    env = environment()
    env.from_collection([1]).map(lambda _: escape()).sink_to(ListSink())
    with pytest.raises(FatalError, match=r"SystemExit: 3|KeyboardInterrupt|Cancelled") as caught:
        env.execute("leaving")
    assert caught.traceback[-1].name == escape.__name__
    (record,) = (home / "checkpoints" / "leaving").glob("*/run.json")
    assert json.loads(record.read_text())["state"] == "FAILED"
    assert not list((home / "jobs").glob("*"))


def test_a_commit_cannot_leave_the_program() -> None:
    env = environment()
    env.from_collection([1]).sink_to(LeavingSink())
    with pytest.raises(FatalError, match="SystemExit: 3"):
        env.execute("leaving")


def test_a_group_that_user_code_raises_is_kept_whole() -> None:
    def fail(_: Any) -> Any:
        raise ExceptionGroup("both", [ValueError(1), KeyError(2)])

    env = environment(restart_strategy__type="none")
    env.from_collection([1]).map(fail).sink_to(ListSink())
    with pytest.raises(ExceptionGroup) as caught:
        env.execute("group")
    assert len(caught.value.exceptions) == 2
