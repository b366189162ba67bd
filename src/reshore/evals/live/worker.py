"""Work that nobody waits for, within bounds: what finds no room is dropped and counted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Literal, cast

from reshore.routing.shadow import ShadowResult

log = logging.getLogger("reshore.evaluation")

# Why something was not worked on: too much waits; too many bytes are held; it failed in a way that
# nobody thought of; the server ends.
Dropped = Literal["queue", "bytes", "bug", "closing"]


class Worker:
    """Works on answered copies in the order in which they came, some at once.

    One for the server; its tasks exist while there is something to do. Its state belongs to the
    event loop's thread.

    Args:
        work: does one. What it raises is logged, and counted.
        concurrency: how many are worked on at once.
        most, most_bytes: of what waits, and of what waits and is worked on.
    """

    def __init__(
        self,
        work: Callable[[ShadowResult], Awaitable[None]],
        *,
        concurrency: int,
        most: int,
        most_bytes: int,
    ) -> None:
        self.dropped: Counter[Dropped] = Counter()
        self.held_bytes = 0
        self._work = work
        self._concurrency = concurrency
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[ShadowResult, int]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def offer(self, item: ShadowResult, size_bytes: int) -> None:
        """Take a copy or drop it, at once and without raising anything."""
        if self._closed:
            self.dropped["closing"] += 1
        elif len(self._waiting) >= self._most:
            self.dropped["queue"] += 1
        elif self.held_bytes + size_bytes > self._most_bytes:
            self.dropped["bytes"] += 1
        else:
            self.held_bytes += size_bytes
            self._waiting.append((item, size_bytes))
            if len(self._tasks) < self._concurrency:
                self._tasks.add(asyncio.create_task(self._run()))

    async def aclose(self) -> None:
        """Drop what waits, and end what is worked on."""
        self._closed = True
        self.dropped["closing"] += len(self._waiting) + len(self._tasks)
        self._waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        try:
            await self._work_on()
        finally:
            # Here and not in a callback: a copy that comes in between would have nobody.
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _work_on(self) -> None:
        while self._waiting:
            item, size_bytes = self._waiting.popleft()
            try:
                await self._work(item)
            except Exception:
                # A hostile answer that breaks a check costs its pair, and no other.
                self.dropped["bug"] += 1
                extra = {"request_id": item.sample.request_id}
                log.exception("a pair could not be compared", extra=extra)
            finally:
                self.held_bytes -= size_bytes
