"""A home directory, a job that answers, and a status to render."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that commands find, and a working directory without settings."""
    directory = tmp_path / "home"
    directory.mkdir()
    for variable in [name for name in os.environ if name.startswith("STREAMLET_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("STREAMLET_HOME", str(directory))
    monkeypatch.chdir(tmp_path)
    return directory


@pytest.fixture
def status() -> dict[str, Any]:
    """What a coordinator reports."""
    source = operator("src", "clicks", records_in=0, records_out=12_000)
    sessions = operator("ses", "sessionize", records_in=12_000, records_out=340, late_dropped=2)
    return {
        "id": "a1b2c3",
        "name": "clicks",
        "state": "RUNNING",
        "attempt": 1,
        "restarts": 0,
        "last_failure": None,
        "uptime_ms": 83_000,
        "last_checkpoint": {
            "id": 7,
            "duration_ms": 120,
            "size_bytes": 5_300_000,
            "completed_ms": 1_000_000,
        },
        "checkpoints": {"completed": 7, "failed": 0},
        "operators": [source, sessions],
    }


def operator(uid: str, name: str, **numbers: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "name": name,
        "parallelism": 2,
        "watermark_ms": 1_000,
        "watermark_lag_ms": 4_200,
        "busy": 0.25,
        "late_dropped": 0,
        **numbers,
    }


@dataclass
class FakeJob:
    """A coordinator that gives one prepared answer after the other."""

    entry: Path
    port: int
    replies: list[bytes] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def will_answer(self, result: dict[str, Any]) -> None:
        self.replies.append(msgpack.packb({"ok": True, "result": result}))


WriteEntry = Callable[..., Path]


@pytest.fixture
def write_entry(home: Path) -> WriteEntry:
    """Writes a registry entry as the runtime does; by default of this process."""

    def write(id: str = "a1b2c3", **changes: Any) -> Path:  # noqa: A002 - a field of the entry
        entry = {
            "id": id,
            "name": "clicks",
            "pid": os.getpid(),
            "host": "127.0.0.1",
            "port": 1,
            "secret": "s3cret",
            "started_ms": 1_000,
            "script": "job.py",
            **changes,
        }
        path = home / "jobs" / f"{id}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(entry))
        return path

    return write


@pytest.fixture
def fake_job(write_entry: WriteEntry) -> Iterator[FakeJob]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        job = FakeJob(write_entry(port=port), port)
        thread = threading.Thread(target=_serve, args=(listener, job))
        thread.start()
        yield job
        # Wakes accept(): closing the listener from here would leave it waiting.
        job.replies.clear()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def _serve(listener: socket.socket, job: FakeJob) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            received = connection.recv(65_536)
            if not received:
                return
            job.requests.append(msgpack.unpackb(received))
            if job.replies:
                connection.sendall(job.replies.pop(0))
