"""`GET /metrics`: what Prometheus fetches, and what a running server tells its meter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

from reshore.evals.live.evaluation import Evaluation
from reshore.ledger.ledger import Ledger
from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange
from reshore.server.services import Services
from reshore.telemetry.gauges import Evaluated, Gauges
from reshore.telemetry.labels import Bounded, Endpoints, ModelNames
from reshore.telemetry.meter import Meter
from reshore.telemetry.page import render
from reshore.telemetry.series import Labels

# Paths as labels have them: those of our endpoints (a test compares them with the routes), and what
# of OpenAI's is forwarded most. What is below the last ones is `/v1/*` and `/admin/*`.
PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/models/{model}",
    "/v1/responses",
    "/v1/responses/{path}",
    "/v1/audio/{path}",
    "/v1/images/{path}",
    "/v1/files/{path}",
    "/v1/batches/{path}",
    "/v1/moderations",
    "/v1/{path}",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/tags",
    "/api/ps",
    "/api/show",
    "/api/version",
    "/api/create",
    "/api/copy",
    "/api/delete",
    "/api/pull",
    "/api/push",
    "/api/blobs/{digest}",
    "/",
    "/health",
    "/healthz",
    "/livez",
    "/readyz",
    "/health/liveliness",
    "/health/readiness",
    "/metrics",
    "/admin/{path}",
)


class MetricsPage(Endpoint):
    """`GET /metrics`. The numbers are copied at once and written out in a thread, one page at a
    time, so that requests do not wait for it."""

    def __init__(self, services: Services, meter: Meter) -> None:
        super().__init__(services)
        self._meter = meter
        self._writing = asyncio.Lock()

    async def answer(self, exchange: Exchange) -> None:
        accept = b",".join(value for name, value in exchange.headers if name == b"accept")
        async with self._writing:
            readings = self._meter.read()
            kind, page = await asyncio.to_thread(render, readings, accept.decode("latin-1"))
        await exchange.reply(200, page, ((b"content-type", kind.encode()),))


def make_meter(services: Services, ledger: Ledger) -> Meter:
    """A meter of this server."""
    config = services.config
    keeps, evaluation = config.ledger.enabled, services.evaluation
    return Meter(
        endpoints=Endpoints(PATHS),
        backends=("local", *config.upstreams),
        models=ModelNames(
            installed=services.inventory.has,
            table=lambda: services.routing.view.table,
            upstream_models=_named(services),
        ),
        gauges=Gauges(
            in_flight=lambda: services.drain.in_flight,
            loaded=services.pool.loaded,
            breakers=services.dispatcher.breakers,
            routing_version=lambda: services.routing.view.number,
            ledger=(lambda: (ledger.queued, ledger.counts)) if keeps else None,
            shadow_drops=lambda: services.shadows.state().dropped.items(),
            rollouts=services.rollouts.gauges,
            evaluation=None if evaluation is None else _evaluated(evaluation),
        ),
    )


def _evaluated(evaluation: Evaluation) -> Callable[[], Evaluated]:
    """What evaluation knows. Routes are few; beyond what a label may take, one stands for all."""
    label = Bounded()

    def read() -> Evaluated:
        pairs = Counter[Labels]()
        for (route, verdict), count in evaluation.counted.items():
            pairs[label(route), verdict] += count
        latest = evaluation.latest()
        return Evaluated(
            pairs=pairs,
            drops=evaluation.dropped(),
            net_win={label(each.route): each.net_win for each in latest if each.decided},
            drifted={label(each.route): each.drifted for each in latest if each.drift},
        )

    return read


def _named(services: Services) -> Iterator[str]:
    """Models of upstreams that settings name, and those of OpenAI's that need no route."""
    for upstream in services.config.upstreams.values():
        yield from upstream.models
        yield from upstream.models.values()
    for name, _ in services.routing.world.tiers.exact():
        yield name
