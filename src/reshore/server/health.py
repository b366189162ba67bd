"""Probes: cheap, without a key, without a version."""

from __future__ import annotations

from reshore.server.endpoint import Endpoint
from reshore.server.exchange import Exchange

_TEXT = (b"content-type", b"text/plain; charset=utf-8")


class Banner(Endpoint):
    """`GET /`: what Ollama's clients look for to know that a server is there."""

    async def answer(self, exchange: Exchange) -> None:
        await exchange.reply(200, b"Ollama is running", (_TEXT,))


class Alive(Endpoint):
    """`GET /health` and its other names: the process answers."""

    async def answer(self, exchange: Exchange) -> None:
        await exchange.reply(200, b'{"status":"ok"}')


class Ready(Endpoint):
    """`GET /readyz`: new requests are accepted; 503 from the first moment of a drain."""

    async def answer(self, exchange: Exchange) -> None:
        if self._services.drain.begun:
            await exchange.reply(503, b'{"status":"draining"}')
        else:
            await exchange.reply(200, b'{"status":"ready"}')
