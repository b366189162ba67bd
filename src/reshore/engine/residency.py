"""Engines come and go: room for them, their load, their idle time, their end.

`Residency` knows engines and who waits for one to be there; which request gets which slots is the
pool's business. All state belongs to the event loop's single thread. Every method that changes it
does so without an await between looking and changing, so there are no locks; whatever must wait
(a start, a stop, a timer, an exit) is a task that comes back with one such change.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from reshore.clock import Clock
from reshore.config import PoolConfig
from reshore.engine.base import Launcher
from reshore.engine.eviction import Evict, Occupant, find_room
from reshore.engine.resident import Berth, Phase, Resident
from reshore.engine.turns import Turns
from reshore.errors import EngineError, ReshoreError, ShuttingDown, StartFailed

log = logging.getLogger(__name__)

_LOGGED_LINES = 20  # of an engine's own log, when it failed

# How long a model may wait for room while the others are never idle. After that the engine that
# was loaded first takes no new requests, finishes what it has and makes room; its own requests
# line up behind. Shorter would reload without end, longer would let busy models starve the rest.
PATIENCE_S = 5.0

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None] | None"]


class Residency:
    """The engines that exist, and the models that wait for room.

    Args:
        launcher: plans and makes engines.
        settings: `[pool]`.
        clock: for keep_alive and patience.
        turns: told of every engine that is about to end; None: nobody shares the cores.
        spawn: makes a task in the pool's group; None when the pool ends.
        changed: called with a berth whose engine became ready or has gone.
    """

    def __init__(
        self,
        launcher: Launcher,
        settings: PoolConfig,
        *,
        clock: Clock,
        turns: Turns | None,
        spawn: Spawn,
        changed: Callable[[Berth], None],
    ) -> None:
        self._launcher = launcher
        self._settings = settings
        self._clock = clock
        self._turns = turns
        self._spawn = spawn
        self._changed = changed
        self._residents: dict[int, Resident] = {}
        self._room_line: deque[Berth] = deque()
        self._next_key = 0
        self._most_free_bytes = 0
        self._closing = False

    def residents(self) -> tuple[Resident, ...]:
        """Every engine that has not ended, in the order in which they were loaded."""
        return tuple(self._residents.values())

    def want_room(self, berth: Berth) -> None:
        """Load the berth's model as soon as there is room; those who came first come first."""
        now_s = self._clock.monotonic()
        if self._closing:
            berth.line.fail(shutting_down())
        elif refusal := berth.refusal(now_s):
            berth.line.fail(refusal)
        elif berth.waiting_since_s is None:
            berth.waiting_since_s = now_s
            self._room_line.append(berth)
            self.make_room()

    def withdraw(self, berth: Berth) -> None:
        """The berth's model is not wanted any more."""
        if berth.waiting_since_s is not None:
            self._leave_room_line(berth)
            self.make_room()

    def refuse_loads(self) -> None:
        """From now on nothing is loaded; whoever waits for room gets ShuttingDown."""
        self._closing = True
        for berth in tuple(self._room_line):
            self._leave_room_line(berth)
            berth.line.fail(shutting_down())

    def give_up_load(self, resident: Resident) -> None:
        """Nobody waits for the engine that is starting: end it."""
        self._detach(resident)
        self._end_soon(resident)

    def retire(self, resident: Resident) -> None:
        """Take no new requests; end when the last one has. Its model may be loaded anew."""
        if resident.serving:
            self._detach(resident)
            resident.phase = Phase.RETIRING
        if resident.phase is Phase.RETIRING and resident.leases == 0:
            self._end_soon(resident)
        self._changed(resident.berth)

    def rest(self, resident: Resident) -> None:
        """The engine's last request has ended: end it now, later, or never."""
        if resident.phase is Phase.RETIRING:
            self._end_soon(resident)
        elif resident.idle and (resident.keep_alive_s == 0 or not resident.wanted):
            self.retire(resident)
        elif resident.idle:
            self._keep_alive(resident)
        self.make_room()

    async def end_all(self) -> None:
        """End every engine, busy or not, and wait for it; called when no task is left."""
        self.refuse_loads()
        residents = self.residents()
        for resident in residents:
            self._detach(resident)
            resident.phase = Phase.STOPPING
        stops = (self._stop(resident) for resident in residents)
        await asyncio.gather(*stops)

    def make_room(self) -> None:
        """Load the models that wait for room, strictly in their order, as far as there is some.

        Called after every change that may have made room: an engine ended, became ready or idle,
        a model ceased to wait, or the first in the line lost its patience.
        """
        while self._room_line:
            berth = self._room_line[0]
            try:
                room = find_room(
                    partial(self._launcher.plan, berth.model),
                    self._budget_bytes(),
                    self._occupants(berth),
                    self._settings.max_loaded_models,
                )
                if isinstance(room, Evict):
                    self._wait_for_room(berth, room)
                    return
                engine = self._launcher.launch(berth.model, room.plan)
            except ReshoreError as error:
                self._leave_room_line(berth)
                berth.line.fail(error)
                continue
            self._leave_room_line(berth)
            resident = Resident(berth, engine, room.plan, self._settings.keep_alive)
            self._move_in(resident)

    def _wait_for_room(self, berth: Berth, room: Evict) -> None:
        for key in room.keys:
            resident = self._residents[key]
            log.info("evicting %s to load %s", resident.names, berth.model.name)
            self._detach(resident)
            resident.phase = Phase.RETIRING
            if resident.leases == 0:
                self._end_soon(resident)
            # Not `retire`: its own requests must line up, but not from within this decision.
            asyncio.get_running_loop().call_soon(self._changed, resident.berth)
        if berth.patience is None:
            berth.patience = self._spawn(self._lose_patience(berth))

    async def _lose_patience(self, berth: Berth) -> None:
        if berth.waiting_since_s is None:
            return
        due_s = berth.waiting_since_s + PATIENCE_S
        await self._clock.sleep(max(0.0, due_s - self._clock.monotonic()))
        self.make_room()

    def _leave_room_line(self, berth: Berth) -> None:
        self._room_line.remove(berth)
        berth.waiting_since_s = None
        if berth.patience is not None:
            berth.patience.cancel()
            berth.patience = None

    def _budget_bytes(self) -> int:
        """Main memory that one more engine may take.

        Free memory alone says too much: weights are mapped files, whose pages the system counts
        as available even while an engine computes with them, and an engine that is starting has
        not touched its memory yet. So what engines are expected to use is subtracted, too, from
        what was free before any of them was there.
        """
        free = self._launcher.free_bytes()
        residents = self._residents.values()
        self._most_free_bytes = max(free, self._most_free_bytes) if residents else free
        starting = sum(r.plan.memory_bytes for r in residents if r.phase is Phase.LOADING)
        taken = sum(r.plan.memory_bytes for r in residents)
        fraction = self._settings.memory_fraction
        return int(min(free * fraction - starting, self._most_free_bytes * fraction - taken))

    def _occupants(self, berth: Berth) -> list[Occupant]:
        """The engines that are there, as the berth that is first in the line may see them."""
        now_s = self._clock.monotonic()
        since_s = now_s if berth.waiting_since_s is None else berth.waiting_since_s
        impatient = now_s - since_s >= PATIENCE_S
        return [
            Occupant(
                key=key,
                memory_bytes=resident.plan.memory_bytes,
                evictable=resident.idle or (impatient and resident.serving),
                leaving=resident.leaving,
                last_used_s=resident.last_used_s if resident.idle else now_s,
            )
            for key, resident in self._residents.items()
        ]

    def _move_in(self, resident: Resident) -> None:
        self._next_key += 1
        resident.key = self._next_key
        self._residents[resident.key] = resident
        resident.berth.resident = resident
        resident.load = self._spawn(self._load(resident))

    async def _load(self, resident: Resident) -> None:
        berth, model = resident.berth, resident.engine.model
        try:
            await resident.engine.start()
        except EngineError as error:
            failure: ReshoreError = error
            if isinstance(error, StartFailed):
                berth.note_death(self._clock.monotonic(), error.log_tail)
        except ReshoreError as error:
            failure = error
        except Exception as error:
            log.exception("starting the engine of %s failed in an unforeseen way", model.name)
            failure = StartFailed(
                f"The engine of '{model.name}' could not be started ({error!r}). "
                "The server's log has the details.",
                model=model.name,
            )
        else:
            self._ready(resident)
            return
        if resident.phase is Phase.LOADING:
            tail = failure.log_tail if isinstance(failure, EngineError) else ()
            log.error("%s", failure, extra={"model": model.name, "log_tail": tail[-_LOGGED_LINES:]})
            self._detach(resident)
            berth.line.fail(failure)
            self._end_soon(resident)

    def _ready(self, resident: Resident) -> None:
        if resident.phase is not Phase.LOADING:
            return  # given up in the very moment in which it became ready
        resident.phase = Phase.SERVING
        log.info("loaded %s", resident.engine.model.name, extra=_facts(resident))
        resident.ready_s = resident.last_used_s = self._clock.monotonic()
        resident.watch = self._spawn(self._watch(resident))
        self._changed(resident.berth)
        if resident.idle:
            self.rest(resident)

    async def _watch(self, resident: Resident) -> None:
        code = await resident.engine.wait_exit()
        if resident.phase not in (Phase.SERVING, Phase.RETIRING):
            return
        tail = resident.engine.log_tail
        log.error(
            "the engine of %s ended by itself (code %d)",
            resident.names,
            code,
            extra={"model": resident.engine.model.name, "log_tail": tail[-_LOGGED_LINES:]},
        )
        resident.berth.note_death(self._clock.monotonic(), tail)
        self._detach(resident)
        resident.phase = Phase.STOPPING
        resident.watch = None
        await self._stop(resident)

    def _keep_alive(self, resident: Resident) -> None:
        resident.cancel_timer()
        if resident.keep_alive_s > 0:
            resident.expires_s = self._clock.monotonic() + resident.keep_alive_s
            resident.timer = self._spawn(self._expire(resident, resident.keep_alive_s))

    async def _expire(self, resident: Resident, keep_alive_s: float) -> None:
        await self._clock.sleep(keep_alive_s)
        if resident.idle:
            resident.timer = None
            self.retire(resident)

    def _detach(self, resident: Resident) -> None:
        """From now on the model's requests do not go to this engine."""
        resident.cancel_timer()
        if resident.berth.resident is resident:
            resident.berth.resident = None

    def _end_soon(self, resident: Resident) -> None:
        if resident.phase is not Phase.STOPPING:
            resident.phase = Phase.STOPPING
            self._spawn(self._stop(resident))

    async def _stop(self, resident: Resident) -> None:
        """End the process, a load in progress included, and give its room back."""
        if self._turns is not None:
            self._turns.leave(resident)
        for task in (resident.load, resident.watch):
            if task is not None and task is not asyncio.current_task() and not task.done():
                task.cancel()
                await asyncio.wait([task])
        try:
            await resident.engine.stop()
        except Exception:
            log.exception("ending the engine of %s failed", resident.names)
        self._gone(resident)

    def _gone(self, resident: Resident) -> None:
        resident.phase = Phase.GONE
        self._residents.pop(resident.key, None)
        resident.gone.set()
        self.make_room()
        self._changed(resident.berth)


def _facts(resident: Resident) -> dict[str, object]:
    """What an operator wants to know about a loaded engine."""
    plan = resident.plan
    return {
        "pid": resident.engine.pid,
        "context_length": plan.context_length,
        "slots": plan.slots,
        "memory_bytes": plan.memory_bytes,
        "notices": plan.notices,
    }


def shutting_down() -> ShuttingDown:
    """The answer to whoever comes too late."""
    return ShuttingDown("The server is shutting down and accepts no new requests.")
