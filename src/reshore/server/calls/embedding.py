"""Embeddings as calls, of both dialects: there is nothing to stream, to judge or to go on with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from msgspec.structs import replace

from reshore.backends.answer import Answer, Draft, HeaderList, Measured, Question, ignoring
from reshore.config import Config
from reshore.errors import Unsupported
from reshore.server.calls.openai import pass_on
from reshore.server.calls.origin import Backends, Origin
from reshore.server.calls.writing import encoded, whole
from reshore.server.exchange import JSON
from reshore.server.inbound import Body
from reshore.types import Embeddings, EmbedRequest, Target, Timings, Usage
from reshore.wire.openai.embeddings import decode_embedding
from reshore.wire.openai.encode import encode_embeddings
from reshore.wire.openai.envelope import Envelope
from reshore.wire.openai.reader import Decoded

_NO_TEXT = "Vectors are no text: there is nothing to be judged or gone on with."


class EmbedCall:
    """Inputs to embed, in the words of a dialect. Implements `Call`."""

    stream = False

    def __init__(self, backends: Backends, origin: Origin) -> None:
        self._backends = backends
        self._origin = origin

    def _request(self, target: Target) -> EmbedRequest:
        """For the target's model. Raises RequestError for what cannot be honoured."""
        raise NotImplementedError

    def _encode(self, embeddings: Embeddings) -> bytes:
        raise NotImplementedError

    def _headers(self) -> HeaderList:
        raise NotImplementedError

    def question(self) -> Question | None:
        """See `Call`."""
        return None

    def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""
        return self._open(target, key)

    @asynccontextmanager
    async def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> AsyncIterator[Draft]:
        """See `Call`."""
        raise Unsupported(_NO_TEXT)
        yield

    @asynccontextmanager
    async def resume(self, target: Target, begun: Answer) -> AsyncIterator[Answer]:
        """See `Call`."""
        raise Unsupported(_NO_TEXT)
        yield

    @asynccontextmanager
    async def _open(self, target: Target, key: int) -> AsyncIterator[Answer]:
        request = self._request(target)
        if target.side == "local":
            embeddings = await self._backends.local.embed(request)
        else:
            embeddings = await self._backends.remote(target).embed(
                request, key=key, request_id=self._origin.request_id
            )
        measured = Measured(
            model=embeddings.model,
            usage=Usage(prompt_tokens=embeddings.prompt_tokens),
            timings=Timings(load_ms=embeddings.load_ms),
        )
        headers = self._headers() + encoded(embeddings.notices)
        async with aclosing(whole(self._encode(embeddings))) as frames:
            yield Answer(
                target=target, status=200, headers=headers, frames=frames, measured=measured
            )


class OpenAIEmbedCall(EmbedCall):
    """`POST /v1/embeddings`: upstreams get the client's bytes."""

    def __init__(
        self, backends: Backends, origin: Origin, config: Config, envelope: Envelope, body: Body
    ) -> None:
        super().__init__(backends, origin)
        self._config = config
        self._envelope = envelope
        self._body = body
        self._read: Decoded[EmbedRequest] | None = None

    def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""
        if target.side == "local":
            return super().open(target)
        return pass_on(
            self._backends, self._origin, self._envelope, "/v1/embeddings", target, key, False
        )

    def _decoded(self) -> Decoded[EmbedRequest]:
        if self._read is None:
            self._read = decode_embedding(
                self._body.parsed(), lenient=self._config.lenient, limits=self._config.limits
            )
        return self._read

    def _request(self, target: Target) -> EmbedRequest:
        decoded = self._decoded()
        if decoded.refused is not None:
            raise decoded.refused
        return replace(decoded.request, model=target.model)

    def _headers(self) -> HeaderList:
        return [JSON, *encoded(ignoring(self._decoded().ignored))]

    def _encode(self, embeddings: Embeddings) -> bytes:
        return encode_embeddings(embeddings, self._decoded().encoding_format)
