"""In-flight requests, and how the server lets them end when it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from reshore.errors import ShuttingDown
from reshore.server.body import ClientGone


class Drain:
    """Counts requests that generate, refuses new ones once it has begun, cuts the last ones off.

    Only the event loop's thread touches it. Engines are stopped by whoever owns the pool, after
    this is idle: an engine that is told to stop cuts its own streams.
    """

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[object], Interrupt] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.begun = False

    @property
    def in_flight(self) -> int:
        return len(self._running)

    def begin(self) -> None:
        """From now on new requests get ShuttingDown."""
        self.begun = True

    def refuse_new(self) -> None:
        """Raises ShuttingDown once draining."""
        if self.begun:
            raise ShuttingDown("the server is shutting down; send the request again elsewhere")

    async def idle(self) -> None:
        """Wait until no request is in flight."""
        await self._idle.wait()

    def cut(self) -> None:
        """End what still runs: each stream gets an error event instead of its end."""
        for task, interrupt in self._running.items():
            interrupt.because(
                ShuttingDown("the server is shutting down and this reply took too long"), task
            )

    @asynccontextmanager
    async def interruptible(self, receive: Receive) -> AsyncIterator[None]:
        """Run the body until it ends, the client hangs up (ClientGone) or `cut` (ShuttingDown).

        Use it once the request's body has been read. Cancellation from elsewhere passes through.
        """
        task = asyncio.current_task()
        assert task is not None
        interrupt = Interrupt()
        watcher = asyncio.create_task(_watch(receive, interrupt, task))
        self._running[task] = interrupt
        self._idle.clear()
        try:
            yield
        except asyncio.CancelledError:
            if interrupt.reason is None or task.uncancel() > 0:
                raise
            raise interrupt.reason from None
        finally:
            watcher.cancel()
            del self._running[task]
            if not self._running:
                self._idle.set()


class Interrupt:
    """Why a request's task was cancelled by us; the first reason stands."""

    def __init__(self) -> None:
        self.reason: Exception | None = None

    def because(self, reason: Exception, task: asyncio.Task[object]) -> None:
        if self.reason is None:
            self.reason = reason
            task.cancel()


async def _watch(receive: Receive, interrupt: Interrupt, task: asyncio.Task[object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    interrupt.because(ClientGone(), task)
