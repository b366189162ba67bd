"""How long a read may wait for an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reshore.engine.patience import Patience


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class MovableTimers:
    """Time that passes when it is told to, with the timers that fall due on the way."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made = 0
        self._due: list[tuple[float, Callable[[], object], Handle]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object], /) -> Handle:
        self.made += 1
        handle = Handle()
        self._due.append((when, callback, handle))
        return handle

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            ripe = [timer for timer in self._due if timer[0] <= end and not timer[2].cancelled]
            if not ripe:
                break
            timer = min(ripe, key=lambda timer: timer[0])
            self._due.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


@pytest.fixture
def timers() -> MovableTimers:
    return MovableTimers()


@pytest.fixture
def lapses() -> list[str]:
    return []


@pytest.fixture
def patience(timers, lapses):
    with Patience(10, lambda: lapses.append("lapsed"), timers) as watch:
        yield watch


def test_a_wait_as_long_as_the_limit_is_given_up(timers, lapses, patience):
    patience.wait()
    timers.advance(9.9)
    assert lapses == []
    timers.advance(0.1)
    assert lapses == ["lapsed"]


def test_a_wait_that_begins_late_has_the_whole_limit(timers, lapses, patience):
    timers.advance(7)
    patience.wait()
    timers.advance(9.9)
    assert lapses == []
    timers.advance(0.2)
    assert lapses == ["lapsed"]


def test_the_time_in_which_nobody_waits_does_not_count(timers, lapses, patience):
    patience.wait()
    timers.advance(9)
    patience.served()
    timers.advance(1000)
    assert lapses == []


def test_many_short_waits_make_few_timers(timers, lapses, patience):
    for _ in range(10_000):
        patience.wait()
        timers.advance(0.01)
        patience.served()
    assert lapses == []
    assert timers.made <= 12  # 100 s, ten at a time


def test_leaving_ends_the_watch(timers, lapses):
    with Patience(10, lambda: lapses.append("lapsed"), timers) as watch:
        watch.wait()
    timers.advance(1000)
    assert lapses == []


@pytest.mark.parametrize("limit_s", [0, -1])
def test_without_a_limit_there_is_no_timer(timers, lapses, limit_s):
    with Patience(limit_s, lambda: lapses.append("lapsed"), timers) as watch:
        watch.wait()
        timers.advance(1e9)
    assert (lapses, timers.made) == ([], 0)


async def test_an_event_loop_keeps_its_time():
    gave_up = asyncio.Event()
    with Patience(0.01, gave_up.set, asyncio.get_running_loop()) as watch:
        watch.wait()
        await asyncio.wait_for(gave_up.wait(), 5)
