"""Endpoints of OpenAI's dialect. Thin: decode, route, ask the backend, encode."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import msgspec
from starlette.types import Receive, Scope, Send

from reshore.errors import BadName, UnknownModel
from reshore.models.names import parse_name
from reshore.server.exchange import SCOPE_KEY, Exchange
from reshore.server.following import VIOLATION, Following
from reshore.server.services import Services
from reshore.types import Chunk, ModelInfo, Reply
from reshore.wire.openai.chat import decode_chat
from reshore.wire.openai.completions import decode_completion
from reshore.wire.openai.embeddings import decode_embedding
from reshore.wire.openai.encode import (
    Head,
    encode_embeddings,
    encode_model,
    encode_models,
    new_id,
)
from reshore.wire.openai.encode_chat import ChatCollector, ChatStream
from reshore.wire.openai.encode_completion import CompletionCollector, CompletionStream
from reshore.wire.openai.reader import Decoded

IGNORED = "x-reshore-ignored"


class Asking(Protocol):
    """A request for a model: a frozen struct with the model's name."""

    @property
    def model(self) -> str: ...


R = TypeVar("R", bound=Asking)


class StreamCodec(Protocol):
    """Encodes a streamed reply."""

    def encode(self, batch: Sequence[Chunk]) -> bytes: ...

    def done(self) -> bytes: ...


class Collector(Protocol):
    """Folds a reply's chunks into one body."""

    def add(self, batch: Sequence[Chunk]) -> None: ...

    def body(self) -> bytes: ...


class Endpoint:
    """An ASGI app with the server's services. Subclasses answer one path."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.answer(scope[SCOPE_KEY])

    async def answer(self, exchange: Exchange) -> None:
        raise NotImplementedError

    def _routed(self, exchange: Exchange, decoded: Decoded[R]) -> R:
        """The request for the model that its name leads to.

        Raises:
            RequestError: a field that this machine cannot honour.
        """
        self._declare(exchange, decoded)
        return self._led(decoded.request)

    def _declare(self, exchange: Exchange, decoded: Decoded[Any]) -> None:
        """Tell which fields have no effect. Raises RequestError for one that cannot be honoured."""
        if decoded.refused is not None:
            raise decoded.refused
        if decoded.ignored:
            exchange.notice(IGNORED, ", ".join(decoded.ignored))

    def _led(self, request: R) -> R:
        """The request with the name of the model that it leads to."""
        model = self._services.aliases.resolve(request.model)
        if model == request.model:
            return request
        return cast(R, msgspec.structs.replace(cast(Any, request), model=model))


class Generating(Endpoint):
    """An endpoint whose reply is a generation, streamed or whole."""

    async def _generate(
        self,
        exchange: Exchange,
        decoded: Decoded[Any],
        opening: AbstractAsyncContextManager[Reply],
        dialect: Dialect,
    ) -> None:
        async with self._services.drain.interruptible(exchange.receive), opening as reply:
            exchange.answered_by(reply)
            head = _head(dialect.id_prefix, reply)
            if decoded.stream:
                codec = dialect.stream(head, include_usage=decoded.include_usage)
                await _stream(exchange, reply, codec)
            else:
                await _collect(exchange, reply, dialect.collector(head))


@dataclass(frozen=True)
class Dialect:
    """How the replies of one endpoint are written."""

    id_prefix: str
    stream: Callable[..., StreamCodec]
    collector: Callable[[Head], Collector]


_CHAT = Dialect("chatcmpl-", ChatStream, ChatCollector)
_TEXT = Dialect("cmpl-", CompletionStream, CompletionCollector)


class ChatCompletions(Generating):
    """`POST /v1/chat/completions`"""

    async def answer(self, exchange: Exchange) -> None:
        config = self._services.config
        decoded = decode_chat(
            await exchange.json(config.limits), lenient=config.lenient, limits=config.limits
        )
        opening = self._services.backend.chat(self._routed(exchange, decoded))
        await self._generate(exchange, decoded, opening, _CHAT)


class Completions(Generating):
    """`POST /v1/completions`"""

    async def answer(self, exchange: Exchange) -> None:
        config = self._services.config
        decoded = decode_completion(
            await exchange.json(config.limits), lenient=config.lenient, limits=config.limits
        )
        opening = self._services.backend.complete(self._routed(exchange, decoded))
        await self._generate(exchange, decoded, opening, _TEXT)


class EmbeddingsEndpoint(Endpoint):
    """`POST /v1/embeddings`"""

    async def answer(self, exchange: Exchange) -> None:
        config = self._services.config
        decoded = decode_embedding(
            await exchange.json(config.limits), lenient=config.lenient, limits=config.limits
        )
        request = self._routed(exchange, decoded)
        async with self._services.drain.interruptible(exchange.receive):
            embeddings = await self._services.backend.embed(request)
            exchange.embedded_by(embeddings)
            await exchange.reply(200, encode_embeddings(embeddings, decoded.encoding_format))


class Models(Endpoint):
    """`GET /v1/models`: installed models, then aliases that lead to one."""

    async def answer(self, exchange: Exchange) -> None:
        await exchange.reply(200, encode_models(await self._all()))

    async def _all(self) -> list[ModelInfo]:
        installed = list(await self._services.backend.models())
        by_name = {info.name: info for info in installed}
        aliases = [
            msgspec.structs.replace(by_name[listed], name=alias)
            for alias, model in self._services.aliases.names()
            if (listed := _display(model)) in by_name
        ]
        return installed + aliases


class OneModel(Models):
    """`GET /v1/models/{id}`; ids may hold slashes."""

    async def answer(self, exchange: Exchange) -> None:
        wanted: str = exchange.scope["path_params"]["model"]
        known = {info.name: info for info in await self._all()}
        info = known.get(wanted) or known.get(_display(self._services.aliases.resolve(wanted)))
        if info is None:
            raise UnknownModel(wanted)
        await exchange.reply(200, encode_model(msgspec.structs.replace(info, name=wanted)))


def _display(name: str) -> str:
    """A model's name as lists show it: with its tag. What is no model name stays as it is."""
    try:
        return str(parse_name(name))
    except BadName:
        return name


def _head(prefix: str, reply: Reply) -> Head:
    return Head(
        id=new_id(prefix),
        created=int(time.time()),
        model=reply.model,
        fingerprint=reply.system_fingerprint,
    )


async def _stream(exchange: Exchange, reply: Reply, codec: StreamCodec) -> None:
    await exchange.start_stream()
    following = Following(exchange, reply)
    async for batch in reply.chunks:
        following.note(batch)
        data = codec.encode(batch)
        if data:
            await exchange.send(data)
    # The headers are long gone: a comment line tells people, and no client stumbles over it.
    problems = following.violations()
    comment = f": {VIOLATION}: {problems}\n\n".encode() if problems else b""
    await exchange.end_stream(comment + codec.done())


async def _collect(exchange: Exchange, reply: Reply, collector: Collector) -> None:
    following = Following(exchange, reply)
    async for batch in reply.chunks:
        following.note(batch)
        collector.add(batch)
    if problems := following.violations():
        exchange.notice(VIOLATION, problems)
    await exchange.reply(200, collector.body())
