"""A runner over a routing state on a disk of the test's own, and what happens to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from reshore.errors import RouteNotFound
from reshore.evals.deciding import Deciders
from reshore.evals.rollouts.asked import Event, Shown, StartRollout, Wish
from reshore.evals.rollouts.runner import Runner
from reshore.evals.rollouts.shelf import Shelf
from reshore.models.disk import write_atomic
from reshore.routing.history import History
from reshore.routing.paired import Paired
from reshore.routing.snapshot import Note
from reshore.routing.state import RoutingState
from reshore.routing.watches import PairVerdict
from reshore.routing.world import World
from reshore.testing import MovableClock
from reshore.types import Attempt, Decision, Outcome, Side, Target
from tests.routing.operated import config, route

NAME = "gpt-4o-mini"
AGREEMENT = Deciders(names=("agreement",))
ADA = Note(author="ada", reason="to see")
LOCAL = Target(side="local", backend="local", model="tiny:latest")
CLOUD = Target(side="cloud", backend="openai", model=NAME)
# Some 60 ties make this margin certain, some 20 losses break it.
QUICK = StartRollout(
    route=NAME,
    model="tiny:latest",
    steps=(10.0, 100.0),
    guards=("error_rate<=+0.05", "ttft_p95<=1.5x", "net_win>=-0.3"),
    min_pairs=20,
    hold_s=0.0,
    why="cheaper",
    author="ada",
)
AT_10 = "split(shadow(local, cloud:openai, share=5%)=10, shadow(cloud:openai, local, share=5%)=90)"
AT_100 = "shadow(local, cloud:openai, share=5%)"
DONE = "shadow(local, cloud:openai, share=2%)"

Write = Callable[[Path, bytes], None]


def world() -> World:
    return World(upstreams=("openai",), installed=lambda name: name == "tiny:latest")


class Driven:
    """A runner at work.

    Attributes:
        events: what it has told of, oldest first.
    """

    def __init__(self, home: Path, clock: MovableClock, write: Write, **sections: Any) -> None:
        self.clock = clock
        self.events: list[Event] = []
        self._told = asyncio.Event()
        self.state = RoutingState(
            History(home / "routes", write), config(home, **sections), world(), clock
        )
        self.runner = Runner(
            Shelf(home / "rollouts", write),
            self.state,
            clock=clock,
            deciders=lambda _: AGREEMENT,
            told=[self._take],
        )

    @property
    def policy(self) -> str:
        """The policy of the name now, "" without a route."""
        found = self.state.in_force.snapshot.route(NAME)
        return found.text if found else ""

    @property
    def happened(self) -> list[str]:
        return [event.event for event in self.events]

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._told.set()

    async def told(self, what: str, times: int = 1) -> Event:
        """The event of that name, once it was told so often."""
        async with asyncio.timeout(10):
            while self.happened.count(what) < times:
                self._told.clear()
                await self._told.wait()
        return [event for event in self.events if event.event == what][times - 1]

    async def looked(self) -> None:
        """Until everything that was handed over has been looked at.

        What is asked goes before what has come, and both before what is asked next.
        """
        for _ in range(2):
            with contextlib.suppress(RouteNotFound):
                await self.runner.pause("no such rollout", Wish())

    def shown(self) -> Shown:
        return self.runner.show(NAME)

    def pairs(self, verdict: PairVerdict, count: int, **changes: Any) -> None:
        """So many requests that both sides answered."""
        for number in range(count):
            given = {"route": NAME, "source": "shadow", "arrived_s": self.clock.wall(), **changes}
            pair = Paired(
                request_id=f"p{number}", local=LOCAL, cloud=CLOUD, verdict=verdict, **given
            )
            self.runner.inbox.pair(pair)

    def requests(self, side: Side, count: int, **changes: Any) -> None:
        """So many requests that a side was asked for."""
        for number in range(count):
            outcome = ended(
                f"{side}-{number}",
                side,
                wall_s=self.clock.wall(),
                version=self.state.in_force.snapshot.number,
                **changes,
            )
            self.runner.inbox.record(outcome)

    def set(self, policy: str) -> None:
        """An operator sets the route."""
        self.state.set(route(NAME, policy), ADA)


def attempt(side: Side, **changes: Any) -> Attempt:
    given = {"role": "primary", "ttft_ms": 100.0, "total_ms": 200.0, **changes}
    return Attempt(target=LOCAL if side == "local" else CLOUD, **given)


def ended(
    request_id: str, side: Side, *, wall_s: float, version: int, name: str = NAME, **changes: Any
) -> Outcome:
    """A request that one side was asked for."""
    return Outcome(
        request_id=request_id,
        method="POST",
        path="/v1/chat/completions",
        status=200,
        total_ms=200.0,
        decision=Decision(side=side, route=name, version=version),
        attempts=(attempt(side, **changes),),
        wall_s=wall_s,
    )


@contextlib.asynccontextmanager
async def driving(
    home: Path, *, clock: MovableClock | None = None, write: Write = write_atomic, **sections: Any
) -> AsyncIterator[Driven]:
    """A runner over what is in a home."""
    driven = Driven(home, clock or MovableClock(), write, **sections)
    async with driven.runner:
        yield driven


@contextlib.asynccontextmanager
async def begun(home: Path, wish: StartRollout = QUICK, **given: Any) -> AsyncIterator[Driven]:
    """A rollout in its first step."""
    async with driving(home, **given) as driven:
        await driven.runner.start(wish)
        yield driven
