"""The pool: which models are in memory, and which request may use them when.

    lease ─→ line of the engine ─→ engine serving? slots free? ─→ granted
                    │ none there
                    └→ line for room (all engines, first come first served) ─→ load ─→ serving

Models whose engines would be the same (`Launcher.key`: what `FROM` makes of one model, its copies)
share one, and what happens to it happens to all of them: the last request's keep_alive holds, and
whoever is unloaded takes the others along.

All state belongs to the event loop's single thread; see `residency` for the rule that makes locks
unnecessary.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from reshore.clock import Clock
from reshore.config import PoolConfig
from reshore.engine.admission import Waiter
from reshore.engine.base import Engine, Launcher
from reshore.engine.borrowed import Borrowed
from reshore.engine.residency import Residency, shutting_down
from reshore.engine.resident import Berth, Loaded, Phase, Resident, describe
from reshore.engine.turns import Turns
from reshore.errors import ReshoreError
from reshore.models.facts import Servable


class _Closing(Exception):
    """Ends `run`'s task group from within."""


class Lease:
    """The right to use some slots of an engine until the `async with` block ends.

    Attributes:
        engine: ready when the lease was granted. When it crashes, `engine.state` says so.
        queued_ms: how long the request waited for free slots.
        load_ms: how long it waited for the model to be loaded, room for it included.
    """

    __slots__ = ("engine", "load_ms", "queued_ms")

    def __init__(self, engine: Engine, *, queued_ms: float, load_ms: float) -> None:
        self.engine = engine
        self.queued_ms = queued_ms
        self.load_ms = load_ms


