"""A load generator that costs little: HTTP over raw protocols, timed where the bytes arrive.

It sends bytes that were made before, counts tokens by a search, and takes the time in the
callback of the protocol: the generator's own work hardly shows as time of the servers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httptools
import msgspec
from msgspec import Struct

T = TypeVar("T")

CHAT = "/v1/chat/completions"
_TOKEN = b'"content":"'
_EMPTY = b'"content":""'


class Seen(Struct):
    """What came back. Times are of `time.perf_counter`.

    Attributes:
        tokens: pieces of content; the opening of a stream is none.
    """

    status: int = 0
    asked_s: float = 0.0
    first_s: float = 0.0
    done_s: float = 0.0
    tokens: int = 0
    body: bytes = b""
    decision: bytes = b""

    @property
    def total_ms(self) -> float:
        return (self.done_s - self.asked_s) * 1000


class Failed(Exception):
    """A connection ended without an answer."""


class Line(asyncio.Protocol):
    """A connection with one request at a time. Belongs to the task that asks."""

    def __init__(self, *, keep_body: bool = False) -> None:
        self._keep_body = keep_body
        self._transport: Any = None
        self._answer: asyncio.Future[Seen] | None = None
        self.open = False

    def ask(self, request: bytes, asked_s: float | None = None) -> asyncio.Future[Seen]:
        """Send a request; the future has what came back, or `Failed`.

        Args:
            asked_s: when it should have been sent, if that was before now.
        """
        if not self.open:
            raise Failed("the connection has ended")
        self._parser = httptools.HttpResponseParser(self)
        self._seen = Seen(asked_s=time.perf_counter() if asked_s is None else asked_s)
        self._pieces: list[bytes] = []
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(str(error))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail("the connection ended")

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Failed(why))

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-reshore-decision":
            self._seen.decision = value

    def on_body(self, data: bytes) -> None:
        if not self._pieces:
            self._seen.first_s = time.perf_counter()
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        seen = self._seen
        seen.done_s = time.perf_counter()
        seen.status = self._parser.get_status_code()
        body = b"".join(self._pieces)  # pieces may end in the middle of what is counted
        seen.tokens = body.count(_TOKEN) - body.count(_EMPTY)
        if self._keep_body:
            seen.body = body
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(seen)


async def connect(url: str, *, keep_body: bool = False, source: str | None = None) -> Line:
    """A connection to the server at `url`; `source` is the address it comes from."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    _, line = await asyncio.get_running_loop().create_connection(
        lambda: Line(keep_body=keep_body),
        address.hostname,
        address.port,
        local_addr=None if source is None else (source, 0),
    )
    return line


def request(url: str, body: Any, headers: Mapping[str, str], path: str = CHAT) -> bytes:
    """A POST as bytes."""
    payload = msgspec.json.encode(body)
    address = urlsplit(url)
    lines = [
        f"POST {address.path}{path} HTTP/1.1",
        f"Host: {address.netloc}",
        "Content-Type: application/json",
        f"Content-Length: {len(payload)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


async def closed_loop(url: str, sent: bytes, *, clients: int, window_s: float) -> list[Seen]:
    """So many clients, each asking again as soon as it is answered, until the window is over.

    Raises:
        Failed: a connection broke off, or an answer was no success.
    """
    lines = [await connect(url) for _ in range(clients)]
    ends = time.perf_counter() + window_s

    async def work(line: Line) -> list[Seen]:
        found = []
        while time.perf_counter() < ends:
            found.append(successful(await line.ask(sent)))
        return found

    try:
        return [one for found in await together(map(work, lines)) for one in found]
    finally:
        for line in lines:
            line.close()


async def at_once(url: str, sent: bytes, *, clients: int, times: int = 1) -> list[Seen]:
    """So many clients, each asking so many times.

    Raises:
        Failed: a connection broke off, or an answer was no success.
    """
    lines = [await connect(url) for _ in range(clients)]

    async def work(line: Line) -> list[Seen]:
        return [successful(await line.ask(sent)) for _ in range(times)]

    try:
        return [one for found in await together(map(work, lines)) for one in found]
    finally:
        for line in lines:
            line.close()


async def open_loop(url: str, sent: bytes, *, per_s: float, window_s: float) -> list[Seen]:
    """Requests at a constant rate, whatever becomes of those before.

    Latencies count from when a request should have been sent: a server that holds one up holds up
    those that wait behind it in the generator, too, and none of it is left out.

    Raises:
        Failed: a connection broke off, or an answer was no success.
    """
    free: deque[Line] = deque()
    lines: list[Line] = []
    began = time.perf_counter() + 0.01

    async def one(due_s: float) -> Seen:
        if not free:
            free.append(await connect(url))
            lines.append(free[-1])
        line = free.pop()
        seen = successful(await line.ask(sent, due_s))
        free.append(line)
        return seen

    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(int(per_s * window_s)):
            due_s = began + number / per_s
            if (wait_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s)
            tasks.append(group.create_task(one(due_s)))
    for line in lines:
        line.close()
    return [task.result() for task in tasks]


def successful(seen: Seen) -> Seen:
    """What came back, if it is a success.

    Raises:
        Failed: it is none.
    """
    if seen.status != 200:
        raise Failed(f"answered with status {seen.status}")
    return seen


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them come to; if one fails, the others are ended."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]
