"""Two sides, of which the second is only asked when the first is late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reshore.backends.answer import Answer
from reshore.clock import Clock
from reshore.routing.apart import Apart, ended
from reshore.routing.failure import most_useful, reason_for
from reshore.routing.fallback import OpenPlan
from reshore.routing.plan import HedgePlan
from reshore.routing.trying import Manner


@asynccontextmanager
async def hedge(
    plan: HedgePlan, manner: Manner, open_: OpenPlan, clock: Clock
) -> AsyncIterator[Answer]:
    """Carry out a `HedgePlan`.

    Who begins first answers; the other is cancelled at once. When the first fails before the
    second was started, the second is started at once, unless the request itself is at fault.
    Leaving, also by cancellation, waits until both have ended and their slots are free.

    Raises:
        ReshoreError: both failed; the more useful of the two errors.
    """
    first = Apart(open_(plan.first, manner._replace(patient=False)))
    sides = [first]
    try:
        await _settled_within(first, plan.after_ms / 1000, clock)
        if first.answer is None and not _is_hopeless(first.error):
            sides.append(Apart(open_(plan.second, manner._replace(role="hedge"))))
        winner = await _first_to_answer(sides)
        for side in sides:
            if side is not winner:
                side.cancel()
        yield winner.choose()
    finally:
        for side in sides:
            side.cancel()
        await ended([side.task for side in sides])


def _is_hopeless(error: Exception | None) -> bool:
    return error is not None and reason_for(error) is None


async def _settled_within(side: Apart, seconds: float, clock: Clock) -> None:
    timer = asyncio.create_task(_pass(clock, seconds))
    try:
        await asyncio.wait((side.settled, timer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        await ended([timer])


async def _pass(clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds)


async def _first_to_answer(sides: list[Apart]) -> Apart:
    """The first of `sides` that has begun; of two at the same moment, the one that stands first."""
    while True:
        for side in sides:
            if side.answer is not None:
                return side
        waiting = [side.settled for side in sides if side.error is None]
        if not waiting:
            raise most_useful([side.error for side in sides if side.error is not None])
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
