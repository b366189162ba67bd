"""Drives the rollouts of one server: evidence in, versions of the routes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from types import TracebackType

from reshore.clock import Clock
from reshore.errors import (
    HistoryError,
    RouteConflict,
    RouteError,
    RouteNotFound,
)
from reshore.evals.deciding import Deciders
from reshore.evals.rollouts.asked import (
    Brief,
    Event,
    Gauge,
    Shown,
    StartRollout,
    Wish,
    brief,
    event,
    gauge,
    shown,
)
from reshore.evals.rollouts.beginning import planned
from reshore.evals.rollouts.book import Book
from reshore.evals.rollouts.carrying import carry_out
from reshore.evals.rollouts.hearing import hear
from reshore.evals.rollouts.inbox import Inbox
from reshore.evals.rollouts.jobs import Jobs
from reshore.evals.rollouts.kept import Kept
from reshore.evals.rollouts.shelf import Shelf, encoded
from reshore.routing.rollout import Rollout
from reshore.routing.rollout_moves import Evidence, Move, Promote, RollBack
from reshore.routing.snapshot import Snapshot
from reshore.routing.state import RoutingState

log = logging.getLogger("reshore.rollout")

# How often time alone is looked at, and what could not be done is tried again.
_TICK_S = 1.0
# Of these the event loop is not kept longer than some milliseconds.
_AT_ONCE = 200
_HELD_UP = "held up: "


class Runner:
    """Keeps the rollouts of one server: one for each route at a time.

    An async context manager for the server's lifespan. All state belongs to its one task; what is
    asked is given to that task and is done even if whoever asked goes away. Leaving ends the task
    when it has done what it is at, and writes what is known.

    Args:
        shelf: where rollouts are kept; it is read on entering.
        routes: what moves are made in.
        clock: for moments, and for how often time is looked at.
        deciders: what can decide pairs of these models; nothing, and no rollout starts.
        told: get every event, at once; they must not wait or raise.

    Attributes:
        inbox: takes what is told of requests and pairs.

    Raises:
        HistoryError: on entering: the folder cannot be read.
    """

    def __init__(
        self,
        shelf: Shelf,
        routes: RoutingState,
        *,
        clock: Clock,
        deciders: Callable[[Collection[str]], Deciders],
        told: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        self._shelf = shelf
        self._routes = routes
        self._clock = clock
        self._deciders = deciders
        self._told = [*told]
        self._kept: dict[int, Kept] = {}
        self._active: dict[str, Kept] = {}
        self._book = Book(shelf, clock)
        self._looked: Snapshot | None = None
        self._woken = asyncio.Event()
        self._jobs: Jobs[Kept] = Jobs(self._woken.set)
        self._busy = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self.inbox = Inbox(self._woken.set)

    async def __aenter__(self) -> Runner:
        found, problems = await asyncio.to_thread(self._shelf.load)
        for problem in problems:
            log.error("%s", problem)
        self._kept = {kept.number: kept for kept in found}
        self._refresh()
        self._woken.set()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tick())]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._woken.set()
        run, tick = self._tasks
        tick.cancel()
        await asyncio.wait([run, tick])
        self._jobs.close()
        if not run.cancelled():
            run.result()  # what ended it before its time is not to be lost

    # What operators ask

    async def start(self, wish: StartRollout) -> Shown:
        """Start a rollout. When it returns, its first step is in force.

        Raises:
            RouteError: it cannot work, or one runs for this route; says what to do.
            UnknownModel, HistoryError: nothing answers to the name; it could not be written.
        """
        return await self._ask(partial(self._start, wish))

    async def pause(self, route: str, wish: Wish) -> Shown:
        """Take no further step. A broken guard still rolls back.

        Raises:
            RouteNotFound, RouteError: there is no rollout of that route; it does not run.
        """
        return await self._ask(partial(self._pause, route, wish))

    async def resume(self, route: str, wish: Wish) -> Shown:
        """Go on.

        Raises:
            RouteNotFound, RouteError: there is no rollout of that route; it is not paused, or the
                panic switch is on.
        """
        return await self._ask(partial(self._resume, route, wish))

    async def abort(self, route: str, wish: Wish) -> Shown:
        """Give up, and bring back the route from before.

        Raises:
            RouteNotFound, RouteError: there is no rollout of that route; it is over.
        """
        return await self._ask(partial(self._abort, route, wish))

    def show(self, route: str) -> Shown:
        """The last rollout of a route, with what its next step waits for.

        Raises:
            RouteNotFound: there was none.
        """
        return shown(self._last(route), self._clock.wall())

    def all(self) -> list[Brief]:
        """Every rollout, newest first."""
        return [brief(kept) for kept in reversed(self._kept.values())]

    def before_change(self) -> Callable[[], list[str]]:
        """To be asked before somebody changes the routes; what it gives is to be asked after that.

        Then the rollouts look at once, and what the change means for each of them is told.
        """
        running = tuple(self._active.values())

        def after_change() -> list[str]:
            self._woken.set()
            snapshot = self._routes.in_force.snapshot
            return [concern for kept in running if (concern := kept.concern(snapshot))]

        return after_change

    def gauges(self) -> Iterator[Gauge]:
        """The last rollout of each route, as metrics show it."""
        return map(gauge, {kept.pattern: kept for kept in self._kept.values()}.values())

    # The task

    async def _run(self) -> None:
        while not self._stopping:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._work()
            except Exception:
                log.exception("the rollouts stumbled, and go on")
        await self._book.write_changed(at_once=True)

    async def _tick(self) -> None:
        """Wake the task now and then, while there is a rollout that runs."""
        while True:
            await self._busy.wait()
            await self._clock.sleep(_TICK_S)
            self._woken.set()

    async def _work(self) -> None:
        await self._jobs.do()
        await self._look()
        await self._hear()
        now_s = self._clock.wall()
        for kept in tuple(self._active.values()):
            if not kept.begun or kept.rollout.tick(now_s) is not None:
                await self._carry(kept)
        await self._book.write_changed()

    async def _ask(self, work: Callable[[], Awaitable[Kept]]) -> Shown:
        return shown(await self._jobs.ask(work), self._clock.wall())

    # Evidence

    async def _hear(self) -> None:
        """Look at what has come. What people ask goes first."""
        for count, item in enumerate(self.inbox.take(), 1):
            kept = self._active.get(item.route)
            if kept is not None and self._counts(kept):
                self._book.touch(kept)
                if hear(kept, item, self._clock.wall()) is not None:
                    await self._carry(kept)
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
                if self._jobs:
                    self._woken.set()
                    return

    def _counts(self, kept: Kept) -> bool:
        """Whether requests are where the rollout put them: not before it has begun, and not under
        the panic switch."""
        return kept.begun > 0 and not self._routes.in_force.snapshot.override

    # What others do to the routes

    async def _look(self) -> None:
        """Give way to whoever has changed a route, and wait while the panic switch is on."""
        snapshot = self._routes.in_force.snapshot
        if snapshot is self._looked:
            return
        self._looked = snapshot
        for kept in tuple(self._active.values()):
            if not kept.is_ours(snapshot):
                await self._give_way(kept)
            elif snapshot.override and kept.rollout.state == "running":
                kept.rollout.pause()
                note = f"the panic switch sends everything to the {snapshot.override} side"
                await self._entered(kept, "paused", note)

    async def _give_way(self, kept: Kept) -> None:
        snapshot = self._routes.in_force.snapshot
        evidence = kept.rollout.standing(self._clock.wall()).evidence
        kept.rollout.abandon()
        note = (
            f"{snapshot.author or 'somebody'} changed the route (version {snapshot.number} is in "
            "force), and it stays as it is now"
        )
        await self._entered(kept, "aborted", note, evidence=evidence)

    # Moves

    async def _carry(self, kept: Kept) -> None:
        """Put into force what is due, or the first step.

        What cannot be done now stays due, and is tried again with the next tick.
        """
        due = kept.rollout.due
        if isinstance(due, RollBack) and not kept.note.startswith((due.why, _HELD_UP)):
            kept.note, kept.since_s = due.why, self._clock.wall()
        if not await self._book.write(kept) and not isinstance(due, RollBack):
            return
        try:
            version = await asyncio.to_thread(carry_out, self._routes, kept)
        except RouteConflict:
            await self._give_way(kept)
        except (RouteError, HistoryError) as error:
            await self._held_up(kept, error)
        else:
            await self._carried(kept, due, version)

    async def _carried(self, kept: Kept, due: Move | None, version: int) -> None:
        now_s = self._clock.wall()
        if due is None:
            kept.begun = version
            kept.rollout = Rollout.start(kept.rollout.plan, now_s)
            await self._entered(kept, "started", "")
            return
        kept.rollout.carried_out(version, now_s)
        if isinstance(due, Promote):
            kept.conversations.clear()
            await self._entered(kept, "promoted", "", evidence=due.evidence)
        else:
            await self._entered(kept, kept.rollout.state, due.why, evidence=due.evidence)

    async def _held_up(self, kept: Kept, error: Exception) -> None:
        note = f"{_HELD_UP}{error}"
        if note != kept.note:
            await self._entered(kept, "held up", note)

    async def _entered(
        self, kept: Kept, what: str, note: str, *, evidence: Evidence | None = None
    ) -> None:
        """Write that a rollout has come into another state or step, then tell of it."""
        kept.note, kept.since_s = note, self._clock.wall()
        if kept.over:
            kept.conversations.clear()
        self._refresh()
        await self._book.write(kept)
        version = self._routes.in_force.snapshot.number
        news = event(kept, what, kept.since_s, version=version, evidence=evidence)
        for tell in self._told:
            tell(news)

    # What people do

    async def _start(self, wish: StartRollout) -> Kept:
        if wish.route in self._active:
            raise RouteError(
                f"a rollout of '{wish.route}' is {self._active[wish.route].rollout.state} already; "
                f"`reshore rollout status {wish.route}` shows it, and `reshore rollout abort "
                f"{wish.route}` ends it"
            )
        around = self._routes.in_force.view.table.match(wish.route)
        if around is not None and around.pattern in self._active:
            raise RouteError(
                f"a rollout of '{around.pattern}' moves '{wish.route}' as well; end that one first"
            )
        number = await asyncio.to_thread(self._shelf.next_number)
        now_s = self._clock.wall()
        kept = planned(wish, self._routes.in_force, self._deciders, number=number, now_s=now_s)
        await asyncio.to_thread(self._shelf.save, number, encoded(kept))
        try:
            version = await asyncio.to_thread(carry_out, self._routes, kept)
        except (RouteError, HistoryError):
            await asyncio.to_thread(self._shelf.forget, number)
            raise
        self._kept[number] = kept
        await self._carried(kept, None, version)
        return kept

    async def _pause(self, route: str, wish: Wish) -> Kept:
        kept = self._last(route)
        kept.rollout.pause()
        await self._entered(kept, "paused", f"paused{wish.said()}")
        return kept

    async def _resume(self, route: str, wish: Wish) -> Kept:
        kept = self._last(route)
        override = self._routes.in_force.snapshot.override
        if kept.rollout.state == "paused" and override:
            raise RouteError(
                f"the rollout of '{route}' cannot be resumed while the panic switch sends "
                f"everything to the {override} side; `reshore route all normal` ends that"
            )
        kept.rollout.resume()
        await self._entered(kept, "resumed", f"resumed{wish.said()}")
        return kept

    async def _abort(self, route: str, wish: Wish) -> Kept:
        kept = self._last(route)
        kept.rollout.abort(self._clock.wall(), f"aborted{wish.said()}")
        await self._carry(kept)
        return kept

    def _last(self, route: str) -> Kept:
        for kept in reversed(self._kept.values()):
            if kept.pattern == route:
                return kept
        raise RouteNotFound(
            f"there is no rollout of '{route}'; `reshore rollout list` shows those that there are"
        )

    def _refresh(self) -> None:
        self._active = {kept.pattern: kept for kept in self._kept.values() if not kept.over}
        self.inbox.watch(frozenset(self._active))
        if self._active:
            self._busy.set()
        else:
            self._busy.clear()
