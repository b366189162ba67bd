"""A small HTTP/1.1 server side for the scripted engine: keep-alive, chunked streams.

It notices at once when a client leaves, and sends every event in a segment of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

import httptools
from msgspec import Struct

_JSON = "application/json; charset=utf-8"


class Request(Struct, frozen=True, kw_only=True):
    """A request with its whole body."""

    method: str
    path: str
    authorization: str
    body: bytes


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
        self._transport: asyncio.Transport
        self.writable = True
        self.on_leave: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
        self._authorization = ""
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._authorization = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._waiting.append(
            Request(
                method=self._parser.get_method().decode("ascii"),
                path=self._url.decode("latin-1").partition("?")[0],
                authorization=self._authorization,
                body=b"".join(self._body),
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
        self._transport.write(b"0\r\n\r\n")
        self._next()

    def cut(self) -> None:
        """Break the connection off."""
        self._transport.abort()

    def _next(self) -> None:
        self.on_leave = self.on_writable = None
        self._busy = bool(self._waiting)
        if self._waiting:
            self._handler(self, self._waiting.popleft())

    def _head(self, status: int, content_type: str, length: str) -> bytes:
        return (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: llama.cpp\r\n"
            f"Content-Type: {content_type}\r\n{length}\r\n\r\n"
        ).encode("ascii")


def chunk(data: bytes) -> bytes:
    """`data` in HTTP's chunked framing."""
    return b"%x\r\n%b\r\n" % (len(data), data)
