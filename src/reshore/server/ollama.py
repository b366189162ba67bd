"""`/api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings`: decode, ask the backend,
encode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from reshore.server.exchange import Exchange
from reshore.server.following import VIOLATION, Following
from reshore.server.native import JSON_UTF8, NativeEndpoint
from reshore.server.ollama_info import Ps, Show, Tags, Version
from reshore.server.services import Services
from reshore.types import ChatRequest, CompletionRequest, Embeddings, EmbedRequest, Reply
from reshore.wire.ollama.answers import Answer, ChatShape, GenerateShape, Shape
from reshore.wire.ollama.decode import (
    Loading,
    decode_chat,
    decode_embed,
    decode_embeddings,
    decode_generate,
)
from reshore.wire.ollama.embeddings import encode_embed, encode_embedding
from reshore.wire.ollama.encode import NDJSON
from reshore.wire.openai.reader import Decoded


def native_routes(services: Services) -> list[BaseRoute]:
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


class Chat(NativeEndpoint):
    """`POST /api/chat`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        decoded = decode_chat(await exchange.json(limits), limits=limits)
        request = self._asked(exchange, decoded, decoded.request)
        if isinstance(request, Loading):
            await self._load(exchange, request, ChatShape())
            return
        async with (
            self._services.drain.interruptible(exchange.receive),
            self._services.backend.chat(request) as reply,
        ):
            answer = _answer(exchange, ChatShape(), request.top_logprobs)
            await _send(exchange, reply, answer, stream=decoded.stream)


class Generate(NativeEndpoint):
    """`POST /api/generate`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        decoded = decode_generate(await exchange.json(limits), limits=limits)
        request = self._asked(exchange, decoded, decoded.request)
        if isinstance(request, Loading):
            await self._load(exchange, request, GenerateShape())
        elif isinstance(request, ChatRequest):
            await self._chat(exchange, request, stream=decoded.stream)
        else:
            await self._complete(exchange, request, stream=decoded.stream)

    async def _chat(self, exchange: Exchange, request: ChatRequest, *, stream: bool) -> None:
        async with (
            self._services.drain.interruptible(exchange.receive),
            self._services.backend.chat(request) as reply,
        ):
            answer = _answer(exchange, GenerateShape(), request.top_logprobs)
            await _send(exchange, reply, answer, stream=stream, with_context=True)

    async def _complete(
        self, exchange: Exchange, request: CompletionRequest, *, stream: bool
    ) -> None:
        async with (
            self._services.drain.interruptible(exchange.receive),
            self._services.backend.complete(request) as reply,
        ):
            answer = _answer(exchange, GenerateShape(), request.logprobs)
            await _send(exchange, reply, answer, stream=stream)


class Embed(NativeEndpoint):
    """`POST /api/embed`"""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        decoded = decode_embed(await exchange.json(limits), limits=limits)
        embeddings = await self._embeddings(exchange, decoded, decoded.request)
        body = encode_embed(exchange.asked_model or "", embeddings, exchange.elapsed_ms())
        await exchange.reply(200, body, (JSON_UTF8,))

    async def _embeddings(
        self, exchange: Exchange, decoded: Decoded[Any], asked: EmbedRequest | Loading
    ) -> Embeddings:
        """What was asked for; without input there is nothing to embed and the model is loaded."""
        request = self._asked(exchange, decoded, asked)
        if isinstance(request, Loading):
            load_ms = await self._have_loaded(exchange, request)
            return Embeddings(model=request.model, vectors=(), prompt_tokens=0, load_ms=load_ms)
        async with self._services.drain.interruptible(exchange.receive):
            embeddings = await self._services.backend.embed(request)
        exchange.embedded_by(embeddings)
        return embeddings


class OlderEmbeddings(Embed):
    """`POST /api/embeddings`, which Ollama keeps for old clients."""

    async def answer(self, exchange: Exchange) -> None:
        limits = self._services.config.limits
        decoded = decode_embeddings(await exchange.json(limits), limits=limits)
        embeddings = await self._embeddings(exchange, decoded, decoded.request)
        await exchange.reply(200, encode_embedding(embeddings), (JSON_UTF8,))


def _answer(exchange: Exchange, shape: Shape, rivals: int | None) -> Answer:
    return Answer(exchange.asked_model or "", shape, rivals=rivals or 0)


async def _send(
    exchange: Exchange,
    reply: Reply,
    answer: Answer,
    *,
    stream: bool,
    with_context: bool = False,
) -> None:
    exchange.answered_by(reply)
    following = Following(exchange, reply)
    if stream:
        await exchange.start_stream(NDJSON)
        async for batch in reply.chunks:
            following.note(batch)
            lines = answer.encode(batch)
            if lines:
                await exchange.send(lines)
        more = await _closing(reply, answer, following, with_context=with_context)
        await exchange.end_stream(answer.last(exchange.elapsed_ms(), **more))
        return
    async for batch in reply.chunks:
        following.note(batch)
        answer.add(batch)
    more = await _closing(reply, answer, following, with_context=with_context)
    await exchange.reply(200, answer.body(exchange.elapsed_ms(), **more), (JSON_UTF8,))


async def _closing(
    reply: Reply, answer: Answer, following: Following, *, with_context: bool
) -> dict[str, Any]:
    """What the end of an answer tells besides the counts."""
    more: dict[str, Any] = {}
    if with_context and reply.context is not None:
        context: Sequence[int] = await reply.context(answer.text)
        more["context"] = msgspec.Raw(msgspec.json.encode(context))
    if problems := following.violations():
        # The headers are long gone when a stream ends, so the last line says it; the same there
        # and in one object, since clients pass by what they do not know.
        more[VIOLATION.replace("-", "_")] = problems
    return more
