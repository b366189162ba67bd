"""What every request passes through, outermost first. `MIDDLEWARE` is the order.

All are plain ASGI: nothing is wrapped per chunk of a stream. Those that only look at a request
give back what the next one does instead of awaiting it: each coroutine that waits for a stream is
passed through again on every chunk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from reshore.errors import ReshoreError
from reshore.server.body import ClientGone
from reshore.server.drain import Drain
from reshore.server.exchange import JSON, SCOPE_KEY, Exchange
from reshore.server.guard import OPEN_PATHS, HostGuard, KeyGuard, OriginGuard
from reshore.types import Outcome

log = logging.getLogger("reshore.server")

# What browsers may send and read; the x-stainless-* names are those of OpenAI's SDKs, which a
# preflight lists one by one, so the request's own list is echoed.
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, DELETE, OPTIONS"),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (
    b"access-control-expose-headers",
    b"x-request-id, x-reshore-decision, x-reshore-ignored, x-reshore-num-ctx, "
    b"x-reshore-truncated, x-reshore-version, x-upstream-request-id, retry-after",
)


class Observe:
    """Gives each request an id, one reply whatever happens, and one Outcome."""

    def __init__(self, app: ASGIApp, record: Callable[[Outcome], None]) -> None:
        self._app = app
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = scope[SCOPE_KEY] = Exchange(scope, receive, send)
        error: BaseException | None = None
        try:
            await self._app(scope, receive, send)
        except ClientGone as gone:
            error = gone
            exchange.status = exchange.status or 499  # nginx's number for a client that left
        except asyncio.CancelledError as cancelled:
            error = cancelled
            raise
        except Exception as failure:
            error = failure
            await _report(exchange, failure)
        finally:
            self._record(exchange.outcome(type(error).__name__ if error else None))
            # Otherwise the two would hold each other, and with them all that the request made,
            # until the garbage collector comes by.
            del scope[SCOPE_KEY]


async def _report(exchange: Exchange, failure: Exception) -> None:
    if not isinstance(failure, ReshoreError):
        log.exception("unexpected error", extra={"request_id": exchange.request_id})
    rendered = exchange.rendered(failure)
    if exchange.status == 0:
        await exchange.reply(rendered.status, rendered.body, (JSON, *rendered.headers))
    elif not exchange.finished and exchange.speaks:
        await exchange.end_stream(rendered.event)


class Guard:
    """Host and Origin, before anything else is looked at; answers CORS preflights."""

    def __init__(self, app: ASGIApp, host: HostGuard, origin: OriginGuard) -> None:
        self._app = app
        self._host = host
        self._origin = origin

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        headers = scope["headers"]
        self._host.check(headers)
        origin = self._origin.check(headers)
        if origin is not None:
            exchange: Exchange = scope[SCOPE_KEY]
            exchange.common_headers += [
                (b"access-control-allow-origin", origin),
                (b"vary", b"origin"),
                _EXPOSED,
            ]
            if scope["method"] == "OPTIONS":
                return exchange.reply(204, b"", [*_PREFLIGHT, *_allowed_headers(headers)])
        return self._app(scope, receive, send)


def _allowed_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-headers", value)
        for name, value in headers
        if name == b"access-control-request-headers"
    ]


class Authenticate:
    """API keys. Every path needs one when keys are configured, except the probes."""

    def __init__(self, app: ASGIApp, keys: KeyGuard) -> None:
        self._app = app
        self._keys = keys

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # scope["path"], never request.url: a crafted Host can change what the URL says.
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            exchange: Exchange = scope[SCOPE_KEY]
            exchange.key = self._keys.check(scope["headers"])
        return self._app(scope, receive, send)


class Admit:
    """Refuses new work while the server drains; probes are still answered."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and self._drain.begun:
            exchange: Exchange = scope[SCOPE_KEY]
            exchange.common_headers.append((b"connection", b"close"))
            self._drain.refuse_new()
        return self._app(scope, receive, send)
