"""Connections to upstreams: one pool for all, and requests that met a connection's end sent again.

What goes out carries no cookies, follows no proxy variables, and asks for replies as they are.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import AsyncIterable
from types import SimpleNamespace
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

# Addresses of clouds change; a look-up a minute is nothing.
_DNS_S = 30
# Servers close idle connections after 5 s (uvicorn) to minutes; whoever is first, a request that
# meets the end is sent again.
_IDLE_S = 55
# aiohttp warns when a larger body is given as bytes: it would be copied as a whole.
_LARGE_BODY_BYTES = 2**20
# Pooled connections that may have ended at once, after a restart of the upstream, say.
_STALE_CONNECTIONS = 64


def open_session() -> aiohttp.ClientSession:
    """The session for all upstreams; whoever opens it closes it."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(_note_fresh)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=_DNS_S, keepalive_timeout=_IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,  # a proxy variable must not carry prompts and keys elsewhere
        read_bufsize=2**18,
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[trace],
    )


class _Sending(SimpleNamespace):
    """Whether the connection of a request was made for it."""

    fresh = False


async def _note_fresh(session: Any, context: Any, params: Any) -> None:
    if isinstance(context.trace_request_ctx, _Sending):
        context.trace_request_ctx.fresh = True


class Door:
    """Sends requests to one upstream.

    Args:
        tls: how its certificate is checked.
        connect_s: until a connection stands; 0: no limit.
    """

    def __init__(
        self, session: aiohttp.ClientSession, tls: ssl.SSLContext | bool, connect_s: float
    ) -> None:
        self._session = session
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s or None)

    async def request(
        self,
        method: str,
        url: URL,
        headers: CIMultiDict[str],
        data: bytes | AsyncIterable[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """The reply's head. Redirects are not followed: they would carry a key elsewhere.

        A pooled connection that the upstream has closed meanwhile is no failure: the request, of
        whose answer nothing has come, goes over the next one, at last over a new one. Only a body
        that comes in pieces cannot be sent again.
        """
        tries = _STALE_CONNECTIONS if data is None or isinstance(data, bytes) else 0
        for _ in range(tries):
            sending = _Sending()
            try:
                return await self._send(method, url, headers, data, sending)
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if sending.fresh:
                    raise
        return await self._send(method, url, headers, data, _Sending())

    async def _send(
        self, method: str, url: URL, headers: CIMultiDict[str], data: Any, sending: _Sending
    ) -> aiohttp.ClientResponse:
        if isinstance(data, bytes) and len(data) > _LARGE_BODY_BYTES:
            data = io.BytesIO(data)
        return await self._session.request(
            method,
            url,
            data=data,
            headers=headers,
            timeout=self._timeout,
            allow_redirects=False,
            ssl=self._tls,
            trace_request_ctx=sending,
        )
