"""Who may use an engine's slots, and who waits: first come, first served, with weights.

A `Line` belongs to the models that share an engine, and outlives it: requests that wait keep their
place when the engine crashes or is unloaded, and the next one serves them. It is plain data on the
event loop's thread; the pool alone changes it and never awaits between looking and changing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from reshore.errors import Overloaded, ReshoreError
from reshore.models.facts import Servable

Granted = TypeVar("Granted")

# Until a model has served its first request nobody knows how long one takes.
_FIRST_GUESS_S = 5.0
# Weight of the newest service time in the running mean: about the last ten requests count.
_NEWEST = 0.2
_RETRY_S = (1.0, 120.0)


class Waiter(Generic[Granted]):
    """A request in the line; `granted` gets what it waits for, or the reason why it will not."""

    __slots__ = ("granted", "keep_alive_s", "model", "since_s", "weight")

    def __init__(
        self, model: Servable, *, weight: int, keep_alive_s: float | None, since_s: float
    ) -> None:
        self.model = model
        self.weight = weight
        self.keep_alive_s = keep_alive_s
        self.since_s = since_s
        self.granted: asyncio.Future[Granted] = asyncio.get_running_loop().create_future()


class Line(Generic[Granted]):
    """The bounded queue of the models that share an engine.

    Args:
        limit: how many requests may wait while an engine is ready. One may always wait for an
            engine to load, or a limit of 0 would make every cold model unreachable.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Waiter[Granted]] = deque()
        self._service_s = _FIRST_GUESS_S
        self._measured = False

    def __len__(self) -> int:
        return len(self._waiting)

    def models(self) -> tuple[Servable, ...]:
        """What the waiting requests ask for, one for each."""
        return tuple(waiter.model for waiter in self._waiting)

    def join(self, waiter: Waiter[Granted], *, room: bool | None) -> None:
        """Stand in line.

        Args:
            waiter: the request.
            room: whether the ready engine has slots free for it; None when none is ready.

        Raises:
            Overloaded: as many as may wait are waiting.
        """
        queued = len(self)
        places = max(self._limit, 1) if room is None else self._limit
        if queued >= places and not (room and queued == 0):
            raise Overloaded(
                f"The queue of '{waiter.model.name}' is full: {queued} requests wait. "
                "Try again later, or raise `pool.max_queue`.",
                retry_after_s=self.retry_after_s(),
            )
        self._waiting.append(waiter)

    def leave(self, waiter: Waiter[Granted]) -> None:
        """Give up the place; nothing of the request is left."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def next_for(self, free_slots: int, slots: int) -> Waiter[Granted] | None:
        """Take the first request out of the line if its weight, at most `slots`, fits."""
        while self._waiting and self._waiting[0].granted.done():
            self._waiting.popleft()
        if self._waiting and min(self._waiting[0].weight, slots) <= free_slots:
            return self._waiting.popleft()
        return None

    def fail(self, error: ReshoreError) -> None:
        """Tell everybody in the line that there is nothing to wait for."""
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.granted.done():
                waiter.granted.set_exception(error)

    def served(self, seconds_per_slot: float) -> None:
        """Note how long a request kept its slot, in seconds divided by the engine's slots."""
        if self._measured:
            self._service_s += _NEWEST * (seconds_per_slot - self._service_s)
        else:
            self._service_s, self._measured = seconds_per_slot, True

    def retry_after_s(self) -> float:
        """When a newcomer would find the present line served, 1 to 120 seconds."""
        return min(max((len(self) + 1) * self._service_s, _RETRY_S[0]), _RETRY_S[1])
