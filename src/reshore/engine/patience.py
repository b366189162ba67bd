"""A limit on how long a read may wait, at the cost of one timer a stream and not one a chunk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, Self


class Timers(Protocol):
    """The part of an event loop that is needed here."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> asyncio.TimerHandle: ...


class Patience:
    """Calls `give_up` once a single wait has lasted `limit_s`; entering starts the watch.

    Setting up and cancelling a timer for every read costs a tenth of a streamed chunk. One timer
    looks instead whether the wait under way has lasted too long, and otherwise comes back when it
    could have. The time between waits, in which a slow client is served, does not count.

    Args:
        limit_s: seconds; 0 or less: no limit.
        give_up: must make the wait end; it is called at most once.
    """

    def __init__(self, limit_s: float, give_up: Callable[[], object], timers: Timers) -> None:
        self._limit_s = limit_s
        self._give_up = give_up
        self._timers = timers
        self._timer: asyncio.TimerHandle | None = None
        self._since: float | None = None

    def __enter__(self) -> Self:
        if self._limit_s > 0:
            self._timer = self._timers.call_at(self._timers.time() + self._limit_s, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def wait(self) -> None:
        """A wait begins."""
        self._since = self._timers.time()

    def served(self) -> None:
        """The wait is over."""
        self._since = None

    def _look(self) -> None:
        now = self._timers.time()
        due = (now if self._since is None else self._since) + self._limit_s
        if due <= now:
            self._give_up()
        else:
            self._timer = self._timers.call_at(due, self._look)
