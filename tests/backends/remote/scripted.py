"""An upstream on a real socket that does, byte for byte, what a test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass
class Seen:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """One connection, as a script sees it. `gone` is set when the client hangs up."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(
        self, body: bytes, *, status: int = 200, kind: str = "application/json", **headers: str
    ) -> None:
        """A whole reply; underscores in names of headers stand for dashes."""
        await self.send(head(status, kind, {"content-length": str(len(body))} | headers) + body)

    async def start(self, *, kind: str = EVENT_STREAM, **headers: str) -> None:
        """The head of a chunked reply."""
        await self.send(head(200, kind, {"transfer-encoding": "chunked"} | headers))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def stream(self, *pieces: bytes) -> None:
        """A whole streamed reply."""
        await self.start()
        for piece in pieces:
            await self.chunk(piece)
        await self.end()

    async def watch(self) -> None:
        """Wait until the client hangs up."""
        with suppress(OSError):
            await self.reader.read(1)
        self.gone.set()

    def cut(self) -> None:
        """End the connection in the middle of whatever is going on."""
        self.writer.transport.abort()


Script = Callable[[Peer, Seen], Awaitable[None]]


def head(status: int, kind: str, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


class Upstream:
    """A server whose every request is answered by `script`; `seen` are the requests so far.

    `reached` is set by the first connection.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seen: list[Seen] = []
        self.connections = 0
        self.reached = asyncio.Event()
        self.url = ""
        self._serving: dict[asyncio.Task[None], Peer] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections += 1
        self.reached.set()
        peer = self._serving[task] = Peer(reader, writer)
        try:
            while (request := await read_request(reader)) is not None:
                self.seen.append(request)
                await self.script(peer, request)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            peer.gone.set()
            writer.close()
            del self._serving[task]

    def peers(self) -> list[Peer]:
        """The connections that are open."""
        return list(self._serving.values())

    async def idle(self) -> None:
        """Wait until every client has hung up."""
        await asyncio.gather(*(peer.gone.wait() for peer in self.peers()))

    async def aclose(self) -> None:
        """End every connection; scripts that wait for the client's hang-up go on."""
        for peer in self._serving.values():
            peer.cut()
        await asyncio.gather(*self._serving)


@asynccontextmanager
async def upstream(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    served = Upstream(script)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    served.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
    try:
        yield served
    finally:
        server.close()
        await served.aclose()


async def read_request(reader: asyncio.StreamReader) -> Seen | None:
    """The next request of a connection; None when it has ended."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = text.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return Seen(method, path, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body
