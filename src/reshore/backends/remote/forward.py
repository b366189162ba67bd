"""Endpoints that reshore has no codec for: both bodies go by as they are, in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from reshore.backends.answer import Answer, HeaderList
from reshore.backends.remote.headers import forwarded_headers
from reshore.backends.remote.peer import Peer
from reshore.engine.patience import Patience
from reshore.errors import BackendTimeout, UpstreamStatus
from reshore.types import Target

_OUR_KEY = (401, 403)
_REDIRECTS = (300, 301, 302, 303, 305, 307, 308)


@dataclass(frozen=True)
class Forwarded:
    """A request that goes on as it is.

    Attributes:
        path: with the query, as the client sent it.
        headers: the client's, names in lower case.
        body: in pieces as they arrive; those can be sent once.
        key, request_id: as of a `RawRequest`.
    """

    target: Target
    method: str
    path: str
    headers: HeaderList
    body: AsyncIterator[bytes] | bytes | None = None
    key: int = 0
    request_id: str = ""


@asynccontextmanager
async def forward(peer: Peer, request: Forwarded) -> AsyncIterator[Answer]:
    """Pass a request on, and its reply back, whatever its status: there are no better words for it.

    Leaving, also by cancellation, closes the connection at once. What the body raises while it is
    read comes out unchanged.

    Raises:
        UpstreamStatus: 401 or 403, our key is rejected; 429 while all keys rest.
        BadReply: a redirect.
        Unreachable, BackendTimeout, Overloaded: as for any request.
    """
    opening = _Forwarding(peer, request)
    async with peer.slot():
        try:
            response = await opening.begin()
            headers = peer.without_keys(forwarded_headers(response.headers))
            frames = _frames(peer, response)
            if opening.fault is not None and request.method != "HEAD":
                headers = _measured(headers, opening.fault.body)
                frames = _once(opening.fault.body)
            async with aclosing(frames):
                yield Answer(
                    target=request.target,
                    status=response.status,
                    headers=headers,
                    frames=frames,
                    stream="content-length" not in response.headers,
                    fault=opening.fault,
                )
        finally:
            opening.close()


class _Forwarding:
    """One request while it is sent. Belongs to its task.

    Attributes:
        fault: an error, whose body is read here because it may repeat a key.
    """

    def __init__(self, peer: Peer, request: Forwarded) -> None:
        self._peer = peer
        self._request = request
        self.fault: UpstreamStatus | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._body_error: Exception | None = None

    def close(self) -> None:
        """Close the connection, unless the reply has been read to its end."""
        if self._response is not None:
            self._response.close()

    async def begin(self) -> aiohttp.ClientResponse:
        """The reply's head."""
        limit_s = self._peer.timeouts.total_s
        try:
            with self._peer.translated(f"did not answer within {limit_s:g} s"):
                async with asyncio.timeout(limit_s or None):
                    return await self._send()
        except Exception:
            if self._body_error is not None:
                raise self._body_error from None
            raise

    async def _send(self) -> aiohttp.ClientResponse:
        peer, request = self._peer, self._request
        model = request.target.model
        key = peer.pick_key(model, request.key)
        body = request.body
        response = self._response = await peer.door.request(
            request.method,
            peer.url(request.path),
            peer.headers.make(request.headers, key, request_id=request.request_id, forwarded=True),
            body if body is None or isinstance(body, bytes) else self._watched(body),
        )
        if response.status >= 400 or response.status in _REDIRECTS:
            error = await peer.refusal(response, key, model)
            if response.status in _OUR_KEY or not isinstance(error, UpstreamStatus):
                raise error
            self.fault = error
        return response

    async def _watched(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The client library would hide what went wrong with the body."""
        try:
            async for piece in body:
                yield piece
        except Exception as error:
            self._body_error = error
            raise


def _measured(headers: HeaderList, body: bytes) -> HeaderList:
    """`headers` with the length of `body`."""
    others = [header for header in headers if header[0] != b"content-length"]
    return [*others, (b"content-length", b"%d" % len(body))]


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _frames(peer: Peer, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    content = response.content
    # Of what is in it nothing is known: a model may think for as long as before a first token.
    limit_s = peer.timeouts.first_token_s

    def late() -> None:
        content.set_exception(
            BackendTimeout(f"{peer.name} sent nothing for {limit_s:g} s", backend=peer.name)
        )

    try:
        with Patience(limit_s, late, asyncio.get_running_loop()) as patience:
            patience.wait()
            while data := await content.readany():
                patience.served()
                yield data
                patience.wait()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise peer.explain(error, "was too slow") from error
