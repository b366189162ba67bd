"""Reading a request's body: bounded in bytes and time, before anything is parsed."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from reshore.config import LimitsConfig
from reshore.errors import BodyTooLarge, RequestTimeout, UnsupportedMedia


class ClientGone(Exception):
    """The client hung up. Never shown to anybody: there is nobody left."""


async def read_body(scope: Scope, receive: Receive, limits: LimitsConfig) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: more than the limit; known from Content-Length before a byte is read.
        RequestTimeout: it did not arrive in time.
        UnsupportedMedia: compressed, or sent by a web page as something else than JSON.
        ClientGone: the connection ended first.
    """
    _check_headers(scope, limits.body_bytes)
    try:
        async with asyncio.timeout(max(limits.header_timeout_s, 0) or None):
            return await _read(receive, limits.body_bytes)
    except TimeoutError:
        raise RequestTimeout(
            f"the request body did not arrive within {limits.header_timeout_s:g} s"
        ) from None


def _check_headers(scope: Scope, limit: int) -> None:
    content_type, origin = b"", False
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedMedia("compressed request bodies are not accepted; send plain JSON")
        if name == b"content-type":
            content_type = value.partition(b";")[0].strip().lower()
        elif name == b"origin":
            origin = True
    # A page may post text/plain across sites without asking; JSON needs a CORS preflight.
    if origin and content_type != b"application/json":
        raise UnsupportedMedia("a web page must send Content-Type: application/json")


async def _read(receive: Receive, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the request body is larger than {limit} bytes; raise `limits.body_bytes` to allow it"
    )
