"""A local answer that is written while it is being judged, in a task of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from reshore.backends.answer import Answer, Draft
from reshore.checks.check import Said
from reshore.errors import ReshoreError
from reshore.routing.apart import ended
from reshore.routing.fallback import gathered
from reshore.routing.journal import Line

log = logging.getLogger("reshore.routing")


class Drafting:
    """Opens a draft, reads it to its end, and leaves it at once.

    An ended draft is kept in memory and no longer on its engine: its slot is free for the second
    sample that it is to be compared with, which may wait for just this slot, and for other
    requests while the cloud is asked. Belongs to the task that creates it, which must await
    `aclose`.

    Args:
        opening: from `Call.draft`.
        line: its line in the journal.
        news: set whenever there is something new to be looked at.

    Attributes:
        error: why there is none.
        ended: there is an answer or an error.
    """

    def __init__(
        self, opening: AbstractAsyncContextManager[Draft], line: Line, news: asyncio.Event
    ) -> None:
        self._answer: Answer | None = None
        self.error: Exception | None = None
        self.ended = False
        self._draft: Draft | None = None
        self._line = line
        self._news = news
        self._taken = False
        self._writing = False
        self._frames: AsyncGenerator[bytes, None] | None = None
        self._cancelled = False
        self.task = asyncio.create_task(self._run(opening))

    @property
    def begun(self) -> bool:
        """Its model is loaded and generates."""
        return self._draft is not None

    def said(self) -> Said:
        """What there is of it; only once it has begun."""
        draft = self._held()
        return Said(
            request=draft.request,
            text=draft.text,
            tool_calls=draft.tool_calls,
            finish_reason=draft.finish_reason,
            ended=self.ended,
            logprobs=draft.logprobs,
        )

    async def take(self) -> Answer:
        """The answer for the client: all of it, or what there is and then the rest as it comes.

        Only once it has begun. Raises what has become of it.
        """
        if self._writing:
            await asyncio.wait([self.task])
        if self.error is not None:
            raise self.error
        if self._answer is None:
            self._taken = True
            answer = self._held().answer()
            self._frames = self._noted(answer.frames)
            self._answer = replace(answer, frames=self._frames)
        return self._answer

    def cancel(self) -> None:
        """Have it end. A second time would cut short how it leaves, so it does nothing."""
        if not self._cancelled:
            self._cancelled = True
            self.task.cancel()

    async def aclose(self) -> None:
        """End it, and wait until its slot is free."""
        self.cancel()
        try:
            if self._frames is not None:
                await self._frames.aclose()
        finally:
            await ended([self.task])

    async def _noted(self, frames: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        try:
            async for frame in frames:
                yield frame
        except Exception as error:
            self._line.end(error)
            raise
        # Whoever reads may leave before the task has noticed the end.
        self._line.end()

    def _held(self) -> Draft:
        assert self._draft is not None, "nothing was said yet"
        return self._draft

    async def _run(self, opening: AbstractAsyncContextManager[Draft]) -> None:
        try:
            async with opening as draft:
                self._draft = draft
                self._line.drafted(draft.measured)
                self._news.set()
                await self._read(draft)
        except Exception as error:
            self._fail(error)
        finally:
            self._line.cancel()
            self._end()

    async def _read(self, draft: Draft) -> None:
        try:
            await draft.finish()
            self._line.end()
            if not self._taken:
                self._writing = True
                self._answer = await gathered(draft.answer())
        except Exception as error:
            self._fail(error)
        if self._taken:
            # Somebody reads its frames, also those before an error: they live in this context.
            await asyncio.Event().wait()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, ReshoreError):
            log.exception("a draft failed in a way that nobody thought of")
        self._line.end(error)
        self.error = self.error or error

    def _end(self) -> None:
        self.ended = True
        self._news.set()
