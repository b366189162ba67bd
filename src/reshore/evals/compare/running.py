"""All prompts to all targets: side by side, at a limited rate, and none of them twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from reshore.clock import Clock
from reshore.evals.compare.aims import Aim
from reshore.evals.compare.answers import Answer, AnswerFile, key_of
from reshore.evals.compare.prompts import Prompt


class Asks(Protocol):
    """Who gets the answers; `Asker` does."""

    async def ready(self, target: Aim) -> None: ...

    async def ask(self, prompt: Prompt, target: Aim) -> Answer: ...


class Manner(Struct, frozen=True, kw_only=True):
    """How hard a target is asked.

    Attributes:
        parallel: requests to one target at a time.
        rate: requests to one target per second at most; None: no limit.
    """

    parallel: int = 4
    rate: float | None = None


class Pace:
    """Lets who asks pass, so many a second. Belongs to one event loop."""

    def __init__(self, rate: float | None, clock: Clock) -> None:
        self._gap_s = 1 / rate if rate else 0.0
        self._clock = clock
        self._next_s = clock.monotonic()

    async def turn(self) -> None:
        """Wait for the next place; a place that is given up by cancellation stays empty."""
        if not self._gap_s:
            return
        now_s = self._clock.monotonic()
        due_s = max(now_s, self._next_s)
        self._next_s = due_s + self._gap_s
        await self._clock.sleep(due_s - now_s)


class Paced:
    """Asks no faster than a rate. Implements `Asks`."""

    def __init__(self, asker: Asks, rate: float | None, clock: Clock) -> None:
        self._asker = asker
        self._pace = Pace(rate, clock)

    async def ready(self, target: Aim) -> None:
        """See `Asks`; not counted."""
        await self._asker.ready(target)

    async def ask(self, prompt: Prompt, target: Aim) -> Answer:
        """See `Asks`."""
        await self._pace.turn()
        return await self._asker.ask(prompt, target)


async def ask_all(
    asker: Asks,
    prompts: Sequence[Prompt],
    targets: Sequence[Aim],
    kept: AnswerFile,
    *,
    manner: Manner,
    clock: Clock,
    on_answer: Callable[[Answer], None],
) -> None:
    """Ask for every answer that is not kept yet, and keep it at once.

    Cancelled, it ends the generations under way; what was answered is in the file.

    Raises:
        Unreachable: the server went away.
        CompareError: an answer cannot be kept.
    """
    lanes: dict[str, list[Aim]] = {}
    for target in targets:
        lanes.setdefault(target.lane, []).append(target)

    async def take(target: Aim, left: Iterator[Prompt], pace: Pace) -> None:
        for prompt in left:
            await pace.turn()
            answer = await asker.ask(prompt, target)
            kept.add(answer)
            on_answer(answer)

    async def follow(lane: Sequence[Aim]) -> None:
        for target in lane:
            unasked = missing(prompts, target, kept)
            if unasked:
                await asker.ready(target)
            left, pace = iter(unasked), Pace(manner.rate, clock)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(manner.parallel):
                    tasks.create_task(take(target, left, pace))

    try:
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes.values():
                tasks.create_task(follow(lane))
    except ExceptionGroup as group:
        # A server that is gone is gone for all who asked it.
        raise _first(group) from None


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def missing(prompts: Sequence[Prompt], target: Aim, kept: AnswerFile) -> tuple[Prompt, ...]:
    """The prompts that a target has not answered; of those that ask the same, the first."""
    left = {key_of(prompt, target.text): prompt for prompt in reversed(prompts)}
    return tuple(prompt for key, prompt in reversed(left.items()) if not kept.has(key))
