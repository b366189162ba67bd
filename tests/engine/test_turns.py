"""Turns: pure behaviour with recorded signals, and real processes where there are signals."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reshore.clock import SystemClock
from reshore.engine.turns import Turns
from reshore.testing import MovableClock, settle

TURN_S = 0.15


class Signals:
    """Remembers what was done; `dead` processes are not there any more."""

    def __init__(self) -> None:
        self.paused: set[int] = set()
        self.dead: set[int] = set()
        self.log: list[tuple[str, int]] = []

    def pause(self, pid: int) -> None:
        self._alive(pid)
        self.log.append(("pause", pid))
        self.paused.add(pid)

    def resume(self, pid: int) -> None:
        self.paused.discard(pid)
        self._alive(pid)
        self.log.append(("resume", pid))

    def _alive(self, pid: int) -> None:
        if pid in self.dead:
            raise ProcessLookupError(pid)


class Runs:
    """An engine as far as turns are concerned."""

    def __init__(self, pid: int | None) -> None:
        self.pid = pid


class Table:
    def __init__(self, turn_s: float, cores: int) -> None:
        self.clock = MovableClock()
        self.signals = Signals()
        self.turns = Turns(turn_s, self.clock, cores=cores, signaller=self.signals)

    @property
    def paused(self) -> set[int]:
        return self.signals.paused


@asynccontextmanager
async def table(turn_s: float = TURN_S, cores: int = 0) -> AsyncIterator[Table]:
    made = Table(turn_s, cores)
    run = asyncio.create_task(made.turns.run())
    await settle()
    yield made
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert made.paused == set()


async def test_a_single_active_engine_is_never_stopped() -> None:
    async with table() as t:
        t.turns.enter(Runs(1))
        await t.clock.advance(10)
        assert t.signals.log == []


async def test_one_at_a_time_runs_and_the_turn_goes_round() -> None:
    async with table() as t:
        engines = [Runs(pid) for pid in (1, 2, 3)]
        for engine in engines:
            t.turns.enter(engine)
        running = []
        for _ in range(6):
            (now,) = {1, 2, 3} - t.paused
            running.append(now)
            await t.clock.advance(TURN_S)
        assert running == [1, 2, 3, 1, 2, 3]


async def test_the_next_is_continued_only_after_the_last_was_stopped() -> None:
    async with table() as t:
        t.turns.enter(Runs(1))
        t.turns.enter(Runs(2))
        await t.clock.advance(TURN_S)
        assert t.signals.log == [("pause", 2), ("pause", 1), ("resume", 2)]


async def test_a_newcomer_runs_at_once_when_the_other_has_had_its_turn() -> None:
    async with table() as t:
        t.turns.enter(Runs(1))
        await t.clock.advance(TURN_S)
        t.turns.enter(Runs(2))
        assert t.paused == {1}


async def test_a_newcomer_waits_no_longer_than_the_turn_in_progress() -> None:
    async with table() as t:
        for pid in (1, 2, 3):
            t.turns.enter(Runs(pid))
        await t.clock.advance(3 * TURN_S)
        assert t.paused == {2, 3}
        t.turns.enter(Runs(4))
        await t.clock.advance(TURN_S)
        assert t.paused == {1, 2, 3}


async def test_newcomers_cannot_keep_the_others_from_running() -> None:
    async with table() as t:
        t.turns.enter(Runs(1))
        t.turns.enter(Runs(2))
        await t.clock.advance(2 * TURN_S)
        had_the_cores = set()
        for pid in range(10, 30):
            brief = Runs(pid)
            t.turns.enter(brief)
            had_the_cores |= {1, 2, pid} - t.paused
            await t.clock.advance(TURN_S)
            t.turns.leave(brief)
        assert {1, 2} <= had_the_cores


async def test_short_requests_of_one_engine_leave_the_other_its_turns() -> None:
    async with table() as t:
        t.turns.enter(Runs(1))
        await t.clock.advance(TURN_S)
        embedder = Runs(2)
        ran_s = 0.0
        for _ in range(50):
            t.turns.enter(embedder)
            ran_s += 0 if 1 in t.paused else 0.01
            await t.clock.advance(0.01)
            t.turns.leave(embedder)
        assert ran_s > 0.25


async def test_leaving_continues_the_engine_and_hands_the_turn_on() -> None:
    async with table() as t:
        first, second = Runs(1), Runs(2)
        t.turns.enter(first)
        t.turns.enter(second)
        t.turns.leave(first)
        assert t.paused == set()
        t.turns.enter(first)
        t.turns.leave(first)
        assert t.paused == set()
        await t.clock.advance(10)
        assert t.paused == set()


async def test_entering_and_leaving_twice_changes_nothing() -> None:
    async with table() as t:
        engine = Runs(1)
        t.turns.enter(engine)
        t.turns.enter(engine)
        t.turns.leave(engine)
        t.turns.leave(engine)
        t.turns.enter(Runs(2))
        await t.clock.advance(10)
        assert t.signals.log == []


async def test_engines_whose_threads_fit_the_cores_run_together() -> None:
    async with table(cores=4) as t:
        t.turns.enter(Runs(1), threads=2)
        t.turns.enter(Runs(2), threads=2)
        assert t.paused == set()
        t.turns.enter(Runs(3), threads=2)
        assert len(t.paused) == 1
        await t.clock.advance(TURN_S)
        assert len(t.paused) == 1


async def test_a_process_that_has_just_ended_disturbs_nobody() -> None:
    async with table() as t:
        gone, stays = Runs(1), Runs(2)
        t.turns.enter(gone)
        t.turns.enter(stays)
        t.signals.dead.add(1)
        await t.clock.advance(2 * TURN_S)
        gone.pid = None
        t.turns.leave(gone)
        await t.clock.advance(2 * TURN_S)
        assert t.paused == set()


async def test_a_paused_process_that_ended_is_not_signalled_again() -> None:
    async with table() as t:
        gone = Runs(2)
        t.turns.enter(Runs(1))
        t.turns.enter(gone)
        gone.pid = None
        t.turns.leave(gone)
        assert t.signals.log == [("pause", 2)]
        t.signals.paused.clear()


async def test_no_turns_when_their_length_is_zero() -> None:
    async with table(turn_s=0) as t:
        t.turns.enter(Runs(1))
        t.turns.enter(Runs(2))
        await t.clock.advance(1)
        assert t.signals.log == []


# ── real processes ──────────────────────────────────────────────────────────────────────────────

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# A child that dies with its parent as engines do, and says when it is ready.
CHILD = """
import ctypes, signal, sys, time
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
print("ready", flush=True)
time.sleep(60)
"""


def state_of(pid: int) -> str:
    """`S` sleeping, `T` stopped, `Z` ended and not yet reaped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    made = [
        subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE) for _ in range(2)
    ]
    for child in made:
        assert child.stdout is not None
        child.stdout.readline()
    yield made
    for child in made:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@linux
