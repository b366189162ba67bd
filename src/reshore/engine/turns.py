"""Turns: engines that share cores run one after the other, not against each other.

llama.cpp joins its threads at a barrier hundreds of times per token. When two engines have more
threads than there are cores, each waits at its barriers for a thread whose core the other engine
holds. The arbiter stops all but one for a turn (SIGSTOP and SIGCONT: the process does not notice),
so that each runs with whole cores and together they lose almost nothing.

Where a process cannot be stopped the arbiter does nothing. That is Windows: a suspended process
could not notice the end of its parent, and its OpenMP runtime yields the core while it waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Protocol

from reshore.clock import Clock


class Runner(Protocol):
    """What the arbiter needs to know of an engine."""

    @property
    def pid(self) -> int | None:
        """Process id; None when there is no process (any more)."""
        ...


class Signaller(Protocol):
    """Stops and continues processes. Both raise ProcessLookupError when there is none."""

    def pause(self, pid: int) -> None: ...

    def resume(self, pid: int) -> None: ...


if sys.platform == "win32":

    class ProcessSignals:
        """Leaves processes alone: see the module's docstring."""

        def pause(self, pid: int) -> None:
            pass

        def resume(self, pid: int) -> None:
            pass

    CAN_PAUSE = False
else:

    class ProcessSignals:
        """SIGSTOP and SIGCONT: cannot be caught, act on all threads at once."""

        def pause(self, pid: int) -> None:
            os.kill(pid, signal.SIGSTOP)

        def resume(self, pid: int) -> None:
            os.kill(pid, signal.SIGCONT)

    CAN_PAUSE = True


class _Share:
    """An active engine's place in the rotation; `fresh` until it has had its first turn."""

    __slots__ = ("engine", "fresh", "paused_pid", "threads")

    def __init__(self, engine: Runner, threads: int) -> None:
        self.engine = engine
        self.threads = threads
        self.fresh = True
        self.paused_pid: int | None = None


class Turns:
    """Gives active engines the cores in turns.

    Invariants: whoever is first in the order runs; a paused engine is active; with one active
    engine, or with cores enough for all, none is paused. All methods run on the event loop's
    thread and do not await, `run` only sleeps: no locks. Owned by the pool, which calls `enter`
    with an engine's first lease and `leave` with its last, when it crashed, and before it is told
    to end (a paused process would not hear it).

    Args:
        turn_s: how long a turn lasts; 0 switches the arbiter off.
        clock: measures the turns.
        cores: engines whose threads fit on so many cores run together; 0: one at a time.
        signaller: stops and continues processes.
    """

    def __init__(
        self,
        turn_s: float,
        clock: Clock,
        *,
        cores: int = 0,
        signaller: Signaller | None = None,
    ) -> None:
        self._turn_s = turn_s
        self._clock = clock
        self._cores = cores
        self._signaller = signaller or ProcessSignals()
        self._enabled = turn_s > 0 and (signaller is not None or CAN_PAUSE)
        self._order: list[_Share] = []
        self._since_s = 0.0
        self._contended = asyncio.Event()

    def enter(self, engine: Runner, *, threads: int = 1) -> None:
        """The engine has work. It runs at once, or within a turn when others have the cores.

        Args:
            engine: called once; a second call changes nothing.
            threads: how many cores it can use.
        """
        if not self._enabled or self._share_of(engine) is not None:
            return
        self._order.append(_Share(engine, threads))
        if len(self._order) == 1:
            self._since_s = self._clock.monotonic()
        elif self._left_s() <= 0:
            self._rotate()
        self._apply()

    def leave(self, engine: Runner) -> None:
        """The engine has no work, or is about to end: it is continued and left alone."""
        share = self._share_of(engine)
        if share is None:
            return
        if share is self._order[0]:
            self._since_s = self._clock.monotonic()
        self._order.remove(share)
        self._resume(share)
        self._apply()

    async def run(self) -> None:
        """Pass the turn on, for ever; cancellation continues every engine that is stopped."""
        try:
            while True:
                await self._contended.wait()
                left_s = self._left_s()
                if left_s > 0:
                    await self._clock.sleep(left_s)
                else:
                    self._rotate()
                    self._apply()
        finally:
            for share in self._order:
                self._resume(share)
            self._enabled = False
            self._order.clear()

    def _left_s(self) -> float:
        return self._since_s + self._turn_s - self._clock.monotonic()

    def _share_of(self, engine: Runner) -> _Share | None:
        return next((share for share in self._order if share.engine is engine), None)

    def _rotate(self) -> None:
        """Whose turn is over goes to the end; a newcomer goes first, but not two in a row.

        Otherwise engines that come and go with every short request could keep one that works on a
        long answer from ever running.
        """
        last = self._order.pop(0)
        newcomer = None if last.fresh else next((s for s in self._order if s.fresh), None)
        if newcomer is not None:
            self._order.remove(newcomer)
            self._order.insert(0, newcomer)
        last.fresh = False
        self._order.append(last)
        self._since_s = self._clock.monotonic()

    def _apply(self) -> None:
        """Make processes what the order says: stop those that must rest, then continue the rest."""
        running, resting = self._split()
        for share in resting:
            self._pause(share)
        for share in running:
            self._resume(share)
        if resting:
            self._contended.set()
        else:
            self._contended.clear()

    def _split(self) -> tuple[list[_Share], list[_Share]]:
        running: list[_Share] = []
        resting: list[_Share] = []
        free = self._cores
        for share in self._order:
            may_run = not running or share.threads <= free
            (running if may_run else resting).append(share)
            free -= share.threads if may_run else 0
        return running, resting

    def _pause(self, share: _Share) -> None:
        pid = share.engine.pid
        if share.paused_pid is not None or pid is None:
            return
        try:
            self._signaller.pause(pid)
        except ProcessLookupError:
            return  # it has just ended; its owner will say `leave`
        share.paused_pid = pid

    def _resume(self, share: _Share) -> None:
        if share.paused_pid is None:
            return
        pid, share.paused_pid = share.paused_pid, None
        # After an exit the number may belong to somebody else, whose stop is not ours to end.
        if share.engine.pid != pid:
            return
        try:
            self._signaller.resume(pid)
        except ProcessLookupError:
            return
