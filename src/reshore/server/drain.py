"""In-flight requests, and how the server lets them end when it is told to stop."""

from __future__ import annotations

import asyncio
from types import TracebackType

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

    def interruptible(self, receive: Receive) -> Interruptible:
        """Run the body until it ends, the client hangs up (ClientGone) or `cut` (ShuttingDown).

        Use it once the request's body has been read. Cancellation from elsewhere passes through.
        """
        return Interruptible(self, receive)

    def began(self, task: asyncio.Task[object], interrupt: Interrupt) -> None:
        """A request is in flight."""
        self._running[task] = interrupt
        self._idle.clear()

    def ended(self, task: asyncio.Task[object]) -> None:
        """It is not any more."""
        del self._running[task]
        if not self._running:
            self._idle.set()


class Interruptible:
    """See `Drain.interruptible`. No generator, for one costs every request more than this."""

    __slots__ = ("_drain", "_interrupt", "_receive", "_task", "_watcher")

    def __init__(self, drain: Drain, receive: Receive) -> None:
        self._drain = drain
        self._receive = receive

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._interrupt = Interrupt()
        self._watcher = asyncio.create_task(_watch(self._receive, self._interrupt, task))
        self._drain.began(task, self._interrupt)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watcher.cancel()
        self._drain.ended(self._task)
        reason = self._interrupt.reason
        if isinstance(error, asyncio.CancelledError) and reason is not None:
            if self._task.uncancel() > 0:
                return
            raise reason from None


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
