"""One plan after the other, until one begins to answer; and, where it was asked for, going on."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from reshore.backends.answer import Answer, Measured
from reshore.errors import ReshoreError
from reshore.routing.failure import most_useful, named, reason_for, told
from reshore.routing.journal import Journal
from reshore.routing.plan import FallbackPlan, Plan, targets
from reshore.routing.trying import Manner
from reshore.types import Target

log = logging.getLogger("reshore.routing")

OpenPlan = Callable[[Plan, Manner], AbstractAsyncContextManager[Answer]]
# Has the target go on from what was begun.
Resume = Callable[[Target, Answer], AbstractAsyncContextManager[Answer]]


@asynccontextmanager
async def fall_back(
    plan: FallbackPlan, manner: Manner, journal: Journal, open_: OpenPlan, resume: Resume
) -> AsyncIterator[Answer]:
    """Carry out a `FallbackPlan`.

    A stream has begun with its first event. A whole reply has begun when it is complete: until
    then nothing of it was sent, so that another target can still answer in its place.

    Raises:
        ReshoreError: the one after which no other target may be asked; when all have failed, the
            most useful of theirs (`failure.most_useful`).
    """
    failures: list[ReshoreError] = []
    for place, each in enumerate(plan.plans):
        rest = plan.plans[place + 1 :]
        inner = Manner(
            role="fallback" if place else manner.role,
            keep_text=manner.keep_text or (plan.resume and bool(rest)),
            patient=manner.patient and not rest,
        )
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(open_(each, inner))
                if not answer.stream:
                    answer = await gathered(answer)
            except ReshoreError as error:
                failures.append(error)
                if rest and reason_for(error) not in plan.on:
                    raise
                _tell(journal, each, error)
                continue
            if not (plan.resume and rest and answer.stream):
                yield answer
                return
            frames = _Resumption(plan, rest, journal, resume, stack).frames(answer)
            try:
                yield replace(answer, frames=frames)
            finally:
                await frames.aclose()
            return
    raise most_useful(failures)


async def gathered(answer: Answer) -> Answer:
    """`answer` with its whole body there. Raises what its frames raise."""
    return replace(answer, frames=_Given([frame async for frame in answer.frames]))


class _Given:
    """Frames that are all there. Nothing needs to be closed."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self._frames = iter(frames)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for frame in self._frames:
            return frame
        raise StopAsyncIteration


class _Resumption:
    """A stream that is gone on with by the next targets when it breaks off.

    `stack` holds the context of whoever answers now: the one that broke off is left before the
    next one is asked, so that its slot is free. Belongs to the task that reads the frames.
    """

    def __init__(
        self,
        plan: FallbackPlan,
        rest: Sequence[Plan],
        journal: Journal,
        resume: Resume,
        stack: AsyncExitStack,
    ) -> None:
        self._on = plan.on
        self._rest = iter([next(targets(each)) for each in rest])
        self._journal = journal
        self._resume = resume
        self._stack = stack

    async def frames(self, begun: Answer) -> AsyncGenerator[bytes, None]:
        """All frames, of one stream to whoever reads them.

        Raises:
            ReshoreError: why the stream broke off that nobody could go on with.
        """
        whole, answer = begun.measured, begun
        while True:
            try:
                async for frame in answer.frames:
                    yield frame
            except ReshoreError as error:
                _add(whole, answer.measured)
                # With a finish_reason nothing is missing but the end mark: whatever came now would
                # stand behind the end of the text.
                finished = whole.finish_reason is not None
                if whole.text is None or finished or reason_for(error) not in self._on:
                    raise
                await self._stack.aclose()
                so_far = Measured(model=whole.model, text=list(whole.text))
                answer = await self._next(replace(begun, measured=so_far), error)
                self._journal.went_on(begun, answer)
            else:
                _add(whole, answer.measured)
                return

    async def _next(self, so_far: Answer, error: ReshoreError) -> Answer:
        for target in self._rest:
            try:
                return await self._stack.enter_async_context(self._resume(target, so_far))
            except ReshoreError as other:
                log.warning(
                    "%s cannot go on from what broke off: %s",
                    _name(target),
                    told(other),
                    extra={"request_id": self._journal.request_id},
                )
        raise error


def _add(whole: Measured, part: Measured) -> None:
    """The measures of the whole stream stand with the answer that began it."""
    if part is whole:
        return
    if whole.text is not None:
        whole.text = None if part.text is None else whole.text + part.text
        whole.calls += part.calls
    whole.finish_reason = part.finish_reason
    whole.usage = part.usage or whole.usage


def _tell(journal: Journal, plan: Plan, error: ReshoreError) -> None:
    who = ", ".join(_name(target) for target in targets(plan))
    journal.notes.append(f"{who} did not answer ({named(error)})")
    extra = {"request_id": journal.request_id}
    log.warning("%s did not answer: %s", who, told(error), extra=extra)


def _name(target: Target) -> str:
    return f"{target.backend}/{target.model}"
