"""A clock that only moves when told, and a way to let every task run until it waits."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

# Rounds of the event loop that `settle` grants. A change runs through a handful of tasks; more
# rounds cost microseconds.
_ROUNDS = 50


async def settle() -> None:
    """Let every task that can run do so until it waits again."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


class MovableClock:
    """Time that stands still until `advance`.

    Sleepers wake in the order of their deadlines, and at each deadline all tasks run as far as
    they can before time moves on: the same test always sees the same order.

    Args:
        start_s: monotonic time at the beginning; odd on purpose, so that mixing it with another
            clock shows.
        wall_s: seconds since the epoch at the beginning.
    """

    def __init__(self, start_s: float = 7_000.0, wall_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s
        self._wall_offset_s = wall_s - start_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def monotonic(self) -> float:
        return self._now_s

    def wall(self) -> float:
        return self._now_s + self._wall_offset_s

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved that far; cancellation ends the wait at once."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seconds <= 0:
            woken.set_result(None)
            await asyncio.sleep(0)
        else:
            deadline_s = self._now_s + seconds
            heapq.heappush(self._sleepers, (deadline_s, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on, wake who is due on the way, and let every task settle."""
        end_s = self._now_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            deadline_s, _, woken = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, deadline_s)
            if not woken.done():
                woken.set_result(None)
                await settle()
        self._now_s = end_s
