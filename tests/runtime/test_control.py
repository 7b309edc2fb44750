"""The socket of a running job: strangers, nonsense, and clients that say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgpack
import pytest
import uvloop

from streamlet.runtime.control import HOST, MAX_REQUEST_BYTES, ControlServer

SECRET = "s3cret"


async def status(request: dict[str, Any]) -> dict[str, Any]:
    return {"state": "RUNNING"}


def on_uvloop(work: Coroutine[Any, Any, Any]) -> list[dict[str, Any]]:
    """Runs it on the loop that jobs use; gives what the loop had to complain about."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        runner.run(work)
    return complaints


async def answer_to(port: int, request: bytes) -> Any:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    writer.write_eof()
    answer = msgpack.unpackb(await reader.read())
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"", "not one MessagePack map"),
        (b"GET / HTTP/1.1\r\n\r\n", "not one MessagePack map"),
        (b"\xc1\xff", "not one MessagePack map"),
        (b"\x91" * 60_000 + b"\xc0", "not one MessagePack map"),
        (msgpack.packb({1: 2}), "not one MessagePack map"),
        (b"\x82\xa6secret\xa2\xff\xfe\xa7command\xa6status", "not one MessagePack map"),
        (b"\xdb" + (MAX_REQUEST_BYTES * 2).to_bytes(4, "big"), "not one MessagePack map"),
        (msgpack.packb({"command": "status"}), "wrong secret"),
        (msgpack.packb({"command": "status", "secret": "é"}), "wrong secret"),
        (msgpack.packb({"command": "status", "secret": [1]}), "wrong secret"),
        (msgpack.packb({"command": "exit", "secret": SECRET}), "unknown command"),
        (msgpack.packb({"command": [1], "secret": SECRET}), "unknown command"),
    ],
)
def test_what_is_no_request_gets_an_answer_and_does_no_harm(request_: bytes, said: str) -> None:
    async def run() -> None:
        server = ControlServer(SECRET, {"status": status})
        port = await server.start()
        refusal = await answer_to(port, request_)
        assert refusal["ok"] is False
        assert said in refusal["error"]
        asked = msgpack.packb({"command": "status", "secret": SECRET})
        assert await answer_to(port, asked) == {"ok": True, "result": {"state": "RUNNING"}}
        await server.close()

    assert on_uvloop(run()) == []


def test_clients_that_say_nothing_are_let_go_in_silence_when_the_job_ends() -> None:
    """Each of them left a traceback on the terminal."""

    async def run() -> None:
        server = ControlServer(SECRET, {"status": status})
        port = await server.start()
        silent = [await asyncio.open_connection(HOST, port) for _ in range(3)]
        await answer_to(port, b"")  # they were accepted before it
        await server.close()
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()

    assert on_uvloop(run()) == []
