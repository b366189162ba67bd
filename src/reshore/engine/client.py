"""HTTP to an engine: streams as SSE payloads, faults as our own exceptions.

The border where aiohttp's exceptions end. An engine may crash, hang or answer nonsense at any
byte; whatever it does, the caller sees one of `EngineError`, `RequestError` or a clean end.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import aiohttp
import msgspec

from reshore.engine.base import Engine, State
from reshore.engine.patience import Patience
from reshore.errors import (
    ContextTooLong,
    Crashed,
    EngineError,
    RequestError,
    Stalled,
    Unsupported,
)
from reshore.wire.llamacpp.faults import EngineFault, decode_fault
from reshore.wire.sse import SseDecoder

_DONE = b"[DONE]"

# How long a dying engine may take to be seen dead after its connection broke. The kernel closes
# the sockets of a killed process before its parent is told.
_DEATH_GRACE_S = 1.0


# How an embedding engine, whose batch is its context, refuses an input that is longer.
_TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large to process")

# Pooled connections that may have ended at once: as many as an engine had requests at a time, and
# few enough to give up on an engine that only ever hangs up.
_STALE_CONNECTIONS = 8

# How an engine says that it cannot decode an image, or cut it to the projector's size.
_BAD_IMAGE = re.compile(r"Failed to (?:load image|tokenize prompt)")

# aiohttp warns when a larger body is given as bytes: it would be copied as a whole.
_LARGE_BODY_BYTES = 2**20


class EventStream:
    """The events of one reply. Belongs to the task that reads it: `more`, then `take`, until it
    has ended.

    No iterator: one more coroutine that waits costs every chunk of every stream.

    Attributes:
        ended: there is nothing more to read.
    """

    __slots__ = ("_content", "_decoder", "_marked_end", "_patience", "ended")

    def __init__(
        self, content: aiohttp.StreamReader, patience: Patience, model: str, *, marked_end: bool
    ) -> None:
        self._content = content
        self._decoder = SseDecoder(model)
        self._marked_end = marked_end
        self._patience = patience
        self.ended = False

    def more(self) -> Awaitable[bytes]:
        """Wait for bytes."""
        self._patience.wait()
        return self._content.readany()

    def take(self, data: bytes) -> list[bytes]:
        """The payloads that the bytes complete, `[DONE]` left out; maybe none.

        Raises:
            BadReply: an event is too long.
            aiohttp.ClientPayloadError: the stream broke off; `EngineClient.stream` explains it.
        """
        self._patience.served()
        if not data:
            if self._marked_end:
                raise aiohttp.ClientPayloadError("the stream ended without [DONE]")
            self.ended = True
        payloads = self._decoder.feed(data)
        if payloads and payloads[-1] == _DONE:
            self.ended = True
            payloads.pop()
        return payloads


class EngineClient:
    """Talks to engines over one connection pool. Owned by the app's lifespan.

    Args:
        session: without total or read timeouts of its own; they are set per call.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._encode = msgspec.json.Encoder().encode

    @asynccontextmanager
    async def stream(
        self,
        engine: Engine,
        path: str,
        body: dict[str, Any],
        *,
        token_timeout_s: float,
        marked_end: bool = True,
    ) -> AsyncIterator[EventStream]:
        """Post `body` and yield the events that come.

        Leaving the context closes the connection, which ends the generation in the engine.

        Args:
            marked_end: the stream ends with `[DONE]`; llama.cpp's own endpoints just end.

        Raises:
            RequestError: the engine refused the request (400, 501).
            Crashed: it died, or its stream broke off.
            Stalled: no byte for `token_timeout_s`; the engine has then been killed.
        """
        # Not aiohttp's sock_read, which makes a timer for every chunk.
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with asyncio.timeout(token_timeout_s if token_timeout_s > 0 else None):
                response = await self._open(engine, path, body, timeout)
                refusal = None if response.status == 200 else await response.read()
            async with response:
                if refusal is not None:
                    _refuse(engine, response.status, decode_fault(refusal))
                content = response.content
                with Patience(
                    token_timeout_s,
                    lambda: content.set_exception(TimeoutError()),
                    asyncio.get_running_loop(),
                ) as patience:
                    yield EventStream(content, patience, engine.model.name, marked_end=marked_end)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await _explain(engine, error, token_timeout_s)

    async def post(
        self, engine: Engine, path: str, body: dict[str, Any], *, timeout_s: float
    ) -> bytes:
        """Post `body` and return the whole reply. Raises as `stream` does."""
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with await self._open(engine, path, body, timeout) as response:
                reply = await response.read()
                if response.status != 200:
                    _refuse(engine, response.status, decode_fault(reply))
                return reply
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await _explain(engine, error, timeout_s)

    async def _open(
        self, engine: Engine, path: str, body: dict[str, Any], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Send the request and wait for the reply's headers.

        The engine closes connections that were idle for 5 s or served 100 requests; a request
        that meets such an end is sent again, over one pooled connection after the other and at
        last over a new one. Nothing is lost by it: a generation leaves no trace but its answer.
        """
        data = self._encode(body)
        for _ in range(_STALE_CONNECTIONS):
            try:
                return await self._post(engine, path, data, timeout)
            except aiohttp.ClientConnectorError:
                raise  # nobody listens
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if engine.state is not State.READY:
                    raise
        return await self._post(engine, path, data, timeout)

    async def _post(
        self, engine: Engine, path: str, data: bytes, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        return await self._session.post(
            engine.address.url + path,
            data=io.BytesIO(data) if len(data) > _LARGE_BODY_BYTES else data,
            headers=self._headers(engine),
            timeout=timeout,
        )

    def _headers(self, engine: Engine) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {engine.address.key}",
            "Content-Type": "application/json",
        }


def _refuse(engine: Engine, status: int, fault: EngineFault) -> NoReturn:
    if fault.type == "exceed_context_size_error":
        raise ContextTooLong(
            prompt_tokens=fault.n_prompt_tokens,
            context_length=fault.n_ctx or engine.context_length,
        )
    if too_large := _TOO_LARGE.search(fault.message):
        raise ContextTooLong(
            prompt_tokens=int(too_large[1]), context_length=engine.context_length, param="input"
        )
    if _BAD_IMAGE.match(fault.message):
        raise RequestError(
            f"{engine.model.name} cannot decode an image; send PNG or JPEG files of a usual shape",
            param="messages",
            code="image_parse_error",
        )
    if status == 501:
        raise Unsupported(f"{engine.model.name} cannot do this: {fault.message}")
    if 400 <= status < 500 and status not in (401, 403, 404):
        raise RequestError(f"{engine.model.name}: {fault.message}", code="invalid_value")
    raise EngineError(
        f"the engine of {engine.model.name} answered {status}: {fault.message}",
        model=engine.model.name,
        log_tail=engine.log_tail,
    )


async def _explain(engine: Engine, error: BaseException, timeout_s: float) -> NoReturn:
    """Turn a broken connection into what happened to the engine behind it."""
    name = engine.model.name
    if isinstance(error, TimeoutError):
        tail = engine.log_tail
        await engine.stop()
        raise Stalled(
            f"the engine of {name} gave no token for {timeout_s:g} s and was stopped; "
            "the next request starts a new one",
            model=name,
            log_tail=tail,
        ) from error
    try:
        async with asyncio.timeout(_DEATH_GRACE_S):
            await engine.wait_exit()
    except TimeoutError:
        what = f"the connection to the engine of {name} broke ({error or type(error).__name__})"
    else:
        what = f"the engine of {name} died"
    if engine.state is State.STOPPING:
        what = f"the engine of {name} was stopped"
    raise Crashed(
        f"{what}; send the request again", model=name, log_tail=engine.log_tail
    ) from error
