"""One line to a job, one line back; a job that is gone is recognised."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgpack
import pytest

from streamlet.cli.client import JobGoneError, ask
from streamlet.cli.registry import RunningJob, running_jobs
from streamlet.errors import StreamletError

if TYPE_CHECKING:
    from tests.cli.conftest import FakeJob


def only_job(home: Path) -> RunningJob:
    (job,) = running_jobs(home)
    return job


def test_question_carries_secret_command_and_arguments(home: Path, fake_job: FakeJob) -> None:
    fake_job.will_answer({"path": "sp/1"})
    assert ask(only_job(home), "savepoint", {"directory": "sp"}) == {"path": "sp/1"}
    assert fake_job.requests == [{"secret": "s3cret", "command": "savepoint", "directory": "sp"}]


def test_refusal_is_told_in_the_jobs_words(home: Path, fake_job: FakeJob) -> None:
    fake_job.replies.append(msgpack.packb({"ok": False, "error": "a savepoint is under way"}))
    with pytest.raises(StreamletError, match="a savepoint is under way"):
        ask(only_job(home), "savepoint")


@pytest.mark.parametrize("torn", [b"", msgpack.packb({"ok": True})[:-1]])
def test_job_that_ends_before_it_answers_is_gone(
    home: Path, fake_job: FakeJob, torn: bytes
) -> None:
    fake_job.replies.append(torn)
    with pytest.raises(JobGoneError, match="before it answered"):
        ask(only_job(home), "status")


def test_refused_connection_removes_the_stale_entry(
    home: Path, write_entry: Callable[..., Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    entry = write_entry(port=port)
    with pytest.raises(JobGoneError, match="no longer running"):
        ask(only_job(home), "status")
    assert not entry.exists()


def test_job_that_does_not_answer_is_not_waited_for(
    home: Path, write_entry: Callable[..., Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        entry = write_entry(port=listener.getsockname()[1])
        with pytest.raises(StreamletError, match="does not answer"):
            ask(only_job(home), "status", reply_timeout_s=0.02)
    assert entry.exists()


@pytest.mark.parametrize("line", [b"HTTP/1.1 400 Bad Request\n", msgpack.packb([1]), b"\xc1"])
def test_stranger_on_the_jobs_port_is_recognised(
    home: Path, fake_job: FakeJob, line: bytes
) -> None:
    fake_job.replies.append(line)
    with pytest.raises(StreamletError, match="is not job"):
        ask(only_job(home), "status")
