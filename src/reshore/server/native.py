"""What the endpoints of the native API share."""

from __future__ import annotations

import logging
from typing import Any

from reshore.errors import BadName, RequestError
from reshore.models.names import parse_name
from reshore.server.exchange import Exchange
from reshore.server.openai import Endpoint, R
from reshore.wire.ollama.answers import Shape, encode_loading
from reshore.wire.ollama.decode import Loading
from reshore.wire.openai.reader import Decoded

log = logging.getLogger("reshore.server")

JSON_UTF8 = (b"content-type", b"application/json; charset=utf-8")


class NativeEndpoint(Endpoint):
    """An endpoint under `/api`. Errors are worded by `ollama_errors`, by the path alone."""

    def _asked(self, exchange: Exchange, decoded: Decoded[Any], request: R) -> R:
        """`decoded.request` for the model that its name leads to.

        Raises:
            RequestError: a field that cannot be honoured here, or a name that can be no model's.
        """
        exchange.asked_model = request.model
        self._declare(exchange, decoded)
        led = self._led(request)
        try:
            if led.model:
                parse_name(led.model)
        except BadName as error:
            raise RequestError("invalid model name", param="model") from error
        return led

    def _declare(self, exchange: Exchange, decoded: Decoded[Any]) -> None:
        """As for OpenAI's dialect, and a log line: here clients may send what they like."""
        super()._declare(exchange, decoded)
        if decoded.ignored:
            log.info(
                "fields without effect: %s",
                ", ".join(decoded.ignored),
                extra={"request_id": exchange.request_id},
            )

    async def _load(self, exchange: Exchange, loading: Loading, shape: Shape) -> None:
        """Load or unload, and say so."""
        await self._have_loaded(exchange, loading)
        model = exchange.asked_model or ""
        body = encode_loading(model, shape, unloads=loading.unloads)
        await exchange.reply(200, body, (JSON_UTF8,))

    async def _have_loaded(self, exchange: Exchange, loading: Loading) -> float:
        """Load or unload; how long was waited for it, in milliseconds. A client that hangs up
        ends the waiting."""
        backend = self._services.backend
        async with self._services.drain.interruptible(exchange.receive):
            if loading.unloads:
                await backend.unload(loading.model)
                return 0.0
            return await backend.load(loading.model, keep_alive_s=loading.keep_alive_s)
