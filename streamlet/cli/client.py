"""Asks a running job: one MessagePack map to its coordinator, one back."""

from __future__ import annotations

import socket
from typing import Any

import msgpack

from streamlet.cli.registry import RunningJob
from streamlet.errors import StreamletError

CONNECT_TIMEOUT_S = 5.0
REPLY_TIMEOUT_S = 10.0


class JobGoneError(StreamletError):
    """The job ended before it could answer."""


def ask(
    job: RunningJob,
    command: str,
    arguments: dict[str, Any] | None = None,
    *,
    reply_timeout_s: float | None = REPLY_TIMEOUT_S,
) -> dict[str, Any]:
    """The result of the command; `reply_timeout_s` None waits as long as the job lives.

    Raises JobGoneError when nobody listens any more (the registry entry is then removed), and
    StreamletError with the job's own words when it refuses.
    """
    request = {**(arguments or {}), "secret": job.secret, "command": command}
    reply = _decoded(job, _exchange(job, msgpack.packb(request), reply_timeout_s))
    if reply is None:
        raise JobGoneError(f"job {job.id} ({job.name}) ended before it answered {command!r}")
    if not reply.get("ok"):
        raise StreamletError(f"job {job.id} ({job.name}): {reply.get('error', 'no reason given')}")
    result: dict[str, Any] = reply.get("result") or {}
    return result


def _exchange(job: RunningJob, request: bytes, reply_timeout_s: float | None) -> bytes:
    try:
        with _connect(job) as connection:
            connection.settimeout(reply_timeout_s)
            connection.sendall(request)
            with connection.makefile("rb") as replies:
                return replies.read()
    except TimeoutError:
        raise StreamletError(
            f"job {job.id} ({job.name}) does not answer; "
            f"its process {job.pid} may be suspended or too busy"
        ) from None
    except (ConnectionResetError, BrokenPipeError):
        return b""


def _connect(job: RunningJob) -> socket.socket:
    try:
        return socket.create_connection((job.host, job.port), CONNECT_TIMEOUT_S)
    except ConnectionRefusedError:
        # The process id was given to another process, or the job died a moment ago: either way
        # nobody will ever listen there for this job again.
        job.entry.unlink(missing_ok=True)
        raise JobGoneError(f"job {job.id} ({job.name}) is no longer running") from None


def _decoded(job: RunningJob, received: bytes) -> dict[str, Any] | None:
    """The reply; None if it is not whole.

    Process id and port of a dead job may both belong to a stranger by now.
    """
    unpacker = msgpack.Unpacker()
    unpacker.feed(received)
    try:
        reply = unpacker.unpack()
    except msgpack.OutOfData:
        return None
    except (msgpack.UnpackException, ValueError):
        reply = None
    if not isinstance(reply, dict):
        raise StreamletError(
            f"what listens on port {job.port} is not job {job.id} ({job.name}); "
            f"if that job is gone, remove {job.entry}"
        )
    return reply
