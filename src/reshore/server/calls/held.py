"""A local answer that is held back until somebody has judged it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from msgspec.structs import replace

from reshore.backends.answer import Answer, Measured, whole_calls
from reshore.routing.apart import ended
from reshore.server.calls.writing import Frames, Writer, write, written
from reshore.server.following import Following
from reshore.types import (
    ChatRequest,
    Chunk,
    CompletionRequest,
    FinishReason,
    Reply,
    Target,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)

Batches = AsyncGenerator[Sequence[Chunk], None]


class Held:
    """Implements `Draft`. What is said of it is of choice 0.

    A task of its own reads the reply, so that whoever waits for the end can stop waiting and
    nothing is lost. Its buffer ends with the reply.

    Args:
        request: what was asked.
        new_writer: makes what writes the reply, if it is kept.
        show_logprobs: the client asked for them, and not only the checks.
    """

    def __init__(
        self,
        target: Target,
        request: ChatRequest | CompletionRequest,
        new_writer: Callable[[Reply], Writer],
        *,
        show_logprobs: bool,
    ) -> None:
        self.request = request
        self.measured = Measured(text=[])
        self._target = target
        self._new_writer = new_writer
        self._show_logprobs = show_logprobs
        self._batches: list[Sequence[Chunk]] = []
        self._logprobs: list[TokenLogprob] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}
        self._finish: FinishReason | None = None
        self._reply: Reply | None = None
        self._error: Exception | None = None
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._frames: Frames | None = None

    @property
    def text(self) -> str:
        return "".join(self.measured.text or ())

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        calls = list(self._calls.values())
        # The last one is complete when another has begun, or the answer has ended.
        complete = calls if self._finish is not None else calls[:-1]
        return whole_calls(delta for deltas in complete for delta in deltas)

    @property
    def calls_anything(self) -> bool:
        """Whether a tool call has begun."""
        return bool(self._calls)

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._finish

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...]:
        return tuple(self._logprobs)

    async def finish(self) -> None:
        """See `Draft`."""
        await self._over.wait()
        if self._error is not None:
            raise self._error

    def answer(self) -> Answer:
        """See `Draft`."""
        reply = self._reply
        assert reply is not None
        writer = self._new_writer(reply)
        # What is measured is noted already, while it was read.
        following = Following(reply, Measured())
        self._frames = write(reply, self._kept(), writer, following)
        return written(self._target, writer, self._frames, self.measured)

    async def read(self, opening: AbstractAsyncContextManager[Reply], begun: asyncio.Event) -> None:
        """Read the reply to its end, and hold it open until cancelled; `begun` when it is there,
        or has failed."""
        try:
            async with opening as reply:
                self._reply = reply
                self.measured.model = reply.model
                begun.set()
                following = Following(reply, self.measured)
                async for batch in reply.chunks:
                    following.note(batch)
                    self._note(batch)
                self._end()
                await asyncio.Event().wait()  # some of a reply is only there while it is open
        except Exception as error:
            self._error = error
        finally:
            begun.set()
            self._end()

    def failure(self) -> Exception | None:
        """Why there is no reply."""
        return self._error if self._reply is None else None

    async def aclose(self) -> None:
        """Close the frames of the answer, if there is one."""
        if self._frames is not None:
            await self._frames.aclose()

    def _note(self, batch: Sequence[Chunk]) -> None:
        self._batches.append(batch)
        for chunk in batch:
            if chunk.index == 0:
                self._logprobs += chunk.logprobs
                self._finish = chunk.finish_reason or self._finish
                for delta in chunk.tool_calls:
                    self._calls.setdefault(delta.index, []).append(delta)
        self._news.set()

    def _end(self) -> None:
        self._over.set()
        self._news.set()

    async def _kept(self) -> Batches:
        """What was read so far, then the rest as it comes."""
        place = 0
        while True:
            while place < len(self._batches):
                yield self._shown(self._batches[place])
                place += 1
            if self._over.is_set():
                break
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error

    def _shown(self, batch: Sequence[Chunk]) -> Sequence[Chunk]:
        if self._show_logprobs:
            return batch
        return [replace(chunk, logprobs=()) if chunk.logprobs else chunk for chunk in batch]


@asynccontextmanager
async def held(draft: Held, opening: AbstractAsyncContextManager[Reply]) -> AsyncIterator[Held]:
    """Open a reply, and hold it in `draft`. Leaving, also by cancellation, ends the generation.

    Raises what entering `opening` raises.
    """
    begun = asyncio.Event()
    task = asyncio.create_task(draft.read(opening, begun))
    try:
        await begun.wait()
        if (failure := draft.failure()) is not None:
            raise failure
        yield draft
    finally:
        task.cancel()
        try:
            await draft.aclose()
        finally:
            await ended([task])
