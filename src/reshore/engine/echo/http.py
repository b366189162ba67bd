"""A small HTTP/1.1 server side for scripted servers: keep-alive, chunked streams.

It notices at once when a client leaves, and sends every event in a segment of its own.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools
from msgspec import Struct

LAST_CHUNK = b"0\r\n\r\n"

_JSON = "application/json; charset=utf-8"
_NO_LINGER = struct.pack("ii", 1, 0)


class Request(Struct, frozen=True, kw_only=True):
    """A request with its whole body. `target` is its path with the query; header names are in
    lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    keep_alive: bool = True

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """The last value of a header; empty if there is none."""
        return next((value for key, value in reversed(self.headers) if key == name), "")


Handler = Callable[["Connection", Request], None]


class Connection(asyncio.Protocol):
    """One client. Requests that come early wait until the one before is answered.

    Attributes:
        on_leave: called once if the client leaves while it is being answered.
        on_writable: called when the client reads again, after `writable` was False.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._busy = False
        self._keep_alive = True
        self._transport: asyncio.Transport
        self.writable = True
        self.on_leave: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def eof_received(self) -> bool:
        # llama.cpp too takes a client that has closed its side for gone.
        self._transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        leave, self.on_leave, self.on_writable = self.on_leave, None, None
        self._waiting.clear()
        if leave:
            leave()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self.on_writable:
            self.on_writable()

    # httptools' side

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._waiting.append(
            Request(
                method=self._parser.get_method().decode("ascii"),
                target=self._url.decode("latin-1"),
                headers=self._headers,
                body=b"".join(self._body),
                keep_alive=self._parser.should_keep_alive(),
            )
        )
        if not self._busy:
            self._next()

    # the handler's side

    def respond(self, status: int, body: bytes) -> None:
        """Answer with one JSON body."""
        head = self._head(status, _JSON, f"Content-Length: {len(body)}")
        self._transport.write(head + body)
        self._next()

    def begin(self) -> None:
        """Start a stream of server-sent events."""
        self._transport.write(self._head(200, "text/event-stream", "Transfer-Encoding: chunked"))

    def send(self, framed: bytes) -> None:
        """Send what `chunk` has framed."""
        self._transport.write(framed)

    def end(self) -> None:
        """Finish the stream."""
        self._transport.write(LAST_CHUNK)
        self._next()

    def finish(self) -> None:
        """Go on to the next request: what was sent was a whole reply."""
        self._next()

    def cut(self, *, reset: bool = False) -> None:
        """Break the connection off; `reset`: with a RST, as a crashed machine's peer sees it."""
        if reset and (plain := self._transport.get_extra_info("socket")) is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()

    def _next(self) -> None:
        self.on_leave = self.on_writable = None
        if not self._keep_alive:
            self._transport.close()
            return
        self._busy = bool(self._waiting)
        if self._waiting:
            request = self._waiting.popleft()
            self._keep_alive = request.keep_alive
            self._handler(self, request)

    def _head(self, status: int, content_type: str, length: str) -> bytes:
        return (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: llama.cpp\r\n"
            f"Content-Type: {content_type}\r\n{length}\r\n\r\n"
        ).encode("ascii")


def chunk(data: bytes) -> bytes:
    """`data` in HTTP's chunked framing."""
    return b"%x\r\n%b\r\n" % (len(data), data)
