"""Endpoints of OpenAI's dialect. Thin: read the envelope, have it routed, relay the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from msgspec import structs

from reshore.backends.answer import Call
from reshore.config import Config
from reshore.errors import RequestError
from reshore.routing.asking import Asking, Kind
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Cloud, Local
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


class AskTarget(_Answering):
    """`POST /admin/ask?target=cloud:openai/gpt-4o`: a chat for one model, whatever the routes say.

    For operators who compare models. Privacy rules and the panic switch hold.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(services, "chat", ChatCall)

    def _asking(
        self, exchange: Exchange, name: str, kind: Kind, load: Callable[[], Any], user: str = ""
    ) -> Asking:
        """See `Routed`. Raises RequestError and RouteError for what names no model, as well."""
        asking = super()._asking(exchange, name, kind, load, user)
        return structs.replace(asking, target=_target(exchange))


def _target(exchange: Exchange) -> Local | Cloud:
    query = parse_qs(exchange.scope["query_string"].decode("latin-1"))
    text = query.get("target", [""])[0]
    target = parse_policy(text) if text else None
    if not (isinstance(target, Local | Cloud) and target.model):
        raise RequestError(
            "a target names one model: ?target=local:MODEL or ?target=cloud:UPSTREAM/MODEL",
            param="target",
        )
    return target


def chat_completions(services: Services) -> Routed:
    """`POST /v1/chat/completions`"""
    return _Answering(services, "chat", ChatCall)


def completions(services: Services) -> Routed:
    """`POST /v1/completions`"""
    return _Answering(services, "completion", CompletionCall)


def embeddings(services: Services) -> Routed:
    """`POST /v1/embeddings`"""
    return _Answering(services, "embedding", OpenAIEmbedCall)
