"""When rollouts are written: at every move at once, and evidence every few seconds."""

from __future__ import annotations

import asyncio
import logging

from reshore.clock import Clock
from reshore.errors import HistoryError
from reshore.evals.rollouts.kept import Kept
from reshore.evals.rollouts.shelf import Shelf, encoded

log = logging.getLogger("reshore.rollout")

# Evidence of the last seconds is all that a power failure may take.
_EVERY_S = 5.0


class Book:
    """Writes rollouts in a worker thread. Belongs to the runner's task."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock
        self._written: dict[int, bytes] = {}
        self._changed: dict[int, Kept] = {}
        self._written_s = clock.monotonic()

    def touch(self, kept: Kept) -> None:
        """It has changed, and is to be written some time."""
        self._changed[kept.number] = kept

    async def write(self, kept: Kept) -> bool:
        """Write it now, unless it is written as it is. Returns whether it is written now."""
        body = encoded(kept)
        self._changed.pop(kept.number, None)
        if self._written.get(kept.number) == body:
            return True
        try:
            await asyncio.to_thread(self._shelf.save, kept.number, body)
        except HistoryError as error:
            self.touch(kept)
            log.error("%s", error, extra={"rollout": kept.number, "route": kept.pattern})
            return False
        self._written[kept.number] = body
        return True

    async def write_changed(self, *, at_once: bool = False) -> None:
        """Write what has changed, if that was not done in the last seconds."""
        now_s = self._clock.monotonic()
        if self._changed and (at_once or now_s - self._written_s >= _EVERY_S):
            self._written_s = now_s
            for kept in tuple(self._changed.values()):
                await self.write(kept)
