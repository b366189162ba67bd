"""`/v1/models`: every name that is answered, each once."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from reshore.errors import BadName, UnknownModel
from reshore.models.names import parse_name
from reshore.routing.patterns import is_glob
from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange
from reshore.types import ModelInfo
from reshore.wire.openai.encode import encode_model, encode_models

_ROUTED = ModelInfo(name="", created_s=0, owned_by="reshore")


class Models(Endpoint):
    """`GET /v1/models`: installed models, aliases that lead to one, names that have a route, and
    what the upstreams list."""

    async def answer(self, exchange: Exchange) -> None:
        await exchange.reply(200, encode_models((await self._all()).values()))

    async def _all(self) -> dict[str, ModelInfo]:
        """By name; what stands further ahead in the list is what answers to it."""
        services = self._services
        installed, *theirs = await asyncio.gather(
            services.backend.models(),
            *(remote.models() for remote in services.backends.remotes.values()),
        )
        known = {info.name: info for info in installed}
        for alias, model in services.aliases.names():
            if (listed := _display(model)) in known:
                known.setdefault(alias, replace(known[listed], name=alias))
        upstreams = {info.name: info for infos in reversed(theirs) for info in infos}
        for route in services.routing.view.table.routes:
            name = route.pattern
            if not is_glob(name):
                info = known.get(_display(name)) or upstreams.get(name) or _ROUTED
                known.setdefault(name, replace(info, name=name))
        for name, info in upstreams.items():
            known.setdefault(name, info)
        return known


class OneModel(Models):
    """`GET /v1/models/{id}`; ids may hold slashes."""

    async def answer(self, exchange: Exchange) -> None:
        wanted: str = exchange.scope["path_params"]["model"]
        known = await self._all()
        info = known.get(wanted) or known.get(_display(self._services.aliases.resolve(wanted)))
        if info is None and self._services.routing.view.table.match(wanted) is not None:
            info = _ROUTED
        if info is None:
            raise UnknownModel(wanted)
        await exchange.reply(200, encode_model(replace(info, name=wanted)))


def _display(name: str) -> str:
    """A model's name as lists show it: with its tag. What is no model name stays as it is."""
    try:
        return str(parse_name(name))
    except BadName:
        return name