class Pool:
    """Loads, shares, evicts and unloads engines.

    `run` must be running: it owns every task. Requests that hold one lease while they wait for
    another can block each other; take one at a time.

    Args:
        launcher: plans and makes engines.
        settings: `[pool]`.
        clock: for keep_alive, patience and waiting times.
        turns: shares the cores among active engines, `run` runs it; None: nobody shares them.
    """

    def __init__(
        self,
        launcher: Launcher,
        settings: PoolConfig,
        *,
        clock: Clock,
        turns: Turns | None = None,
    ) -> None:
        self._launcher = launcher
        self._settings = settings
        self._clock = clock
        self._turns = turns
        self._berths: dict[Hashable, Berth] = {}
        self._residency = Residency(
            launcher,
            settings,
            clock=clock,
            turns=turns,
            spawn=self._spawn,
            changed=self._advance,
        )
        self._group: asyncio.TaskGroup | None = None
        self._started = asyncio.Event()
        self._closing = asyncio.Event()
        self._closed = asyncio.Event()
        self._draining = False
        self._present = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def run(self) -> None:
        """Own the pool's tasks until `aclose`; cancellation, too, ends every engine."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                if self._turns is not None:
                    group.create_task(self._turns.run())
                self._started.set()
                try:
                    await self._closing.wait()
                finally:
                    self._refuse_all()
                raise _Closing
        except* _Closing:
            pass
        finally:
            await self._residency.end_all()
            self._closed.set()

    async def aclose(self) -> None:
        """Refuse who waits, end every engine, busy or not, and then `run`."""
        self._refuse_all()
        if self._group is not None:
            await self._closed.wait()

    def lease(
        self, model: Servable, *, weight: int = 1, keep_alive_s: float | None = None
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for slots of the model's engine; the model is loaded if it is not.

        Args:
            model: what to serve. When its name comes to mean another engine, the former one ends
                with its requests, unless other models share it.
            weight: how many slots the request takes, at most all that the engine has.
            keep_alive_s: how long the engine stays after this and later requests; negative: for
                ever, 0: not at all; None: as the engine's last request said, or `[pool]`.

        Raises:
            Overloaded: the model's queue is full.
            ShuttingDown: the pool drains or has ended.
            OutOfMemory: the model cannot fit.
            EngineError: its engine could not be started.
        Cancellation while waiting leaves no trace; a load that nobody waits for is cancelled.
        """
        return self._lease(model, max(1, weight), keep_alive_s)

    async def preload(self, models: Iterable[Servable]) -> dict[str, ReshoreError]:
        """Load models one after the other.

        Returns:
            What went wrong, by name; empty when all were loaded. One failure stops no other.
        """
        failures: dict[str, ReshoreError] = {}
        for model in models:
            try:
                async with self.lease(model):
                    pass
            except ReshoreError as error:
                failures[model.name] = error
        return failures

    def present(self) -> int:
        """How many requests have a lease or wait for one."""
        return self._present

    def loaded(self) -> tuple[Loaded, ...]:
        """Every model that has an engine, the one that stays longest first.

        Those that share one follow each other.
        """
        now_s, wall_s = self._clock.monotonic(), self._clock.wall()
        shown = [describe(r, now_s=now_s, wall_s=wall_s) for r in self._residency.residents()]
        for_ever = float("inf")
        shown.sort(key=lambda sharing: sharing[0].expires_at or for_ever, reverse=True)
        return tuple(one for sharing in shown for one in sharing)

    async def unload(self, name: str) -> bool:
        """Unload a model, and those that share its engine.

        Running requests finish first, later ones load it anew.

        Returns:
            Whether an engine was unloaded. A load in progress is left to those who wait for it.
        Cancellation ends the waiting, not the unloading.
        """
        residents = [
            resident
            for resident in self._residency.residents()
            if name in resident.uses and resident.phase is not Phase.LOADING
        ]
        for resident in residents:
            self._residency.retire(resident)
        for resident in residents:
            await resident.gone.wait()
        return bool(residents)

    async def forget(self, name: str) -> None:
        """A model was removed: its engine ends with its requests, unless others share it.

        Waits for the end of engines that were idle. Cancellation ends the waiting, not the ending.
        """
        users = [one for one in self._residency.residents() if name in one.uses]
        ending = [resident for resident in users if self._part(resident, name)]
        for resident in ending:
            await resident.gone.wait()

    async def drain(self) -> None:
        """Refuse new requests and wait until the accepted ones have ended.

        Requests in the line of an engine that is there or starting are served; those whose model
        has none yet get ShuttingDown. Cancellation ends the waiting, not the refusing.
        """
        self._draining = True
        self._residency.refuse_loads()
        await self._quiet.wait()

    @asynccontextmanager
    async def _lease(
        self, model: Servable, weight: int, keep_alive_s: float | None
    ) -> AsyncIterator[Lease]:
        await self._started.wait()
        if self._draining:
            raise shutting_down()
        waiter: Waiter[Resident] = Waiter(
            model, weight=weight, keep_alive_s=keep_alive_s, since_s=self._clock.monotonic()
        )
        self._enter()
        try:
            resident = await self._admitted(self._berth_for(model), waiter)
            granted_s = self._clock.monotonic()
            try:
                yield _granted(resident, waiter, granted_s)
            finally:
                held_s = self._clock.monotonic() - granted_s
                resident.berth.line.served(held_s / max(1, resident.engine.slots))
                self._release(resident, waiter)
        finally:
            self._exit()

    def _enter(self) -> None:
        self._present += 1
        self._quiet.clear()

    def _exit(self) -> None:
        self._present -= 1
        if self._present == 0:
            self._quiet.set()

    async def _admitted(self, berth: Berth, waiter: Waiter[Resident]) -> Resident:
        resident = berth.resident
        room = None
        if resident is not None and resident.serving:
            room = resident.has_room_for(waiter.weight)
        berth.line.join(waiter, room=room)
        self._advance(berth)
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._abandon(berth, waiter)
            raise

    def _abandon(self, berth: Berth, waiter: Waiter[Resident]) -> None:
        """The caller was cancelled while it waited, maybe just after its turn had come."""
        berth.line.leave(waiter)
        granted = waiter.granted
        if granted.cancelled() or granted.exception() is not None:
            self._advance(berth)
        else:
            self._release(granted.result(), waiter)

    def _berth_for(self, model: Servable) -> Berth:
        key = self._launcher.key(model)
        berth = self._berths.get(key)
        if berth is None:
            now_s = self._clock.monotonic()
            self._berths = {k: b for k, b in self._berths.items() if not b.empty(now_s)}
            berth = self._berths[key] = Berth(model, self._settings.max_queue)
        elif berth.resident is None and not berth.line:
            berth.model = model
        for other in self._residency.residents():
            use = other.uses.get(model.name)
            if use and use.model.digest != model.digest and other.berth is not berth:
                self._part(other, model.name)
        return berth

    def _part(self, resident: Resident, name: str) -> bool:
        """The name means another engine, or none; who stands in the line is still served.

        Returns:
            Whether the engine ends now.
        """
        resident.forget(name)
        ends = resident.idle and not resident.wanted
        if ends:
            self._residency.retire(resident)
        return ends

    def _advance(self, berth: Berth) -> None:
        """Do what the berth needs next: grant, load, or give up a load that nobody waits for."""
        resident = berth.resident
        if resident is None:
            if berth.line:
                self._residency.want_room(berth)
            else:
                self._residency.withdraw(berth)
        elif resident.serving:
            self._grant(resident)
        elif not berth.line:
            self._residency.give_up_load(resident)

    def _grant(self, resident: Resident) -> None:
        line, slots = resident.berth.line, resident.engine.slots
        while waiter := line.next_for(slots - resident.slots_used, slots):
            resident.cancel_timer()
            if resident.leases == 0 and self._turns is not None and resident.on_cpu:
                self._turns.enter(resident, threads=resident.plan.threads)
            resident.take(waiter.model, waiter.weight)
            if waiter.keep_alive_s is not None:
                resident.keep_alive_s = waiter.keep_alive_s
            waiter.granted.set_result(resident)

    def _release(self, resident: Resident, waiter: Waiter[Resident]) -> None:
        resident.give_back(waiter.model, waiter.weight)
        resident.last_used_s = self._clock.monotonic()
        if resident.serving:
            self._grant(resident)
        if resident.leases == 0:
            if self._turns is not None:
                self._turns.leave(resident)
            self._residency.rest(resident)

    def _refuse_all(self) -> None:
        """No new requests, and none that waits: from here on only ends."""
        self._draining = True
        self._residency.refuse_loads()
        for berth in self._berths.values():
            berth.line.fail(shutting_down())
        self._closing.set()
        self._started.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """A task of `run`'s; None when it ends, for then `end_all` does what is left to do."""
        if self._closing.is_set() or self._group is None:
            work.close()
            return None
        return self._group.create_task(work)


def _granted(resident: Resident, waiter: Waiter[Resident], granted_s: float) -> Lease:
    load_s = max(0.0, min(resident.ready_s, granted_s) - waiter.since_s)
    queued_s = max(0.0, granted_s - waiter.since_s - load_s)
    engine: Engine = resident.engine
    if engine.model is not waiter.model:
        engine = Borrowed(engine, waiter.model)
    return Lease(engine, queued_ms=queued_s * 1e3, load_ms=load_s * 1e3)
