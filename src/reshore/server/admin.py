"""What the command line asks a running server, over `run/admin.sock` (mode 0600) alone."""

from __future__ import annotations

import msgspec

from reshore.config import parse_host
from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange


class Loaded(Endpoint):
    """`GET /admin/loaded`: the models in memory."""

    async def answer(self, exchange: Exchange) -> None:
        await exchange.reply(200, msgspec.json.encode(self._services.pool.loaded()))


class Stop(Endpoint):
    """`POST /admin/stop` `{"model": name}`: unload it once its running requests have ended."""

    async def answer(self, exchange: Exchange) -> None:
        body = await exchange.json(self._services.config.limits)
        stopped = await self._services.pool.unload(str(body.get("model")))
        await exchange.reply(200, msgspec.json.encode({"stopped": stopped}))


class Forget(Endpoint):
    """`POST /admin/forget` `{"model": name}`: it was removed from the store by somebody else."""

    async def answer(self, exchange: Exchange) -> None:
        body = await exchange.json(self._services.config.limits)
        await self._services.pool.forget(str(body.get("model")))
        await exchange.reply(200, b"{}")


class Where(Endpoint):
    """`GET /admin/where`: the address that clients use."""

    async def answer(self, exchange: Exchange) -> None:
        config = self._services.config
        host, port = parse_host(config.host)
        await exchange.reply(
            200, msgspec.json.encode({"host": host, "port": port, "tls": bool(config.tls_cert)})
        )
