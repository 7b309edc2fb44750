"""The socket of a running job: one MessagePack map in, one out; loopback only, with a secret."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgpack

HOST: Final = "127.0.0.1"
MAX_REQUEST_BYTES: Final = 64 * 1024
Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class JobEntry:
    """What `<home>/jobs/<id>.json` says of a running job."""

    id: str
    name: str
    pid: int
    host: str
    port: int
    secret: str
    started_ms: int
    script: str


class ControlServer:
    """Answers `status`, `savepoint`, `stop` and `cancel` for one job."""

    def __init__(self, secret: str, commands: Mapping[str, Command]) -> None:
        self._secret = secret
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> int:
        """Listens; gives the port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._clients:
                writer.close()  # one that says nothing must not keep the job from ending
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            answer = msgpack.packb(await self._answer(await _request(reader)))
            if not writer.is_closing():  # the job may have ended meanwhile
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass  # the client is gone: there is nobody to answer
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, request: Any) -> dict[str, Any]:
        if not isinstance(request, dict):
            return {"ok": False, "error": "the request is not one MessagePack map"}
        secret = str(request.get("secret", ""))
        command = self._commands.get(str(request.get("command", "")))
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return {"ok": False, "error": "wrong secret"}
        if command is None:
            return {"ok": False, "error": f"unknown command {request.get('command')!r}"}
        try:
            return {"ok": True, "result": await command(request)}
        except Exception as error:  # whatever it is, the client must hear of it
            return {"ok": False, "error": str(error)}


async def _request(reader: asyncio.StreamReader) -> Any:
    """The first object that the client sends; None if it sends none, too much, or nonsense."""
    unpacker = msgpack.Unpacker(max_buffer_size=MAX_REQUEST_BYTES)
    while received := await reader.read(MAX_REQUEST_BYTES):
        try:
            unpacker.feed(received)
            for request in unpacker:
                return request
        except (msgpack.BufferFull, msgpack.UnpackException, ValueError):
            return None
    return None


def write_entry(path: Path, entry: JobEntry) -> None:
    """Readable by the owner alone, from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".inprogress")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(entry), file)
    temporary.replace(path)
