"""What the endpoints of the native API share."""

from __future__ import annotations

import logging
from typing import Any

from reshore.backends.answer import IGNORED
from reshore.errors import UnknownModel
from reshore.routing.asking import Asking
from reshore.routing.plan import Ruling, targets
from reshore.server.calls.native import JSON_UTF8, check_name
from reshore.server.exchange import Exchange
from reshore.server.routed import Routed
from reshore.types import Target
from reshore.wire.ollama.answers import Shape, encode_loading
from reshore.wire.ollama.decode import Loading
from reshore.wire.openai.reader import Decoded

__all__ = ["JSON_UTF8", "NativeEndpoint"]

log = logging.getLogger("reshore.server")


class NativeEndpoint(Routed):
    """An endpoint under `/api`. Errors are worded by `ollama_errors`, by the path alone."""

    def _declare(self, exchange: Exchange, decoded: Decoded[Any]) -> None:
        """Tell which fields have no effect, and log them: here clients may send what they like.

        Raises:
            RequestError: a field that cannot be honoured.
        """
        if decoded.refused is not None:
            raise decoded.refused
        if decoded.ignored:
            names = ", ".join(decoded.ignored)
            exchange.notice(IGNORED, names)
            log.info(
                "fields without effect: %s",
                names,
                extra={"request_id": exchange.request_id},
            )

    async def _decide(self, exchange: Exchange, asking: Asking) -> Ruling:
        """As for OpenAI's dialect, but that what can be no name is called so."""
        try:
            if not asking.name:
                raise UnknownModel("")
            return await super()._decide(exchange, asking)
        except UnknownModel:
            check_name(self._services.aliases.resolve(asking.name))
            raise

    async def _load(
        self, exchange: Exchange, decoded: Decoded[Any], loading: Loading, shape: Shape
    ) -> None:
        """Load or unload, and say so."""
        await self._have_loaded(exchange, decoded, loading)
        model = exchange.asked_model or ""
        body = encode_loading(model, shape, unloads=loading.unloads)
        await exchange.reply(200, body, (JSON_UTF8,))

    async def _have_loaded(
        self, exchange: Exchange, decoded: Decoded[Any], loading: Loading
    ) -> float:
        """Load or unload the model that a name leads to; how long was waited for it, in
        milliseconds. A client that hangs up ends the waiting.

        Upstreams load their models themselves.
        """
        asking = self._asking(exchange, loading.model, "chat", lambda: decoded.raw)
        target = _local(await self._decide(exchange, asking))
        if target is None:
            return 0.0
        check_name(target.model)
        backend = self._services.backend
        async with self._services.drain.interruptible(exchange.receive):
            if loading.unloads:
                await backend.unload(target.model)
                return 0.0
            return await backend.load(target.model, keep_alive_s=loading.keep_alive_s)


def _local(ruling: Ruling) -> Target | None:
    return next((target for target in targets(ruling.plan) if target.side == "local"), None)
