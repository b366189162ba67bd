"""The admin API of rollouts: start, look, pause, resume, abort."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.routing import Route

from reshore.evals.rollouts.asked import Shown, StartRollout, Wish
from reshore.evals.rollouts.runner import Runner
from reshore.server.admin_routes import Operating
from reshore.server.exchange import Exchange
from reshore.server.services import Services

Change = Callable[[Runner, str, Wish], Awaitable[Shown]]


def rollout_endpoints(services: Services) -> list[Route]:
    """The endpoints, most special paths first."""
    rollouts = "/admin/rollouts"
    changes: dict[str, Change] = {
        "pause": Runner.pause,
        "resume": Runner.resume,
        "abort": Runner.abort,
    }
    return [
        Route(rollouts, Rollouts(services), methods=["GET"]),
        Route(rollouts, Start(services), methods=["POST"]),
        *(
            Route(f"{rollouts}/{{name:path}}/{word}", Turn(services, change), methods=["POST"])
            for word, change in changes.items()
        ),
        Route(f"{rollouts}/{{name:path}}", Status(services), methods=["GET"]),
    ]


class Rollouts(Operating):
    """`GET /admin/rollouts`: every rollout in short, newest first."""

    async def answer(self, exchange: Exchange) -> None:
        await self._tell(exchange, self._services.rollouts.all())


class Start(Operating):
    """`POST /admin/rollouts` `{"route": "gpt-4o-mini", "to": "local", "steps": [1, 100], …}`."""

    async def answer(self, exchange: Exchange) -> None:
        wish = await self._wish(exchange, StartRollout)
        await self._look()  # whether its model is installed must be known
        await self._tell(exchange, await self._services.rollouts.start(wish))


class Status(Operating):
    """`GET /admin/rollouts/{name}`: the last rollout of a route, and what it waits for."""

    async def answer(self, exchange: Exchange) -> None:
        await self._tell(exchange, self._services.rollouts.show(_name(exchange)))


class Turn(Operating):
    """`POST /admin/rollouts/{name}/pause` (or `resume`, `abort`) `{"why": …}`."""

    def __init__(self, services: Services, change: Change) -> None:
        super().__init__(services)
        self._change = change

    async def answer(self, exchange: Exchange) -> None:
        wish = await self._wish(exchange, Wish)
        await self._tell(
            exchange, await self._change(self._services.rollouts, _name(exchange), wish)
        )


def _name(exchange: Exchange) -> str:
    name: str = exchange.scope["path_params"]["name"]
    return name
