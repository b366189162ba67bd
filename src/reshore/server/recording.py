"""Who is told of requests that ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from reshore.clock import Clock
from reshore.config import Config
from reshore.ledger.ledger import Ledger, open_ledger
from reshore.types import Attempt, Outcome

log = logging.getLogger("reshore.server")


class Keeper(Protocol):
    """Keeps something of requests: the ledger, the metrics. Neither waits."""

    def record(self, outcome: Outcome) -> None:
        """A request ended."""
        ...

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        """An attempt ended that no client waited for."""
        ...


class Recorder:
    """Tells everybody, one after the other; whoever fails keeps nobody else from being told.

    Args:
        told: is told of outcomes alone (the log).
        keepers: None is nobody.
    """

    def __init__(self, told: Callable[[Outcome], None], *keepers: Keeper | None) -> None:
        self._keepers = [keeper for keeper in keepers if keeper is not None]
        self._outcome = [told, *(keeper.record for keeper in self._keepers)]

    def __call__(self, outcome: Outcome) -> None:
        """A request ended. Raises nothing."""
        for tell in self._outcome:
            try:
                tell(outcome)
            except Exception:
                # The client has its answer; a bug in our books must be seen, and is not theirs.
                log.exception("an outcome was not kept", extra={"request_id": outcome.request_id})

    def late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        """An attempt ended that no client waited for. Raises nothing."""
        for keeper in self._keepers:
            try:
                keeper.record_late(request_id, attempt, asked=asked)
            except Exception:
                log.exception("an attempt was not kept", extra={"request_id": request_id})


@contextlib.asynccontextmanager
async def running_ledger(config: Config, clock: Clock) -> AsyncIterator[Ledger]:
    """`open_ledger`, whose end waits for its last entries without holding up the event loop."""
    with contextlib.ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(config, clock))
        try:
            yield ledger
        finally:
            await asyncio.to_thread(stack.close)
