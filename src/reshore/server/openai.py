"""Endpoints of OpenAI's dialect. Thin: read the envelope, have it routed, relay the answer."""

from __future__ import annotations

from collections.abc import Callable

from reshore.backends.answer import Call
from reshore.config import Config
from reshore.routing.asking import Kind
from reshore.server.calls.embedding import OpenAIEmbedCall
from reshore.server.calls.openai import ChatCall, CompletionCall
from reshore.server.calls.origin import Backends, Origin
from reshore.server.exchange import Exchange
from reshore.server.inbound import Body
from reshore.server.routed import Routed
from reshore.server.services import Services
from reshore.wire.openai.envelope import Envelope, read_envelope

NewCall = Callable[[Backends, Origin, Config, Envelope, Body], Call]


class _Answering(Routed):
    """An endpoint with a codec: this machine can answer it, and any upstream."""

    def __init__(self, services: Services, kind: Kind, new_call: NewCall) -> None:
        super().__init__(services)
        self._kind = kind
        self._new_call = new_call

    async def answer(self, exchange: Exchange) -> None:
        services = self._services
        limits = services.config.limits
        body = Body(await exchange.body(limits), limits)
        envelope = read_envelope(body.raw, limits)
        exchange.asked_model = name = envelope.model
        asking = self._asking(exchange, name, self._kind, body.parsed, envelope.user or "")
        ruling = await self._decide(exchange, asking)
        call = self._new_call(
            services.backends, self._origin(exchange), services.config, envelope, body
        )
        await self._dispatch(exchange, call, ruling.plan, body.raw)


def chat_completions(services: Services) -> Routed:
    """`POST /v1/chat/completions`"""
    return _Answering(services, "chat", ChatCall)


def completions(services: Services) -> Routed:
    """`POST /v1/completions`"""
    return _Answering(services, "completion", CompletionCall)


def embeddings(services: Services) -> Routed:
    """`POST /v1/embeddings`"""
    return _Answering(services, "embedding", OpenAIEmbedCall)
