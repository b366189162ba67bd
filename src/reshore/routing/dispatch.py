"""Carries out what was decided: asks targets, and gives the client one answer.

A plan is a tree, and so is its execution: each node is a context manager around those of its
children. Entering waits until an answer has begun, leaving ends all attempts below. All of it
happens in the task of the request, but for the sides of a hedge, which have tasks of their own that
the hedge waits for. There is no task, no timer and no queue for a plan that asks one target.

The tree is carried out by `trying.py` (one target, with retries), `fallback.py` and `hedge.py`;
cascades and mirrored copies are given to whoever the server names for them.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

from reshore.backends.answer import Answer, Call, spoken
from reshore.clock import Clock, SystemClock
from reshore.config.routing import RoutingConfig
from reshore.routing.breaker import Breakers, BreakerState
from reshore.routing.fallback import fall_back
from reshore.routing.hedge import hedge
from reshore.routing.journal import Journal
from reshore.routing.plan import Ask, CascadePlan, FallbackPlan, HedgePlan, Plan, ShadowPlan
from reshore.routing.retry import Retries
from reshore.routing.sample import Sample, sample_of
from reshore.routing.trying import Manner, Means, Trying
from reshore.types import Target

__all__ = ["Cascade", "Dispatcher", "Journal", "Manner", "Shadows"]

_PLAIN = Manner()


class Cascade(Protocol):
    """Carries out a `CascadePlan` (`routing/cascade.py`)."""

    def __call__(
        self,
        dispatcher: Dispatcher,
        call: Call,
        plan: CascadePlan,
        journal: Journal,
        manner: Manner,
    ) -> AbstractAsyncContextManager[Answer]: ...


class Shadows(Protocol):
    """Takes copies of requests, to be answered for nobody (`routing/shadow.py`)."""

    @property
    def compares(self) -> bool:
        """Whether what clients got is held beside what copies are answered."""
        ...

    def offer(self, call: Call, mirror: Target, sample: Sample) -> None:
        """Take a copy or drop it, at once and without raising anything."""
        ...


class Dispatcher:
    """Answers calls by plans. One for the server; its state belongs to the event loop's thread.

    Args:
        config: the bounds of retries and breakers.
        clock: where the time comes from.
        keys: how many API keys an upstream has.
        cascade: carries out cascades.
        shadows: takes mirrored copies; None: there are none.
        chance: numbers in 0..1 for the jitter of retries.
    """

    def __init__(
        self,
        config: RoutingConfig,
        *,
        cascade: Cascade,
        clock: Clock | None = None,
        keys: Callable[[str], int] = lambda upstream: 1,
        shadows: Shadows | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.clock = clock or SystemClock()
        self._means = Means(self.clock, Retries(config, chance), Breakers(config), keys)
        self._cascade = cascade
        self._shadows = shadows

    def breakers(self) -> tuple[BreakerState, ...]:
        """Which models of which upstreams rest, probe or have failed lately."""
        return self._means.breakers.states(self.clock.monotonic())

    @asynccontextmanager
    async def open(self, call: Call, plan: Plan, journal: Journal) -> AsyncIterator[Answer]:
        """The answer to one request, and its attempts in `journal`.

        Its frames raise ReshoreError when it breaks off and nobody goes on with it. Leaving, also
        by cancellation, ends every attempt; then `journal` is complete.

        Raises:
            ReshoreError: nobody answered; the most useful of their errors.
        """
        async with self.carry_out(call, plan, journal) as answer:
            journal.answered(answer)
            yield answer

    def carry_out(
        self, call: Call, plan: Plan, journal: Journal, manner: Manner = _PLAIN
    ) -> AbstractAsyncContextManager[Answer]:
        """`open` for a part of a plan, whose answer may still be discarded."""
        match plan:
            case Ask(target=target):
                return self._ask(call, target, journal, manner)
            case FallbackPlan():
                inner = partial(self._inside, call, journal)
                return fall_back(plan, manner, journal, inner, partial(self._resume, call, journal))
            case HedgePlan():
                return hedge(plan, manner, partial(self._inside, call, journal), self.clock)
            case CascadePlan():
                return self._cascade(self, call, plan, journal, manner)
            case ShadowPlan():
                return self._mirrored(call, plan, journal, manner)

    def _inside(
        self, call: Call, journal: Journal, plan: Plan, manner: Manner
    ) -> AbstractAsyncContextManager[Answer]:
        return self.carry_out(call, plan, journal, manner)

    def _ask(self, call: Call, target: Target, journal: Journal, manner: Manner) -> Trying:
        def open_target(key: int) -> AbstractAsyncContextManager[Answer]:
            return call.open(target, key=key, keep_text=manner.keep_text)

        return Trying(self._means, open_target, target, journal, manner)

    def _resume(self, call: Call, journal: Journal, target: Target, begun: Answer) -> Trying:
        def resume_target(key: int) -> AbstractAsyncContextManager[Answer]:
            return call.resume(target, begun)

        return Trying(
            self._means, resume_target, target, journal, Manner(role="resume", patient=False)
        )

    @asynccontextmanager
    async def _mirrored(
        self, call: Call, plan: ShadowPlan, journal: Journal, manner: Manner
    ) -> AsyncIterator[Answer]:
        shadows = self._shadows
        compares = shadows is not None and shadows.compares
        inner = manner._replace(keep_text=True) if compares else manner
        async with self.carry_out(call, plan.primary, journal, inner) as answer:
            yield answer
        # Reached when the client has its whole answer: what failed or was left has no copy.
        if shadows is not None:
            kept = compares and not journal.mixed
            said = spoken(answer.target, answer.measured) if kept else None
            shadows.offer(call, plan.mirror, sample_of(journal, plan.share, said))
