"""One request and its one reply, with what is learned on the way."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Iterable
from typing import Any

from msgspec import structs
from starlette.types import Receive, Scope, Send

from reshore.backends.answer import Answer
from reshore.config import LimitsConfig
from reshore.ledger.entry import Texts
from reshore.routing.journal import Journal
from reshore.server.body import read_body
from reshore.server.decision_header import decision_header
from reshore.server.errors import Rendered, render
from reshore.server.ollama_errors import render_native, speaks_native
from reshore.types import Decision, Outcome, Target
from reshore.wire.jsonbody import parse_body

HeaderList = Iterable[tuple[bytes, bytes]]

SCOPE_KEY = "reshore.exchange"

JSON = (b"content-type", b"application/json")
EVENTS = b"text/event-stream; charset=utf-8"


class Exchange:
    """Belongs to the task of its request.

    Attributes:
        status: 0 means that no reply has been started.
        key: id of the API key that asked, None without keys.
        decision, journal: None where nothing was decided or asked.
        speaks: what breaks off can still be told in the reply's own words.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.request_id = "req_" + secrets.token_hex(12)
        self.started = time.perf_counter()
        self.wall_s = time.time()
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.common_headers: list[tuple[bytes, bytes]] = [
            (b"x-request-id", self.request_id.encode())
        ]
        self.status = 0
        self.finished = False
        self.streaming = False
        self.speaks = True
        self.asked_model: str | None = None
        self.key: str | None = None
        self.decision: Decision | None = None
        self.journal: Journal | None = None
        self.ttft_ms: float | None = None
        self._answer: Answer | None = None

    async def body(self, limits: LimitsConfig) -> bytes:
        """The request's body. Raises as `read_body`."""
        return await read_body(self.scope, self.receive, limits)

    async def json(self, limits: LimitsConfig) -> dict[str, Any]:
        """The request's body, read and parsed. Raises RequestError and its kin."""
        return self.parsed(await self.body(limits), limits)

    def parsed(self, raw: bytes, limits: LimitsConfig) -> dict[str, Any]:
        """The object in a body that was read; notes which model is asked for.

        Raises:
            RequestError: as `parse_body`.
        """
        body = parse_body(raw, limits)
        model = body.get("model")
        self.asked_model = model if isinstance(model, str) else None
        return body

    def answered_by(self, answer: Answer) -> None:
        """Note who answers, and that the first chunk is there."""
        self._answer = answer
        # A whole reply of an upstream comes when it is complete: its first chunk was never seen.
        if answer.stream or answer.target.side == "local":
            self.ttft_ms = self.elapsed_ms()

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

    async def start_stream(self, status: int, headers: HeaderList) -> None:
        """Begin a reply that comes in pieces; from here on the status is fixed."""
        self.streaming = self.speaks
        await self._start(status, [*headers, *self.common_headers])

    def send(self, data: bytes) -> Awaitable[None]:
        """A piece of the stream. Waits while the client reads more slowly than we write."""
        return self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end_stream(self, data: bytes = b"") -> None:
        """The last piece of the stream."""
        self.finished = True
        await self._send({"type": "http.response.body", "body": data})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        if (decision := self.decided()) is not None:
            headers.append(decision_header(decision, self._target()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def decided(self) -> Decision | None:
        """What was decided, and what came of it that was not known then."""
        decision, journal = self.decision, self.journal
        if decision is None or journal is None or not journal.notes:
            return decision
        return structs.replace(decision, why="; ".join((decision.why, *journal.notes)))

    def _target(self) -> Target | None:
        return self._answer.target if self._answer is not None else None

    def texts(self, body: bytes) -> Texts:
        """What was asked and what was said, for a ledger that keeps some of it."""
        said = self._answer.measured.text if self._answer is not None else None
        return Texts(
            self.request_id, body.decode("utf-8", "replace"), "".join(said or ()), self.wall_s
        )

    def outcome(self, error: str | None) -> Outcome:
        """What is to be remembered of this request."""
        answer = self._answer
        measured = answer.measured if answer is not None else None
        return Outcome(
            request_id=self.request_id,
            method=self.scope["method"],
            path=self.scope["path"],
            status=self.status,
            total_ms=self.elapsed_ms(),
            stream=self.streaming,
            asked_model=self.asked_model,
            model=(measured.model or answer.target.model) if answer and measured else None,
            key=self.key,
            ttft_ms=self.ttft_ms,
            usage=measured.usage if measured else None,
            timings=measured.timings if measured else None,
            error=error,
            decision=self.decided(),
            attempts=self.journal.attempts() if self.journal is not None else (),
            wall_s=self.wall_s,
        )
