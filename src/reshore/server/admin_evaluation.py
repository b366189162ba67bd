"""The admin API of evaluation: what is known of the routes, and pairs from comparisons."""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.routing import Route

from reshore.errors import RouteNotFound
from reshore.evals.live.standing import Overview, standing
from reshore.ledger.entry import PairTexts
from reshore.routing.paired import Paired
from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange
from reshore.server.services import Services
from reshore.wire.jsonbody import fitted


class Reset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Begin anew with a route."""

    route: str


class ComparedPair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pair that was compared elsewhere, for the ledger.

    Attributes:
        texts: kept as `[ledger] texts` says.
    """

    paired: Paired
    texts: PairTexts | None = None

    def __post_init__(self) -> None:
        # Routers are trained on these numbers, and weigh pairs by one over the propensity.
        paired = self.paired
        if (paired.local.side, paired.cloud.side) != ("local", "cloud"):
            raise ValueError("its models are not one of this machine and one of the cloud")
        if not 0 < paired.propensity <= 1:
            raise ValueError("propensity must be above 0 and at most 1")
        if not all(
            0 <= each <= 1 for each in (paired.local_quality or 0, paired.cloud_quality or 0)
        ):
            raise ValueError("a quality must be from 0 to 1")


class ComparedPairs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `POST /admin/evaluation/pairs`."""

    pairs: list[ComparedPair]


def evaluation_endpoints(services: Services) -> list[Route]:
    """The endpoints."""
    path = "/admin/evaluation"
    return [
        Route(path, Standings(services), methods=["GET"]),
        Route(f"{path}/reset", BeginAnew(services), methods=["POST"]),
        Route(f"{path}/pairs", TakePairs(services), methods=["POST"]),
    ]


class Standings(Endpoint):
    """`GET /admin/evaluation?route=gpt-4o-mini`: what is known of all routes, or of one."""

    async def answer(self, exchange: Exchange) -> None:
        evaluation = self._services.evaluation
        route = QueryParams(exchange.scope["query_string"]).get("route")
        if evaluation is None:
            found = Overview(enabled=False)
        else:
            known = evaluation.copies(route)
            # Milliseconds for each: intervals are searched for.
            level = self._services.config.evaluation.net_win
            standings = await asyncio.to_thread(
                lambda: [standing(each, level=level) for each in known]
            )
            found = Overview(
                standings=standings,
                dropped=evaluation.dropped(),
                unanswered=dict(self._services.shadows.state().dropped.items()),
                judged=evaluation.judged(),
            )
        await exchange.reply(200, msgspec.json.encode(found))


class BeginAnew(Endpoint):
    """`POST /admin/evaluation/reset` `{"route": "gpt-4o-mini"}`: forget what is known of it."""

    async def answer(self, exchange: Exchange) -> None:
        wish = fitted(await exchange.json(self._services.config.limits), Reset)
        evaluation = self._services.evaluation
        if evaluation is None:
            raise RouteNotFound("evaluation is switched off (evaluation.enabled)")
        evaluation.reset(wish.route)
        await exchange.reply(200, b"{}")


class TakePairs(Endpoint):
    """`POST /admin/evaluation/pairs`: pairs of a comparison, for the ledger alone.

    Some at a time, as many as a request's body may hold.
    """

    async def answer(self, exchange: Exchange) -> None:
        given = fitted(await exchange.json(self._services.config.limits), ComparedPairs)
        for each in given.pairs:
            paired = msgspec.structs.replace(each.paired, source="compare", answered=None)
            self._services.ledger.record_pair(paired, key=exchange.key, texts=each.texts)
        await exchange.reply(200, msgspec.json.encode({"taken": len(given.pairs)}))
