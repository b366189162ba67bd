"""Requests that go to an upstream as bytes, and replies that come back as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from reshore.backends.answer import Answer, HeaderList, Measured
from reshore.backends.remote.headers import reply_headers
from reshore.backends.remote.passing import Passing, note
from reshore.backends.remote.peer import Peer, content_type
from reshore.backends.remote.refusals import event_refusal
from reshore.engine.patience import Patience
from reshore.errors import BackendTimeout, BadReply
from reshore.types import Target
from reshore.wire.openai.glance import glance

_EVENTS = "text/event-stream"
# A whole reply is held in memory: 2,048 vectors of 3,072 numbers are some 70 MB.
_WHOLE_BYTES = 256 * 1024 * 1024
# OpenRouter sends some 20 bytes of comment a second while nothing is there yet.
_PREAMBLE_BYTES = 1024 * 1024
# Between `[DONE]` and the end of the body is nothing but the way; only a connection whose body has
# ended can be used again.
_LINGER_S = 0.5


@dataclass(frozen=True)
class RawRequest:
    """What is sent, and how its reply is to be read.

    Attributes:
        body: JSON, with the model's name as the upstream knows it.
        headers: the client's, names in lower case.
        stream: the body asks for a stream.
        key: which of the upstream's keys is tried first.
        keep_text: collect `Measured.text`, which costs the parsing of every event.
        hide_usage: the client did not ask for the token counts that end the stream.
        request_id: ours, for the upstream's logs.
    """

    target: Target
    path: str
    body: bytes
    headers: HeaderList
    stream: bool
    key: int = 0
    keep_text: bool = False
    hide_usage: bool = False
    request_id: str = ""


@asynccontextmanager
async def open_raw(peer: Peer, request: RawRequest) -> AsyncIterator[Answer]:
    """Send it, and wait until the answer has begun: of a stream, until its first event is there.

    Leaving, also by cancellation, closes the connection at once, which ends the generation.

    Raises:
        Unreachable, BackendTimeout, BadReply, UpstreamStatus: there is no answer.
        Overloaded: all connections that are allowed are in use.
    """
    opening = _Opening(peer, request)
    async with peer.slot():
        try:
            async with aclosing(await opening.begin()) as frames:
                yield Answer(
                    target=request.target,
                    status=opening.status,
                    headers=opening.headers,
                    frames=frames,
                    stream=opening.streams,
                    measured=opening.measured,
                )
        finally:
            opening.close()


class _Opening:
    """One reply while it is awaited and read. Belongs to the task that opened it."""

    def __init__(self, peer: Peer, request: RawRequest) -> None:
        self._peer = peer
        self._request = request
        self._response: aiohttp.ClientResponse | None = None
        self._loop = asyncio.get_running_loop()
        self._started_s = self._loop.time()
        self.measured = Measured(text=[] if request.keep_text else None)
        self.status = 200
        self.headers: HeaderList = []
        self.streams = False

    def close(self) -> None:
        """Close the connection, unless the reply has been read to its end."""
        if self._response is not None:
            self._response.close()

    async def begin(self) -> AsyncGenerator[bytes, None]:
        """The frames of an answer that has begun."""
        limits = self._peer.timeouts
        if self._request.stream:
            limit_s, late = limits.first_token_s, "gave no first token within {:g} s"
        else:
            limit_s, late = limits.total_s, "did not answer within {:g} s"
        with self._peer.translated(late.format(limit_s)):
            async with asyncio.timeout(limit_s or None):
                response = self._response = await self._send()
                kind = content_type(response.headers)
                self.status = response.status
                self.headers = self._peer.without_keys(reply_headers(response.headers))
                if self._request.stream and kind == _EVENTS:
                    return await self._begin_stream(response)
                if kind != "application/json" and not kind.endswith("+json"):
                    raise self._bad(f"answered with the content type '{kind}'")
                return _once(await self._read_whole(response))

    async def _send(self) -> aiohttp.ClientResponse:
        peer, request = self._peer, self._request
        key = peer.pick_key(request.target.model, request.key)
        response = await peer.door.request(
            "POST",
            peer.url(request.path),
            peer.headers.make(request.headers, key, request_id=request.request_id),
            request.body,
        )
        if not 200 <= response.status < 300:
            self._response = response
            await peer.refuse(response, key, request.target.model)
        return response

    async def _begin_stream(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        passing = Passing(
            self._peer.name,
            self.measured,
            redact=self._peer.keys.redact,
            hide_usage=self._request.hide_usage,
        )
        first = bytearray()
        while not passing.begun and len(first) < _PREAMBLE_BYTES:
            if passing.failure is not None:
                raise passing.failure
            data = await response.content.readany()
            if not data:
                raise self._bad("ended its stream before the first event", retryable=True)
            first += passing.feed(data)
        if not passing.begun:
            raise self._bad(f"sent {_PREAMBLE_BYTES} bytes of comments and no event")
        self.streams = True
        return self._frames(response, passing, bytes(first))

    async def _frames(
        self, response: aiohttp.ClientResponse, passing: Passing, first: bytes
    ) -> AsyncGenerator[bytes, None]:
        limits, content, loop = self._peer.timeouts, response.content, self._loop

        def late() -> None:
            content.set_exception(self._late(f"gave no token for {limits.token_s:g} s"))

        def too_long() -> None:
            content.set_exception(self._late(f"was not done after {limits.total_s:g} s"))

        patience = Patience(limits.token_s, late, loop)
        end = loop.call_at(self._started_s + limits.total_s, too_long) if limits.total_s else None
        try:
            if first:
                yield first
            with patience:
                while not passing.done:
                    if passing.failure is not None:
                        raise passing.failure
                    patience.wait()
                    data = await content.readany()
                    patience.served()
                    whole = passing.feed(data) if data else passing.end()
                    if whole:
                        yield whole
                    elif not data:
                        raise self._bad("ended its stream without [DONE]", retryable=True)
            self._let_end(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._peer.explain(error, "was too slow") from error
        finally:
            if end is not None:
                end.cancel()

    def _let_end(self, response: aiohttp.ClientResponse) -> None:
        """The answer is complete. Its connection is used again once the body has ended, too, which
        nobody waits for: a client that has seen `[DONE]` hangs up, and has not left early."""
        self._response = None
        if not response.content.is_eof():
            self._loop.call_later(_LINGER_S, response.close)

    async def _read_whole(self, response: aiohttp.ClientResponse) -> bytes:
        body = await self._peer.read(response, _WHOLE_BYTES)
        if "content-encoding" not in response.headers:
            self._learn(body)
        return body

    def _learn(self, body: bytes) -> None:
        try:
            reply = glance(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._bad("answered with what is no JSON object", retryable=True) from error
        if reply.is_fault():
            raise event_refusal(self._peer.name, self._peer.keys.redact(body))
        note(reply, self.measured)

    def _late(self, what: str) -> BackendTimeout:
        return BackendTimeout(f"{self._peer.name} {what}", backend=self._peer.name)

    def _bad(self, what: str, *, retryable: bool = False) -> BadReply:
        return BadReply(f"{self._peer.name} {what}", backend=self._peer.name, retryable=retryable)


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
