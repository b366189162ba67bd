"""An answer in a task of its own, which enters its context, reads its frames and leaves it.

Contexts of HTTP clients and time limits belong to the task that entered them. Where two answers
race, each therefore has a task, and hands its frames over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from msgspec.structs import replace

from reshore.backends.answer import Answer
from reshore.errors import ReshoreError

log = logging.getLogger("reshore.routing")

# Frames that may wait for their reader; then the sender waits. A frame is what one read of a
# socket gave, so this is at most some megabytes.
_AHEAD = 16


class Apart:
    """An answer under way, and the iterator over its frames. It begins at once.

    Its frames are read from when it is chosen, so that one that loses has not gone on meanwhile.
    Whoever creates it must await `ended` on its task.

    Attributes:
        settled: done when there is an `answer` or an `error`.
        answer: it has begun.
        error: why it has not, or why it broke off.
    """

    def __init__(self, opening: AbstractAsyncContextManager[Answer]) -> None:
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self._chosen = asyncio.Event()
        self._cancelled = False
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
        self.task = asyncio.create_task(self._run(opening))

    def choose(self) -> Answer:
        """Its answer, which is wanted."""
        assert self.answer is not None
        self._chosen.set()
        return self.answer

    def cancel(self) -> None:
        """Have it end. A second time would cut short how it leaves, so it does nothing."""
        if not self._cancelled:
            self._cancelled = True
            self.task.cancel()

    async def _run(self, opening: AbstractAsyncContextManager[Answer]) -> None:
        try:
            async with opening as answer:
                self.answer = replace(answer, frames=self)
                self._settle()
                await self._chosen.wait()
                async for frame in answer.frames:
                    await self._frames.put(frame)
        except Exception as error:
            if not isinstance(error, ReshoreError):
                log.exception("an attempt failed in a way that nobody thought of")
            self.error = error
        finally:
            self._settle()
        await self._frames.put(None)

    def _settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        frame = await self._frames.get()
        if frame is not None:
            return frame
        self._frames.put_nowait(None)  # the end stays the end
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait until all tasks have ended, whatever came of them.

    A cancellation that comes meanwhile is passed on afterwards: no task is left behind.
    """
    cancelled: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
