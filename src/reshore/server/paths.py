"""Which endpoint answers a path."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send


class Paths:
    """An ASGI app: paths without parameters are looked up, Starlette's router matches the others.

    A stream passes through every coroutine that waits for it on each of its chunks; looked-up
    endpoints spare it three of them, and every request the search through the routes.

    Args:
        routes: the first that fits answers.
        otherwise: answers what fits none, and methods that a path does not have.

    Attributes:
        routes: those that were given.
    """

    def __init__(self, routes: Sequence[Route], otherwise: ASGIApp) -> None:
        self.routes = tuple(routes)
        self._plain: dict[tuple[str, str], ASGIApp] = {}
        for route in routes:
            if not route.param_convertors:
                for method in route.methods or ():
                    self._plain.setdefault((method, route.path), route.app)
        self._router = Router([*routes, Route("/{path:path}", otherwise)])

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            endpoint = self._plain.get((scope["method"], scope["path"]))
            if endpoint is not None:
                return endpoint(scope, receive, send)
        return self._router(scope, receive, send)
