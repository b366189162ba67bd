"""An OpenAI-compatible server of our own, with every fault that one can have, on a real socket.

    limited = Script(status=429, retry_after_s=1)
    async with ScriptedUpstream(limited, Script(text="Hi")) as upstream:
        ...  # ask `upstream.url`
        assert [request.path for request in upstream.requests] == 2 * ["/v1/chat/completions"]

It answers chats, completions, embeddings and the list of models; any other endpoint gives back the
body that it was sent. A request may say itself how it is to be answered, by a last user message (or
prompt) of `/echo ` and a script as JSON.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Self, TypeVar

import msgspec

from reshore.engine.echo.http import Connection, Request
from reshore.testing.moves import moves
from reshore.testing.performing import Performance, Received
from reshore.testing.replies import Asked, Reply, answer, echoed, error_body, listed, plain
from reshore.testing.script import Script

MODELS = ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small")

K = TypeVar("K")
V = TypeVar("V")

_DIRECTIVE = "/echo "
_CODECS = ("/chat/completions", "/completions", "/embeddings")
_REMEMBERED = 256  # bodies and replies, so that a bench's requests cost next to nothing
_REMEMBERED_BYTES = 4096
_PLAIN = Script()


class ScriptedUpstream:
    """Answers with one script after the other; the last one answers all that follow.

    Only requests with a body are scripted: a poll of the models takes nothing away from a test.
    Owned by the event loop that enters it; leaving it breaks off all connections.

    Args:
        scripts: none: plain answers.
        otherwise: answers those requests that the `rate` of a script leaves out.
        seed: of the choice for scripts with a rate.
        models: that it lists.
        choose: the script for one request, say by its key; None leaves it to `scripts`. One that is
            chosen uses nothing up.
        tls: for https.
        keep: how many requests are remembered.
        host, port: where to listen; port 0 takes a free one.

    Attributes:
        requests: in the order in which they came.
        asked: how many requests there were, remembered or not.
        connections: accepted so far.
    """

    def __init__(
        self,
        *scripts: Script,
        otherwise: Script = _PLAIN,
        seed: int = 0,
        models: tuple[str, ...] = MODELS,
        choose: Callable[[Received], Script | None] | None = None,
        tls: ssl.SSLContext | None = None,
        keep: int = 10_000,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.requests: deque[Received] = deque(maxlen=keep)
        self.connections = 0
        self._steps = deque(scripts or (_PLAIN,))
        self._otherwise = otherwise
        self._used = 0  # requests that the first of the steps was for
        self._outage_due = False
        self._random = random.Random(seed)
        self._models = listed(models)
        self._choose = choose
        self._tls = tls
        self._address = (host, port)
        self._memory = _Memory()
        self.asked = 0
        self._open: set[_Line] = set()
        self._arrived = asyncio.Event()
        self._reserved: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._return: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(self._address)
        self._address = self._reserved.getsockname()
        await self.open_port()
        if self._steps[0].fault == "refuse":
            self._begin_outage()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._return is not None:
            self._return.cancel()
            await asyncio.wait([self._return])
        self.close_port()
        assert self._reserved is not None
        self._reserved.close()
        for line in tuple(self._open):
            await line.closed.wait()

    @property
    def url(self) -> str:
        """Where its API begins, with `/v1`."""
        host, port = self._address
        return f"{'https' if self._tls else 'http'}://{host}:{port}/v1"

    @property
    def port(self) -> int:
        return self._address[1]

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def play(self, *scripts: Script) -> None:
        """Answer with these scripts from the next request on.

        An outage that was on has no end of its own any more: `open_port` ends it.
        """
        self._steps = deque(scripts or (_PLAIN,))
        self._used = 0
        self._outage_due = False
        if self._return is not None:
            self._return.cancel()
        if self._steps[0].fault == "refuse":
            self._begin_outage()

    async def received(self, index: int = 0) -> Received:
        """The request of this number, counted from 0, once it is there."""
        while len(self.requests) <= index:
            self._arrived.clear()
            await self._arrived.wait()
        return self.requests[index]

    async def open_port(self) -> None:
        """Listen, again after `close_port` at the same port."""
        if self._server is None:
            host, port = self._address
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Line(self), host, port, ssl=self._tls, reuse_address=True, backlog=2048
            )

    def close_port(self) -> None:
        """Refuse connections, and break off those that stand. The port stays ours."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for line in tuple(self._open):
            line.cut()

    # for connections

    def connected(self, line: _Line) -> None:
        """A client is there."""
        self.connections += 1
        self._open.add(line)

    def disconnected(self, line: _Line) -> None:
        """It has gone."""
        self._open.discard(line)

    def perform(self, line: Connection, request: Request) -> None:
        """Answer a request over its connection."""
        received = Received(request)
        self.requests.append(received)
        self._arrived.set()
        self.asked += 1
        script, reply = self._reply(request, received)
        Performance(
            line, moves(script, reply), b"%016x" % self.asked, received, self._answered
        ).begin()

    def _reply(self, request: Request, received: Received) -> tuple[Script, Reply]:
        path, body = request.path, request.body
        if request.method == "GET" and path.endswith("/models"):
            return _PLAIN, self._models
        if not body:
            return _PLAIN, echoed(_PLAIN, request.method, request.target, "", b"")
        if not path.endswith(_CODECS):
            script = self._script(received, None)
            kind = request.header("content-type")
            return script, echoed(script, request.method, request.target, kind, body)
        try:
            asked, own = self._memory.read(body)
            script = self._script(received, own)
            return script, self._memory.reply(script, asked, path, body)
        except (msgspec.MsgspecError, ValueError) as error:
            text = error_body(400, message=str(error)).decode()
            return _PLAIN, plain(Script(status=400, body=text))

    def _script(self, received: Received, own: Script | None) -> Script:
        chosen = own or (self._choose(received) if self._choose else None)
        if chosen is not None:
            return chosen
        step = self._steps[0]
        self._used += 1
        if self._used >= step.times and len(self._steps) > 1:
            self._next_step()
        return step if step.rate >= 1 or self._random.random() < step.rate else self._otherwise

    def _next_step(self) -> None:
        self._used = 0
        self._steps.popleft()
        self._outage_due = self._steps[0].fault == "refuse"

    # outages: they begin and end by themselves, for no request gets through

    def _answered(self) -> None:
        """An outage waits for the answer before it."""
        if self._outage_due:
            self._outage_due = False
            asyncio.get_running_loop().call_soon(self._begin_outage)

    def _begin_outage(self) -> None:
        if self._server is None:
            return
        self.close_port()
        if self._steps[0].down_s:
            self._return = asyncio.create_task(self._come_back(self._steps[0].down_s))

    async def _come_back(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if len(self._steps) == 1:
            self._steps.append(_PLAIN)
        self._next_step()
        await self.open_port()


class _Line(Connection):
    """A connection that its upstream knows of. `closed` is set when it has ended."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        super().__init__(upstream.perform)
        self._upstream = upstream
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._upstream.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._upstream.disconnected(self)
        self.closed.set()


class _Memory:
    """What equal requests come to is worked out once."""

    def __init__(self) -> None:
        self._asked: dict[bytes, tuple[Asked, Script | None]] = {}
        self._replies: dict[tuple[int, str, bytes], tuple[Script, Reply]] = {}

    def read(self, body: bytes) -> tuple[Asked, Script | None]:
        """What a body asks for, and the script that it brings.

        Raises:
            msgspec.MsgspecError: it is no request, or no script.
        """
        known = self._asked.get(body)
        if known is None:
            asked = msgspec.json.decode(body, type=Asked)
            said, own = asked.said(), None
            if said.startswith(_DIRECTIVE):
                own = msgspec.json.decode(said.removeprefix(_DIRECTIVE), type=Script)
            known = asked, own
            _remember(self._asked, body, known, len(body))
        return known

    def reply(self, script: Script, asked: Asked, path: str, body: bytes) -> Reply:
        """The answer to a request."""
        key = (id(script), path, body)
        known = self._replies.get(key)
        if known is None:
            # The script is kept as well: while it lives, its id is no other's.
            known = script, answer(script, asked, path, len(body))
            _remember(self._replies, key, known, len(body))
        return known[1]


def _remember(known: dict[K, V], key: K, value: V, size_bytes: int) -> None:
    if size_bytes > _REMEMBERED_BYTES:
        return
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value
