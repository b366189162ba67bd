"""What calls of every dialect share: a typed request, and a writer for its reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any

from msgspec.structs import replace

from reshore.backends.answer import Answer, Measured, Question
from reshore.errors import Unsupported
from reshore.server.calls.continuing import continuing
from reshore.server.calls.held import Held, held
from reshore.server.calls.origin import Backends, Origin
from reshore.server.calls.writing import Writer, encoded, write, written
from reshore.server.following import Following
from reshore.types import ChatRequest, CompletionRequest, Reply, Target
from reshore.wire.openai.reader import Decoded

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

    def _decoding(self) -> Decoded[Any]:
        """The request as it was read, whatever a target could honour.

        Raises:
            RequestError: it is malformed.
        """
        raise NotImplementedError

    # Call

    def question(self) -> Question | None:
        """See `Call`."""
        decoded = self._decoding()
        request = decoded.request
        if not isinstance(request, ChatRequest):
            return None
        return Question(request=request, body=decoded.raw)

    def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AbstractAsyncContextManager[Answer]:
        """See `Call`."""

        def new_writer(reply: Reply) -> Writer:
            return self._told(self._writer(target, reply), reply)

        return _Answering(
            target, lambda: self._ask(target, self._request(target), key), new_writer, keep_text
        )

    @asynccontextmanager
    async def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> AsyncIterator[Held]:
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

        def ask() -> AbstractAsyncContextManager[Reply]:
            return self._ask(target, continuing(self._request(target), begun.measured.text or ()))

        def new_writer(reply: Reply) -> Writer:
            return self._writer(target, reply, goes_on=begun)

        return _Answering(target, ask, new_writer, True)

    def _told(self, writer: Writer, reply: Reply) -> Writer:
        if notices := self._notices():
            writer.headers += encoded(notices)
        if reply.notices:
            writer.headers += encoded(reply.notices)
        return writer

    def _ask(
        self, target: Target, request: Generation, key: int = 0
    ) -> AbstractAsyncContextManager[Reply]:
        backends, request_id = self._backends, self._origin.request_id
        if isinstance(request, ChatRequest):
            return backends.chat(target, request, key=key, request_id=request_id)
        if target.side == "local":
            return backends.local.complete(request)
        return backends.remote(target).complete(request, key=key, request_id=request_id)


class _Answering:
    """A context manager around an answer: entering asks, leaving ends the generation.

    No generator, as on the way of every request one costs more than what it does here.
    """

    __slots__ = ("_ask", "_frames", "_keep_text", "_new_writer", "_opening", "_target")

    def __init__(
        self,
        target: Target,
        ask: Callable[[], AbstractAsyncContextManager[Reply]],
        new_writer: Callable[[Reply], Writer],
        keep_text: bool,
    ) -> None:
        self._target = target
        self._ask = ask
        self._new_writer = new_writer
        self._keep_text = keep_text

    async def __aenter__(self) -> Answer:
        self._opening = self._ask()
        reply = await self._opening.__aenter__()
        try:
            writer = self._new_writer(reply)
        except BaseException as error:
            await self._opening.__aexit__(type(error), error, error.__traceback__)
            raise
        measured = Measured(model=reply.model, text=[] if self._keep_text else None)
        self._frames = write(reply, reply.chunks, writer, Following(reply, measured))
        return written(self._target, writer, self._frames, measured)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            # They read what the context behind them feeds, so they must not outlive that.
            await self._frames.aclose()
        finally:
            left = await self._opening.__aexit__(kind, error, trace)
        return left


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
