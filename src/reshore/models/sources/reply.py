"""Replies of registries, read within bounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import aiohttp

from reshore.clock import Clock
from reshore.errors import SourceError

_PIECE_BYTES = 1 << 20
_PIECE_S = 0.1


async def read_at_most(
    response: aiohttp.ClientResponse, limit: int, what: str, *, cut: bool = False
) -> bytes:
    """The body, at most `limit` bytes of it.

    Raises:
        SourceError: it is longer (unless it may be `cut`), or encoded.
    """
    require_identity(response)
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            if cut:
                break
            raise SourceError(f"{response.url.host} sends more than {limit} bytes for {what}")
    return bytes(body[:limit])


async def pieces(response: aiohttp.ClientResponse, clock: Clock) -> AsyncGenerator[bytes, None]:
    """The body, in pieces worth a write: a megabyte, or what came in a tenth of a second.

    When the connection breaks, what had arrived is given before the error is raised.
    """
    require_identity(response)
    held, since = bytearray(), clock.monotonic()
    failure: Exception | None = None
    try:
        async for piece in response.content.iter_any():
            held += piece
            if len(held) >= _PIECE_BYTES or clock.monotonic() - since >= _PIECE_S:
                yield bytes(held)
                held.clear()
                since = clock.monotonic()
    except (aiohttp.ClientError, OSError) as error:
        failure = error
    if held:
        yield bytes(held)
    if failure is not None:
        raise failure


def require_identity(response: aiohttp.ClientResponse) -> None:
    """Refuse a compressed body: nobody asked for one, and it may be a bomb.

    Raises:
        SourceError: it is compressed.
    """
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise SourceError(f"{response.url.host} sends a body with the encoding {encoding[:40]!r}")
