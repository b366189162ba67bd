"""What tests of dispatch share: a dispatcher on a clock that stands still, and readers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reshore.backends.answer import Answer, Call
from reshore.config import RoutingConfig
from reshore.routing.dispatch import Dispatcher, Journal, Manner, Shadows
from reshore.routing.plan import Ask, CascadePlan, Plan
from reshore.testing import MovableClock
from reshore.types import Target


@asynccontextmanager
async def local_side(
    dispatcher: Dispatcher, call: Call, plan: CascadePlan, journal: Journal, manner: Manner
) -> AsyncIterator[Answer]:
    """Stands for a cascade that keeps every local answer."""
    inner = dispatcher.carry_out(call, Ask(target=plan.local), journal, manner)
    async with inner as answer:
        yield answer


class Bench:
    """A dispatcher with its clock, and the journal of one request.

    chance 1.0: pauses last as long as their bound.
    """

    def __init__(
        self,
        config: RoutingConfig | None = None,
        *,
        keys: dict[str, int] | None = None,
        shadows: Shadows | None = None,
        chance: float = 1.0,
    ) -> None:
        self.clock = MovableClock()
        self.journal = Journal(self.clock, request_id="req_1", size_bytes=9)
        counts = keys or {}
        self.dispatcher = Dispatcher(
            config or RoutingConfig(),
            clock=self.clock,
            cascade=local_side,
            keys=lambda upstream: counts.get(upstream, 1),
            shadows=shadows,
            chance=lambda: chance,
        )

    async def read(self, call: Call, plan: Plan) -> bytes:
        """The whole answer, as a request of its own gets it."""
        async with self.dispatcher.open(call, plan, self.journal) as answer:
            return b"".join([frame async for frame in answer.frames])

    async def read_into(self, seen: list[bytes], call: Call, plan: Plan) -> None:
        """As `read`, but what came before an error is there."""
        async with self.dispatcher.open(call, plan, self.journal) as answer:
            async for frame in answer.frames:
                seen.append(frame)  # noqa: PERF401 - what came before the error counts

    def start(self, call: Call, plan: Plan) -> asyncio.Task[bytes]:
        return asyncio.create_task(self.read(call, plan))

    def told(self) -> list[str]:
        """The attempts in a few words: role, model, error; `*` before those that answered."""
        return [
            f"{'*' if each.answered else ''}{each.role} {each.target.model}"
            + (f" {each.error}" if each.error else "")
            for each in self.journal.attempts()
        ]

    def fresh_journal(self) -> Journal:
        self.journal = Journal(self.clock)
        return self.journal


async def fail(bench: Bench, call: Call, target: Target) -> None:
    """A request of its own that fails."""
    bench.fresh_journal()
    try:
        await bench.read(call, Ask(target=target))
    except Exception:
        return
    raise AssertionError("it answered")


def only_this_task() -> None:
    """Assert that nothing else runs."""
    assert asyncio.all_tasks() == {asyncio.current_task()}
