"""The local model answers first; its answer is kept, or the cloud is asked instead.

A whole reply is judged when it is there. A streaming client gets its first token when the side is
decided: at the end of the local answer, as soon as a check speaks against what there is of it, or
when the time for it is over. While the cloud is being asked, the local answer is not thrown away:
it stands in for a cloud that fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from reshore.backends.answer import Answer, Call
from reshore.checks.agreement import agree
from reshore.checks.answers import CHECKS, EARLY, LATE, judge
from reshore.checks.check import Check, Said
from reshore.clock import Clock
from reshore.errors import ReshoreError
from reshore.routing.apart import ended
from reshore.routing.dispatch import Dispatcher, Manner
from reshore.routing.draft import Drafting
from reshore.routing.failure import most_useful, reason_for
from reshore.routing.fallback import gathered
from reshore.routing.journal import Journal
from reshore.routing.plan import CascadePlan

# How often what there is of an answer is looked at, if it has grown by an eighth: each look reads
# all of it, and the looks together shall not read more than some times its length.
_LOOK_S = 0.25
_GROWTH = 9 / 8
# A second sample of the same model says something only where the model may say something else;
# self-consistency was found to work at 0.5 to 0.7 (Wang et al., arXiv 2203.11171).
_SECOND_TEMPERATURE = 0.7


@asynccontextmanager
async def open_cascade(
    dispatcher: Dispatcher, call: Call, plan: CascadePlan, journal: Journal, manner: Manner
) -> AsyncIterator[Answer]:
    """Carry out a `CascadePlan`; what became of it is noted in `journal`.

    The cloud is asked as well when the local side cannot answer at all, unless the request itself
    is at fault. Leaving, also by cancellation, ends all drafts and waits until their slots are
    free.

    Raises:
        ReshoreError: the request is at fault, or both sides failed; the more useful error.
    """
    trial = _Trial(call, plan, journal, manner, dispatcher.clock)
    try:
        verdict = await trial.verdict()
        if verdict.keep:
            journal.notes.append(verdict.why)
            yield await trial.first.take()
            return
        async with AsyncExitStack() as stack:
            inner = manner._replace(role="escalate")
            try:
                answer = await stack.enter_async_context(
                    dispatcher.carry_out(call, plan.cloud, journal, inner)
                )
                if not answer.stream:
                    answer = await gathered(answer)
            except ReshoreError as error:
                await stack.aclose()
                answer = await trial.instead_of(error)
                failed = f"the cloud failed ({type(error).__name__}), the local answer is kept"
                journal.notes.append(f"{verdict.why}; {failed}")
            else:
                await trial.aclose()
                journal.notes.append(verdict.why)
            yield answer
    finally:
        await trial.aclose()


class _Verdict(NamedTuple):
    keep: bool
    why: str


class _Trial:
    """The drafts of one request, and what is said about them. Belongs to the request's task."""

    def __init__(
        self, call: Call, plan: CascadePlan, journal: Journal, manner: Manner, clock: Clock
    ) -> None:
        self._call = call
        self._plan = plan
        self._journal = journal
        self._clock = clock
        self._ends_s = clock.monotonic() + plan.budget_ms / 1000
        self._news = asyncio.Event()
        draft = call.draft(plan.local, logprobs="logprob" in plan.checks)
        self.first = Drafting(draft, journal.begin(manner.role, plan.local), self._news)
        self._second: Drafting | None = None
        self._seen = 0
        self._passed = False

    async def verdict(self) -> _Verdict:
        """Wait until the side is decided.

        Raises:
            ReshoreError: the request is at fault.
        """
        looking = asyncio.create_task(self._look_often())
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                verdict = self._look()
                if verdict is not None:
                    return verdict
        finally:
            looking.cancel()
            await ended([looking])

    async def instead_of(self, error: ReshoreError) -> Answer:
        """The local answer, for an escalation that failed with `error`.

        Raises:
            ReshoreError: there is none; the more useful of the two errors.
        """
        first = self.first
        while not first.begun and not first.ended:
            await self._news.wait()
            self._news.clear()
        if first.error is not None:
            raise most_useful([first.error, error])
        return await first.take()

    async def aclose(self) -> None:
        """End all drafts."""
        drafts = [self.first] if self._second is None else [self.first, self._second]
        for draft in drafts:
            draft.cancel()
        try:
            await self.first.aclose()
        finally:
            if self._second is not None:
                await self._second.aclose()

    async def _look_often(self) -> None:
        while True:
            left_s = self._ends_s - self._clock.monotonic()
            await self._clock.sleep(min(_LOOK_S, left_s) if left_s > 0 else _LOOK_S)
            self._news.set()

    def _look(self) -> _Verdict | None:
        """What can be said now; None: wait."""
        first, plan = self.first, self._plan
        if first.error is not None:
            return _unanswered(first.error)
        late = self._call.stream and self._clock.monotonic() >= self._ends_s
        if first.begun:
            said = first.said()
            self._begin_second(said)
            against = self._against(said, late=late)
            if against is not None:
                return _Verdict(False, _why(against))
            if said.ended and self._compared():
                return self._learned(said)
        if late and plan.late == "cloud":
            return _Verdict(False, f"escalated: not decided within {plan.budget_ms / 1000:g} s")
        if late and first.begun:
            return _Verdict(True, f"kept: nothing against it in {plan.budget_ms / 1000:g} s")
        return None

    def _against(self, said: Said, *, late: bool) -> Check | None:
        """The first check that fails."""
        grown = len(said.text) > self._seen * _GROWTH
        if self._passed or not (grown or said.ended or late):
            return self._disagreement(said)
        self._seen = len(said.text)
        judged = CHECKS if said.ended else LATE if late else EARLY
        for name in self._plan.checks:
            if name in judged:
                check = judge(name, said, min_logprob=self._plan.min_logprob)
                if check.ok is False:
                    return check
        self._passed = said.ended
        return self._disagreement(said)

    def _learned(self, said: Said) -> _Verdict:
        """What a trained router makes of an answer that nothing else speaks against."""
        referee = self._plan.referee
        if referee is None or said.tool_calls:
            return _Verdict(True, "kept: checks passed")
        judged = referee.router.judge(referee.asked, said.text)
        if judged.outside:
            return _Verdict(True, "kept: checks passed, unlike the training of the router")
        keep = judged.score < referee.threshold
        sign = f"score {judged.score:.2f} {'<' if keep else '>='} {referee.threshold:g}"
        return _Verdict(keep, f"{'kept: checks passed' if keep else 'escalated'}, {sign}")

    def _begin_second(self, said: Said) -> None:
        """Beside the first one, once that has its slot."""
        if self._second is not None or "agreement" not in self._plan.checks:
            return
        other = self._plan.agree_with
        temperature = None
        if other is None:
            temperature = max(_SECOND_TEMPERATURE, said.request.sampling.temperature or 0.0)
        target = other or self._plan.local
        draft = self._call.draft(target, temperature=temperature)
        self._second = Drafting(draft, self._journal.begin("check", target), self._news)

    def _compared(self) -> bool:
        return self._second is None or self._second.ended

    def _disagreement(self, said: Said) -> Check | None:
        second = self._second
        if second is None or second.error is not None or not (second.ended and said.ended):
            return None
        check = agree(said, second.said())
        return check if check.ok is False else None


def _unanswered(error: Exception) -> _Verdict:
    if isinstance(error, ReshoreError) and reason_for(error) is None:
        raise error
    return _Verdict(False, f"escalated: no local answer ({type(error).__name__})")


def _why(check: Check) -> str:
    return f"escalated: {check.name}" + (f" ({check.detail})" if check.detail else "")
