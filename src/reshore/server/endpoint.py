"""What every endpoint is."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Receive, Scope, Send

from reshore.server.exchange import SCOPE_KEY, Exchange
from reshore.server.services import Services


class Endpoint:
    """An ASGI app with the server's services. Subclasses answer one path."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own: see `middleware.py`.
        return self.answer(scope[SCOPE_KEY])

    async def answer(self, exchange: Exchange) -> None:
        raise NotImplementedError
