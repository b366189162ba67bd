"""One request and its one reply, with what is learned on the way."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any

from starlette.types import Receive, Scope, Send

from reshore.config import LimitsConfig
from reshore.server.body import read_body
from reshore.server.errors import Rendered, render
from reshore.server.ollama_errors import render_native, speaks_native
from reshore.types import Embeddings, Outcome, Reply, Timings, Usage
from reshore.wire.jsonbody import parse_body

HeaderList = Iterable[tuple[bytes, bytes]]

SCOPE_KEY = "reshore.exchange"

JSON = (b"content-type", b"application/json")
EVENTS = b"text/event-stream; charset=utf-8"
_STREAM_HEADERS = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would otherwise collect the stream before sending it
)


class Exchange:
    """Belongs to the task of its request. `status` 0 means that no reply has been started."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.request_id = "req_" + secrets.token_hex(12)
        self.started = time.perf_counter()
        self.common_headers: list[tuple[bytes, bytes]] = [
            (b"x-request-id", self.request_id.encode())
        ]
        self.status = 0
        self.finished = False
        self.streaming = False
        self.asked_model: str | None = None
        self.model: str | None = None
        self.ttft_ms: float | None = None
        self.usage: Usage | None = None
        self.timings: Timings | None = None

    async def json(self, limits: LimitsConfig) -> dict[str, Any]:
        """The request's body, read and parsed. Raises RequestError and its kin."""
        body = parse_body(await read_body(self.scope, self.receive, limits), limits)
        model = body.get("model")
        self.asked_model = model if isinstance(model, str) else None
        return body

    def answered_by(self, reply: Reply) -> None:
        """Note who answers, and that the first chunk is there."""
        self.model = reply.model
        self.ttft_ms = self.elapsed_ms()
        for name, value in reply.notices.items():
            self.notice(name, value)

    def embedded_by(self, embeddings: Embeddings) -> None:
        """Note who embedded."""
        self.model = embeddings.model
        for name, value in embeddings.notices.items():
            self.notice(name, value)

    def notice(self, name: str, value: str) -> None:
        """Tell the client something in a header of the reply."""
        self.common_headers.append((name.encode(), value.encode("latin-1", "replace")))

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000

    async def reply(self, status: int, body: bytes, headers: HeaderList = (JSON,)) -> None:
        """The whole reply at once."""
        await self._start(
            status, [*headers, (b"content-length", str(len(body)).encode()), *self.common_headers]
        )
        self.finished = True
        await self._send({"type": "http.response.body", "body": body})

    def rendered(self, error: BaseException) -> Rendered:
        """`error` in the words of the dialect that the client speaks."""
        path: str = self.scope["path"]
        if speaks_native(path):
            return render_native(error, path=path, asked=self.asked_model or "")
        return render(error)

    async def start_stream(self, content_type: bytes = EVENTS) -> None:
        """Begin a streamed reply; from here on the status is fixed."""
        self.streaming = True
        kind = (b"content-type", content_type)
        await self._start(200, [kind, *_STREAM_HEADERS, *self.common_headers])

    async def send(self, data: bytes) -> None:
        """A piece of the stream. Waits while the client reads more slowly than we write."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self, data: bytes = b"") -> None:
        """The last piece of the stream."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": data})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def outcome(self, error: str | None) -> Outcome:
        """What is to be remembered of this request."""
        return Outcome(
            request_id=self.request_id,
            method=self.scope["method"],
            path=self.scope["path"],
            status=self.status,
            total_ms=self.elapsed_ms(),
            stream=self.streaming,
            asked_model=self.asked_model,
            model=self.model,
            ttft_ms=self.ttft_ms,
            usage=self.usage,
            timings=self.timings,
            error=error,
        )
