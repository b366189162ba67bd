"""Calls in OpenAI's dialect: upstreams get the client's bytes, this machine a typed request."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec.structs import replace

from reshore.backends.answer import Answer, HeaderList, ignoring
from reshore.config import Config
from reshore.server.calls.begun import Begun
from reshore.server.calls.held import Held
from reshore.server.calls.origin import Backends, Origin
from reshore.server.calls.typed import Generation, TypedCall
from reshore.server.calls.writing import Writer, encoded
from reshore.server.exchange import EVENTS, JSON
from reshore.server.following import VIOLATION
from reshore.server.inbound import Body
from reshore.types import Chunk, Reply, Target
from reshore.wire.openai.chat import decode_chat
from reshore.wire.openai.completions import decode_completion
from reshore.wire.openai.encode import Head, new_id
from reshore.wire.openai.encode_chat import ChatCollector, ChatStream
from reshore.wire.openai.encode_completion import CompletionCollector, CompletionStream
from reshore.wire.openai.envelope import Envelope
from reshore.wire.openai.reader import Decoded


class OpenAICall(TypedCall):
    """A chat or a completion under `/v1`."""

    path: ClassVar[str]
    _prefix: ClassVar[str]

    def __init__(
        self, backends: Backends, origin: Origin, config: Config, envelope: Envelope, body: Body
    ) -> None:
        super().__init__(backends, origin, stream=envelope.stream)
        self._config = config
        self._envelope = envelope
        self._body = body
        self._read: Decoded[Any] | None = None
        self._begun: dict[Target, Begun] = {}

    def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""
        if target.side == "cloud":
            opening = pass_on(
                self._backends, self._origin, self._envelope, self.path, target, key, keep_text
            )
        else:
            opening = super().open(target, keep_text=keep_text)
        if keep_text and self._stream:
            self._begun[target] = Begun()
            return _noted(opening, self._begun[target])
        return opening

    @asynccontextmanager
    async def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> AsyncIterator[Held]:
        """See `Call`."""
        inner = super().draft(target, logprobs=logprobs, temperature=temperature)
        async with inner as draft:
            if temperature is not None:  # a further sample, which no client gets
                yield draft
                return
            begun = self._begun[target] = Begun()
            try:
                yield draft
            finally:
                begun.calls = draft.calls_anything

    def resume(self, target: Target, begun: Answer) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""
        return _noted(super().resume(target, begun), self._begun[begun.target])

    # What the endpoint says

    def _decode(self, body: dict[str, Any], config: Config) -> Decoded[Any]:
        raise NotImplementedError

    def _codec(self, head: Head, *, include_usage: bool, begun: bool) -> StreamCodec:
        raise NotImplementedError

    def _collector(self, head: Head) -> Collector:
        raise NotImplementedError

    # What every dialect says

    def _decoding(self) -> Decoded[Any]:
        if self._read is None:
            self._read = self._decode(self._body.parsed(), self._config)
        return self._read

    def _request(self, target: Target) -> Generation:
        decoded = self._decoding()
        if decoded.refused is not None:
            raise decoded.refused
        request: Generation = decoded.request
        if target.model == request.model:
            return request
        return msgspec.structs.replace(request, model=target.model)

    def _notices(self) -> Mapping[str, str]:
        return ignoring(self._decoding().ignored)

    def _writer(self, target: Target, reply: Reply, *, goes_on: Answer | None = None) -> Writer:
        if goes_on is not None:
            head = self._begun[goes_on.target].continued()
        else:
            head = _head(self._prefix, reply)
            if target in self._begun:
                self._begun[target].head = head
        if not self._stream:
            return WholeWriter(self._collector(head))
        include_usage = self._decoding().include_usage
        return EventWriter(
            self._codec(head, include_usage=include_usage, begun=goes_on is not None)
        )


class ChatCall(OpenAICall):
    """`POST /v1/chat/completions`"""

    path = "/v1/chat/completions"
    _prefix = "chatcmpl-"

    def _decode(self, body: dict[str, Any], config: Config) -> Decoded[Any]:
        return decode_chat(body, lenient=config.lenient, limits=config.limits)

    def _codec(self, head: Head, *, include_usage: bool, begun: bool) -> StreamCodec:
        return ChatStream(head, include_usage=include_usage, begun=begun)

    def _collector(self, head: Head) -> Collector:
        return ChatCollector(head)


class CompletionCall(OpenAICall):
    """`POST /v1/completions`"""

    path = "/v1/completions"
    _prefix = "cmpl-"

    def _decode(self, body: dict[str, Any], config: Config) -> Decoded[Any]:
        return decode_completion(body, lenient=config.lenient, limits=config.limits)

    def _codec(self, head: Head, *, include_usage: bool, begun: bool) -> StreamCodec:
        return CompletionStream(head, include_usage=include_usage)

    def _collector(self, head: Head) -> Collector:
        return CompletionCollector(head)


class StreamCodec(Protocol):
    """Encodes a streamed reply."""

    def encode(self, batch: Sequence[Chunk]) -> bytes: ...

    def done(self, **more: str) -> bytes: ...


class Collector(Protocol):
    """Folds a reply's chunks into one body."""

    def add(self, batch: Sequence[Chunk]) -> None: ...

    def body(self) -> bytes: ...


class EventWriter:
    """A stream of events. Implements `Writer`."""

    stream = True

    def __init__(self, codec: StreamCodec) -> None:
        self.headers: HeaderList = [(b"content-type", EVENTS)]
        self.write = codec.encode
        self._done = codec.done

    async def close(self, reply: Reply, violations: str) -> bytes:
        """The end of the stream. The headers are long gone: a comment line tells people, the event
        with usage tells programs, and no client stumbles over them."""
        if not violations:
            return self._done()
        comment = f": {VIOLATION}: {violations}\n\n".encode()
        return comment + self._done(**{VIOLATION.replace("-", "_"): violations})


class WholeWriter:
    """One JSON object. Implements `Writer`."""

    stream = False

    def __init__(self, collector: Collector) -> None:
        self.headers: HeaderList = [JSON]
        self._collector = collector

    def write(self, batch: Sequence[Chunk]) -> bytes:
        """Nothing, until all is there."""
        self._collector.add(batch)
        return b""

    async def close(self, reply: Reply, violations: str) -> bytes:
        """The whole body."""
        if violations:
            self.headers += encoded({VIOLATION: violations})
        return self._collector.body()


def pass_on(
    backends: Backends,
    origin: Origin,
    envelope: Envelope,
    path: str,
    target: Target,
    key: int,
    keep_text: bool,
) -> AbstractAsyncContextManager[Answer]:
    """The client's request as it came, but for the model's name, and the reply as it comes."""
    remote = backends.remote(target)
    usage = remote.config.usage
    return remote.open_raw(
        target,
        path,
        envelope.with_model(remote.model_name(target.model), include_usage=usage),
        origin.headers,
        stream=envelope.stream,
        key=key,
        keep_text=keep_text,
        hide_usage=usage and envelope.hides_usage,
        request_id=origin.request_id,
    )


@asynccontextmanager
async def _noted(
    opening: AbstractAsyncContextManager[Answer], begun: Begun
) -> AsyncIterator[Answer]:
    async with opening as answer, aclosing(begun.noting(answer.frames)) as frames:
        yield replace(answer, frames=frames)


def _head(prefix: str, reply: Reply) -> Head:
    return Head(
        id=new_id(prefix),
        created=int(time.time()),
        model=reply.model,
        fingerprint=reply.system_fingerprint,
    )
