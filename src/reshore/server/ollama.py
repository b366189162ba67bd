"""`/api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings`: decode, have it routed, relay
the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import Route

from reshore.routing.asking import Kind
from reshore.server.calls.native import NativeCall, NativeEmbedCall
from reshore.server.exchange import Exchange
from reshore.server.native import JSON_UTF8, NativeEndpoint
from reshore.server.ollama_info import Ps, Show, Tags, Version
from reshore.server.services import Services
from reshore.types import ChatRequest, Embeddings
from reshore.wire.ollama.answers import ChatShape, GenerateShape, Shape
from reshore.wire.ollama.decode import (
    Loading,
    decode_chat,
    decode_embed,
    decode_embeddings,
    decode_generate,
)
from reshore.wire.ollama.embeddings import encode_embed, encode_embedding
from reshore.wire.openai.reader import Decoded


def native_routes(services: Services) -> list[Route]:
    """The endpoints that answer and those that tell; managing models is `ollama_models`'."""
    return [
        Route("/api/chat", Chat(services), methods=["POST"]),
        Route("/api/generate", Generate(services), methods=["POST"]),
        Route("/api/embed", Embed(services), methods=["POST"]),
        Route("/api/embeddings", OlderEmbeddings(services), methods=["POST"]),
        Route("/api/tags", Tags(services), methods=["GET"]),
        Route("/api/ps", Ps(services), methods=["GET"]),
        Route("/api/show", Show(services), methods=["POST"]),
        Route("/api/version", Version(services), methods=["GET"]),
    ]


class Generating(NativeEndpoint):
    """An endpoint whose reply is a generation, streamed or whole."""

    async def _generate(
        self,
        exchange: Exchange,
        decoded: Decoded[Any],
        shape: Shape,
        raw: bytes,
        *,
        with_context: bool = False,
    ) -> None:
        request = decoded.request
        exchange.asked_model = name = request.model
        self._declare(exchange, decoded)
        if isinstance(request, Loading):
            await self._load(exchange, decoded, request, shape)
            return
        kind: Kind = "chat" if isinstance(request, ChatRequest) else "completion"
        asking = self._asking(exchange, name, kind, lambda: decoded.raw)
        ruling = await self._decide(exchange, asking)
        call = NativeCall(
            self._services.backends,
            self._origin(exchange),
            decoded,
            shape,
            asked=name,
            with_context=with_context and kind == "chat",
        )
        await self._dispatch(exchange, call, ruling.plan, raw)


class Chat(Generating):
    """`POST /api/chat`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        body = await exchange.body(limits)
        decoded = decode_chat(exchange.parsed(body, limits), limits=limits)
        await self._generate(exchange, decoded, ChatShape(), body)


class Generate(Generating):
    """`POST /api/generate`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        body = await exchange.body(limits)
        decoded = decode_generate(exchange.parsed(body, limits), limits=limits)
        await self._generate(exchange, decoded, GenerateShape(), body, with_context=True)


class Embed(NativeEndpoint):
    """`POST /api/embed`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        body = await exchange.body(limits)
        decoded = decode_embed(exchange.parsed(body, limits), limits=limits)

        def encode(embeddings: Embeddings) -> bytes:
            return encode_embed(exchange.asked_model or "", embeddings, exchange.elapsed_ms())

        await self._embed(exchange, decoded, encode, body)

    async def _embed(
        self,
        exchange: Exchange,
        decoded: Decoded[Any],
        encode: Callable[[Embeddings], bytes],
        raw: bytes,
    ) -> None:
        """What was asked for; without input there is nothing to embed and the model is loaded."""
        request = decoded.request
        exchange.asked_model = name = request.model
        self._declare(exchange, decoded)
        if isinstance(request, Loading):
            load_ms = await self._have_loaded(exchange, decoded, request)
            nothing = Embeddings(model=name, vectors=(), prompt_tokens=0, load_ms=load_ms)
            await exchange.reply(200, encode(nothing), (JSON_UTF8,))
            return
        asking = self._asking(exchange, name, "embedding", lambda: decoded.raw)
        ruling = await self._decide(exchange, asking)
        call = NativeEmbedCall(self._services.backends, self._origin(exchange), decoded, encode)
        await self._dispatch(exchange, call, ruling.plan, raw)


class OlderEmbeddings(Embed):
    """`POST /api/embeddings`, which Ollama keeps for old clients."""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        body = await exchange.body(limits)
        decoded = decode_embeddings(exchange.parsed(body, limits), limits=limits)
        await self._embed(exchange, decoded, encode_embedding, body)
