"""The admin API of the routes: look, change, go back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.datastructures import QueryParams
from starlette.routing import Route

from reshore.errors import RequestError
from reshore.routing.asking import Kind
from reshore.routing.explain import explain
from reshore.routing.operating import (
    Change,
    Operator,
    Panic,
    Rollback,
    SetRoute,
    Wish,
    asking_of,
)
from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange
from reshore.server.inbound import header_reader, read_pin
from reshore.server.services import Services
from reshore.wire.jsonbody import fitted, parse_body

W = TypeVar("W", bound=Struct)

_DIGITS = 18  # what is longer is no version's number, and 4,300 digits are no number to Python


def route_endpoints(services: Services) -> list[Route]:
    """The endpoints, most special paths first."""
    routes = "/admin/routes"
    return [
        Route(routes, Show(services), methods=["GET"]),
        Route(f"{routes}/history", Past(services), methods=["GET"]),
        Route(f"{routes}/diff", Diff(services), methods=["GET"]),
        Route(f"{routes}/{{number}}", Version(services), methods=["GET"]),
        Route(f"{routes}/{{name:path}}", Set(services), methods=["PUT"]),
        Route(f"{routes}/{{name:path}}", Remove(services), methods=["DELETE"]),
        Route("/admin/rollback", GoBack(services), methods=["POST"]),
        Route("/admin/panic", Turn(services), methods=["POST"]),
        Route("/admin/explain", Explain(services), methods=["POST"]),
    ]


class Operating(Endpoint):
    """An endpoint for operators."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._operator = Operator(services.routes, services.dispatcher.breakers)

    async def _look(self) -> None:
        """See what is installed, where that is not known any more."""
        if self._services.inventory.stale:
            await self._services.inventory.refresh()

    async def _tell(self, exchange: Exchange, found: Any) -> None:
        await exchange.reply(200, msgspec.json.encode(found))

    async def _tell_blocking(self, exchange: Exchange, ask: Callable[..., Any], *args: Any) -> None:
        """The answer of what reads or writes the history.

        A client that hangs up leaves a change to its end: it is in force, or has never been.
        """
        await self._tell(exchange, await asyncio.to_thread(ask, *args))

    async def _tell_change(
        self, exchange: Exchange, ask: Callable[..., Change], *args: Any
    ) -> None:
        """As `_tell_blocking`, with what the change means for rollouts."""
        after_change = self._services.rollouts.before_change()
        change = await asyncio.to_thread(ask, *args)
        warnings = [*change.warnings, *after_change()]
        await self._tell(exchange, replace(change, warnings=warnings))

    async def _wish(self, exchange: Exchange, kind: type[W]) -> W:
        """The request's body; without one, a wish without particulars. Who sends an admin key and
        no name is known by the key's id.

        Raises:
            RequestError: an unknown field, or one of the wrong type.
        """
        raw = await exchange.body(self._services.config.limits)
        body = parse_body(raw, self._services.config.limits) if raw else {}
        if exchange.key is not None:
            body.setdefault("author", f"key {exchange.key}")
        return fitted(body, kind)


class Show(Operating):
    """`GET /admin/routes`: the routes in force, what is wrong with them, and circuit breakers."""

    async def answer(self, exchange: Exchange) -> None:
        await self._look()
        await self._tell(exchange, self._operator.show())


class Past(Operating):
    """`GET /admin/routes/history?limit=20&before=12`: versions, newest first."""

    async def answer(self, exchange: Exchange) -> None:
        query = _query(exchange)
        limit, before = _number(query, "limit") or 0, _number(query, "before")
        await self._tell_blocking(exchange, self._operator.history, limit, before)


class Diff(Operating):
    """`GET /admin/routes/diff?from=12&to=15`: what leads from one version to the other."""

    async def answer(self, exchange: Exchange) -> None:
        query = _query(exchange)
        old, new = _number(query, "from"), _number(query, "to")
        if old is None or new is None:
            raise RequestError("two versions are needed: ?from=12&to=15", param="from")
        await self._tell_blocking(exchange, self._operator.diff, old, new)


class Version(Operating):
    """`GET /admin/routes/{number}`: one version."""

    async def answer(self, exchange: Exchange) -> None:
        number = _as_number(exchange.scope["path_params"]["number"], "number")
        await self._tell_blocking(exchange, self._operator.version, number)


class Set(Operating):
    """`PUT /admin/routes/{name}` `{"policy": "split(local=10, cloud=90)", "why": …}`."""

    async def answer(self, exchange: Exchange) -> None:
        wish = await self._wish(exchange, SetRoute)
        await self._look()
        await self._tell_change(exchange, self._operator.set, _name(exchange), wish)


class Remove(Operating):
    """`DELETE /admin/routes/{name}`, with or without a body `{"why": …}`."""

    async def answer(self, exchange: Exchange) -> None:
        wish = await self._wish(exchange, Wish)
        await self._tell_change(exchange, self._operator.remove, _name(exchange), wish)


class GoBack(Operating):
    """`POST /admin/rollback` `{"to": 12}`; without `to`, to the version before."""

    async def answer(self, exchange: Exchange) -> None:
        wish = await self._wish(exchange, Rollback)
        await self._tell_change(exchange, self._operator.rollback, wish)


class Turn(Operating):
    """`POST /admin/panic` `{"side": "cloud"}`: everything goes there, with null as routed."""

    async def answer(self, exchange: Exchange) -> None:
        wish = await self._wish(exchange, Panic)
        await self._tell_change(exchange, self._operator.panic, wish)


class Explain(Operating):
    """`POST /admin/explain?kind=chat`: what would be done with the request in the body, and why.

    Headers count as they would in a request: `x-reshore-route`, and those that a split goes by.
    """

    async def answer(self, exchange: Exchange) -> None:
        services = self._services
        body = await exchange.json(services.config.limits)
        await self._look()
        query = _query(exchange)
        asking = asking_of(
            body,
            kind=_kind(query.get("kind")),
            key=query.get("key"),
            pin=read_pin(exchange.headers, services.instance_id),
            header=header_reader(exchange.headers),
        )
        now = services.routing
        await self._tell(exchange, explain(asking, now.view, now.world))


def _kind(given: str | None) -> Kind | None:
    if given not in (None, *get_args(Kind)):
        raise RequestError(f"kind is one of {', '.join(get_args(Kind))}", param="kind")
    return cast(Kind | None, given)


def _name(exchange: Exchange) -> str:
    name: str = exchange.scope["path_params"]["name"]
    return name


def _query(exchange: Exchange) -> QueryParams:
    return QueryParams(exchange.scope["query_string"])


def _number(query: QueryParams, name: str) -> int | None:
    text = query.get(name)
    return None if text is None else _as_number(text, name)


def _as_number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise RequestError(f"{name} must be the number of a version, not '{text[:40]}'", param=name)
    return int(text)
