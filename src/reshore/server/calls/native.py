"""Calls in Ollama's dialect: whoever answers gets a typed request, upstreams as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from reshore.backends.answer import Answer, HeaderList
from reshore.errors import BadName, RequestError
from reshore.models.names import parse_name
from reshore.server.calls.embedding import EmbedCall
from reshore.server.calls.origin import Backends, Origin
from reshore.server.calls.typed import Generation, TypedCall
from reshore.server.calls.writing import Writer
from reshore.server.following import VIOLATION
from reshore.types import ChatRequest, Chunk, Embeddings, EmbedRequest, Reply, Target
from reshore.wire.ollama.answers import Answer as Lines
from reshore.wire.ollama.answers import Shape
from reshore.wire.ollama.encode import NDJSON
from reshore.wire.openai.reader import Decoded

JSON_UTF8 = (b"content-type", b"application/json; charset=utf-8")


class NativeCall(TypedCall):
    """`POST /api/chat` or `/api/generate`.

    Args:
        asked: the model's name as the client wrote it; replies repeat it.
        with_context: the end tells the token ids of the exchange.
    """

    def __init__(
        self,
        backends: Backends,
        origin: Origin,
        decoded: Decoded[Any],
        shape: Shape,
        *,
        asked: str,
        with_context: bool = False,
    ) -> None:
        super().__init__(backends, origin, stream=decoded.stream)
        self._decoded = decoded
        self._shape = shape
        self._asked = asked
        self._with_context = with_context

    def _decoding(self) -> Decoded[Any]:
        return self._decoded

    def _request(self, target: Target) -> Generation:
        request: Generation = asked_of(target, self._decoded)
        return request

    def _writer(self, target: Target, reply: Reply, *, goes_on: Answer | None = None) -> Writer:
        request: Generation = self._decoded.request
        rivals = request.top_logprobs if isinstance(request, ChatRequest) else request.logprobs
        return NativeWriter(
            Lines(self._asked, self._shape, rivals=rivals or 0),
            self._origin.elapsed_ms,
            stream=self._stream,
            with_context=self._with_context and goes_on is None,
        )


class NativeEmbedCall(EmbedCall):
    """`POST /api/embed` or `/api/embeddings`.

    Args:
        encode: writes the reply.
    """

    def __init__(
        self,
        backends: Backends,
        origin: Origin,
        decoded: Decoded[Any],
        encode: Callable[[Embeddings], bytes],
    ) -> None:
        super().__init__(backends, origin)
        self._decoded = decoded
        self._write = encode

    def _request(self, target: Target) -> EmbedRequest:
        request: EmbedRequest = asked_of(target, self._decoded)
        return request

    def _headers(self) -> HeaderList:
        return [JSON_UTF8]

    def _encode(self, embeddings: Embeddings) -> bytes:
        return self._write(embeddings)


class NativeWriter:
    """A line per piece, or one object. Implements `Writer`."""

    def __init__(
        self,
        lines: Lines,
        elapsed_ms: Callable[[], float],
        *,
        stream: bool,
        with_context: bool,
    ) -> None:
        self.stream = stream
        self.headers: HeaderList = [(b"content-type", NDJSON) if stream else JSON_UTF8]
        self._lines = lines
        self._elapsed_ms = elapsed_ms
        self._with_context = with_context

    def write(self, batch: Sequence[Chunk]) -> bytes:
        """The lines of `batch`; nothing of an answer that is not streamed."""
        if self.stream:
            return self._lines.encode(batch)
        self._lines.add(batch)
        return b""

    async def close(self, reply: Reply, violations: str) -> bytes:
        """The last line, or the object."""
        more: dict[str, Any] = {}
        if self._with_context and reply.context is not None:
            context = await reply.context(self._lines.text)
            more["context"] = msgspec.Raw(msgspec.json.encode(context))
        if violations:
            # The headers are long gone when a stream ends, so the last line says it; the same
            # there and in one object, since clients pass by what they do not know.
            more[VIOLATION.replace("-", "_")] = violations
        end = self._lines.last if self.stream else self._lines.body
        return end(self._elapsed_ms(), **more)


def asked_of(target: Target, decoded: Decoded[Any]) -> Any:
    """The typed request for the target's model.

    Raises:
        RequestError: a field that cannot be honoured, here or in the words of another dialect; or
            a name that can be no installed model's.
    """
    if decoded.refused is not None:
        raise decoded.refused
    if target.side == "local":
        check_name(target.model)
    return msgspec.structs.replace(decoded.request, model=target.model)


def check_name(name: str) -> None:
    """Raises RequestError for what can be no installed model's name."""
    try:
        if name:
            parse_name(name)
    except BadName as error:
        raise RequestError("invalid model name", param="model") from error
