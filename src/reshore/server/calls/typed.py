"""What calls of every dialect share: a typed request, and a writer for its reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from msgspec.structs import replace

from reshore.backends.answer import Answer, Draft, Measured
from reshore.errors import Unsupported
from reshore.server.calls.continuing import continuing
from reshore.server.calls.held import Held, held
from reshore.server.calls.origin import Backends, Origin
from reshore.server.calls.writing import Writer, encoded, write, written
from reshore.server.following import Following
from reshore.types import ChatRequest, CompletionRequest, Reply, Target

Generation = ChatRequest | CompletionRequest


class TypedCall:
    """A request for a generation, in the words of a dialect. Implements `Call`.

    Belongs to the task of its request, or to that of a mirrored copy.
    """

    def __init__(self, backends: Backends, origin: Origin, *, stream: bool) -> None:
        self._backends = backends
        self._origin = origin
        self._stream = stream

    @property
    def stream(self) -> bool:
        return self._stream

    # What a dialect says

    def _request(self, target: Target) -> Generation:
        """The request for the target's model.

        Raises:
            RequestError: it is malformed, or asks for what this target cannot honour.
        """
        raise NotImplementedError

    def _writer(self, target: Target, reply: Reply, *, goes_on: Answer | None = None) -> Writer:
        """Writes the reply; one that `goes_on` where another broke off, as a part of that.

        Raises:
            Unsupported: what broke off cannot be gone on with.
        """
        raise NotImplementedError

    def _notices(self) -> Mapping[str, str]:
        """What the client is told, whoever answers from the typed request."""
        return {}

    # Call

    def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""
        return self._open(target, key, keep_text)

    @asynccontextmanager
    async def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> AsyncIterator[Draft]:
        """See `Call`."""
        asked = self._request(target)
        if asked.n != 1:
            raise Unsupported("Of an answer with several choices none can be judged for all.")
        request = _sampled(_with_logprobs(asked) if logprobs else asked, temperature)

        def new_writer(reply: Reply) -> Writer:
            return self._told(self._writer(target, reply), reply)

        draft = Held(target, asked, new_writer, show_logprobs=_wants_logprobs(asked))
        async with held(draft, self._ask(target, request)):
            yield draft

    def resume(self, target: Target, begun: Answer) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""
        return self._resume(target, begun)

    @asynccontextmanager
    async def _resume(self, target: Target, begun: Answer) -> AsyncIterator[Answer]:
        request = continuing(self._request(target), begun.measured.text or ())
        async with self._ask(target, request) as reply:
            writer = self._writer(target, reply, goes_on=begun)
            async with _answering(target, reply, writer, keep_text=True) as answer:
                yield answer

    @asynccontextmanager
    async def _open(self, target: Target, key: int, keep_text: bool) -> AsyncIterator[Answer]:
        async with self._ask(target, self._request(target), key) as reply:
            writer = self._told(self._writer(target, reply), reply)
            async with _answering(target, reply, writer, keep_text=keep_text) as answer:
                yield answer

    def _told(self, writer: Writer, reply: Reply) -> Writer:
        writer.headers += encoded(self._notices())
        writer.headers += encoded(reply.notices)
        return writer

    def _ask(
        self, target: Target, request: Generation, key: int = 0
    ) -> AbstractAsyncContextManager[Reply]:
        if target.side == "local":
            local = self._backends.local
            if isinstance(request, ChatRequest):
                return local.chat(request)
            return local.complete(request)
        remote, request_id = self._backends.remote(target), self._origin.request_id
        if isinstance(request, ChatRequest):
            return remote.chat(request, key=key, request_id=request_id)
        return remote.complete(request, key=key, request_id=request_id)


@asynccontextmanager
async def _answering(
    target: Target, reply: Reply, writer: Writer, *, keep_text: bool
) -> AsyncIterator[Answer]:
    measured = Measured(model=reply.model, text=[] if keep_text else None)
    following = Following(reply, measured)
    async with aclosing(write(reply, reply.chunks, writer, following)) as frames:
        yield written(target, writer, frames, measured)


def _wants_logprobs(request: Generation) -> bool:
    if isinstance(request, ChatRequest):
        return request.top_logprobs is not None
    return request.logprobs is not None


def _with_logprobs(request: Generation) -> Generation:
    if _wants_logprobs(request):
        return request
    if isinstance(request, ChatRequest):
        return replace(request, top_logprobs=0)
    return replace(request, logprobs=0)


def _sampled(request: Generation, temperature: float | None) -> Generation:
    """Another sample: as the client's seed says, but not the same."""
    if temperature is None:
        return request
    sampling = request.sampling
    seed = None if sampling.seed is None else sampling.seed + 1
    return replace(request, sampling=replace(sampling, temperature=temperature, seed=seed))
