"""A request that no codec here understands, as a call: only upstreams can be asked with it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager

from msgspec.structs import replace

from reshore.backends.answer import Answer, Draft, Question
from reshore.errors import BackendError, ReshoreError, Unsupported, UpstreamStatus
from reshore.server.calls.origin import Backends, Origin
from reshore.server.upload import Upload
from reshore.types import Target
from reshore.wire.openai.tail import Tail

# Where a reply may say what it cost.
_TOLD = re.compile(rb"\s*(?:application/json|text/event-stream)", re.IGNORECASE)
_NO_TEXT = "What is sent on unread can be neither judged nor gone on with."


class ForwardCall:
    """Implements `Call`. A body that comes in pieces can be sent once; asked again, the call fails
    as it failed then."""

    stream = False

    def __init__(
        self, backends: Backends, origin: Origin, method: str, path: str, upload: Upload
    ) -> None:
        self._backends = backends
        self._origin = origin
        self._method = method
        self._path = path
        self._upload = upload
        self._spent: ReshoreError | None = None

    def question(self) -> Question | None:
        """See `Call`."""
        return None

    @asynccontextmanager
    async def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AsyncIterator[Answer]:
        """See `Call`."""
        if self._spent is not None:
            raise self._spent
        try:
            async with (
                self._forward(target, key) as answer,
                aclosing(_learning(answer)) as frames,
            ):
                if answer.fault is not None and self._has_another_key(answer.fault, target, key):
                    raise answer.fault
                # Nothing is known of its frames: they are never held together.
                yield replace(answer, frames=frames, stream=True)
        except ReshoreError as error:
            if self._upload.rest is not None:
                self._spent = error
                if isinstance(error, BackendError):
                    error.retryable = False
            raise

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

    def _has_another_key(self, fault: UpstreamStatus, target: Target, key: int) -> bool:
        """Whether whoever asked with `key` shall ask again with the next one.

        The last one's refusal goes to the client as it came. A 401 never comes this far.
        """
        replayable = self._upload.rest is None
        left = key + 1 < self._backends.remote(target).key_count
        return fault.status == 429 and replayable and left

    def _forward(self, target: Target, key: int) -> AbstractAsyncContextManager[Answer]:
        remote = self._backends.remote(target)
        headers, body = self._upload.named(remote.model_name(target.model))
        return remote.forward(
            target,
            self._method,
            self._path,
            headers,
            body,
            key=key,
            request_id=self._origin.request_id,
        )


async def _learning(answer: Answer) -> AsyncGenerator[bytes, None]:
    """The frames as they come; what they say of the tokens is noted at their end."""
    if not any(name == b"content-type" and _TOLD.match(value) for name, value in answer.headers):
        async for frame in answer.frames:
            yield frame
        return
    tail, measured = Tail(), answer.measured
    try:
        async for frame in answer.frames:
            tail.feed(frame)
            yield frame
    finally:
        measured.model, measured.usage = tail.model, tail.usage()
