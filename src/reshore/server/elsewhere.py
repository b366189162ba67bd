"""Paths that no endpoint answers: what OpenAI has beyond them goes to an upstream."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Match, Route

from reshore.errors import UnknownEndpoint, WrongMethod
from reshore.server.exchange import Exchange
from reshore.server.forward import Forward
from reshore.server.services import Services


class Elsewhere(Forward):
    """Forwards under `/v1`, as far as an upstream takes that; says of the rest that it is not here,
    in the shape that the clients of the path read."""

    def __init__(self, services: Services, routes: Sequence[Route]) -> None:
        super().__init__(services)
        self._routes = routes

    async def answer(self, exchange: Exchange) -> None:
        scope = exchange.scope
        method, path = scope["method"], scope["path"]
        if path.startswith("/v1/") and self.takes_any:
            await self.forward(exchange)
            return
        if any(route.matches(scope)[0] is not Match.NONE for route in self._routes):
            raise WrongMethod(f"{path} does not answer {method}")
        page = "compatibility-ollama" if path.startswith("/api/") else "compatibility"
        raise UnknownEndpoint(f"there is no {method} {path} here; see docs/{page}.md")