async def test_real_processes_are_stopped_and_continued(
    children: list[subprocess.Popen[bytes]],
) -> None:
    turns = Turns(TURN_S, MovableClock())
    engines = [Runs(child.pid) for child in children]
    for engine in engines:
        turns.enter(engine)
    await _until_state(children[1].pid, "T")
    assert state_of(children[0].pid) == "S"
    turns.leave(engines[0])
    await _until_state(children[1].pid, "S")


@linux
async def test_cancelling_the_arbiter_continues_real_processes(
    children: list[subprocess.Popen[bytes]],
) -> None:
    turns = Turns(TURN_S, SystemClock())
    run = asyncio.create_task(turns.run())
    for child in children:
        turns.enter(Runs(child.pid))
    await settle()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    for child in children:
        await _until_state(child.pid, "S")


async def _until_state(pid: int, wanted: str) -> None:
    """The kernel stops and wakes processes in its own time."""
    async with asyncio.timeout(5):
        while state_of(pid) != wanted:  # noqa: ASYNC110 (nothing to await: /proc has no events)
            await asyncio.sleep(0.001)


# A parent that stops its child and then says its pid; the child has the parent-death signal.
PARENT = f"""
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE)
child.stdout.readline()
os.kill(child.pid, signal.SIGSTOP)
print(child.pid, flush=True)
time.sleep(60)
"""


@linux
def test_a_stopped_child_dies_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    try:
        assert _ends_within(handle, seconds=5)
    finally:
        os.close(handle)


def _ends_within(handle: int, *, seconds: float) -> bool:
    """A pidfd becomes readable when its process has ended."""
    return bool(select.select([handle], [], [], seconds)[0])
