"""`/api/blobs/:digest`: files that a client uploads before it makes a model of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope

from reshore.clock import SystemClock
from reshore.errors import BodyTooLarge, DigestMismatch, RequestError, RequestTimeout
from reshore.models.blocking import blocking
from reshore.models.manifest import BLOB_LIMIT, is_digest
from reshore.models.progress import ignore
from reshore.models.sources.arrival import sole_writer
from reshore.server.body import ClientGone
from reshore.server.exchange import Exchange
from reshore.server.native import NativeEndpoint

_PIECE_BYTES = 1 << 20  # gathered before they are worth a write


class Blobs(NativeEndpoint):
    """`HEAD` tells whether a blob is here, `POST` takes one in."""

    async def answer(self, exchange: Exchange) -> None:
        digest = exchange.scope["path_params"]["digest"].replace("sha256-", "sha256:", 1)
        if not is_digest(digest):
            raise RequestError("invalid digest format", param="digest")
        here = await blocking(self._services.store.blobs.keeps, digest)
        if exchange.scope["method"] == "HEAD":
            await exchange.reply(200 if here else 404, b"")
        elif here:
            await exchange.reply(200, b"")
        else:
            await self._take(exchange, digest)
            await exchange.reply(201, b"")

    async def _take(self, exchange: Exchange, digest: str) -> None:
        """Store the body under its digest; a body that breaks off leaves nothing."""
        store, size = self._services.store, _announced(exchange.scope)
        await blocking(store.blobs.check_space, size or 0)
        timeout_s = self._services.config.limits.header_timeout_s
        async with sole_writer(store, digest, size or 0, ignore, SystemClock()) as partial:
            if partial.done:
                return
            try:
                await blocking(partial.restart)
                async for piece in _pieces(exchange.receive, timeout_s):
                    await blocking(partial.write, piece)
                await blocking(store.blobs.commit, partial)
            except DigestMismatch as error:
                raise RequestError(
                    f'digest mismatch, expected "{error.want}", got "{error.got}"', param="digest"
                ) from error
            except BaseException:
                await blocking(partial.discard)
                raise


def _announced(scope: Scope) -> int | None:
    """The length that the client announces, None for a body in chunks.

    Raises:
        BodyTooLarge: no blob may have it.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            if int(value) > BLOB_LIMIT:
                raise BodyTooLarge(f"a blob may have {BLOB_LIMIT} bytes")
            return int(value)
    return None


async def _pieces(receive: Receive, timeout_s: float) -> AsyncIterator[bytes]:
    """The body, in pieces worth a write.

    Raises:
        RequestTimeout: nothing came for `timeout_s` seconds.
        ClientGone: the connection ended first.
    """
    held, more = bytearray(), True
    while more:
        try:
            async with asyncio.timeout(timeout_s if timeout_s > 0 else None):
                message = await receive()
        except TimeoutError:
            raise RequestTimeout(f"nothing of the blob arrived for {timeout_s:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        held += message.get("body", b"")
        more = message.get("more_body", False)
        if len(held) >= _PIECE_BYTES or (held and not more):
            yield bytes(held)
            held.clear()
