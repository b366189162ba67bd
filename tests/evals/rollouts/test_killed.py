"""A process that is killed at any write of a rollout: what starts after it goes on as if nothing
had happened."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from reshore.models.disk import write_atomic
from reshore.routing.history import History
from reshore.testing import MovableClock
from tests.evals.rollouts.driven import AT_10, AT_100, DONE, NAME, QUICK, Driven, driving


class Killed(BaseException):
    """Nothing that was to follow happens."""


class Disk:
    """Takes so many writes; the process ends with the next one, before it or after it."""

    def __init__(self, writes: int, *, after: bool) -> None:
        self._left = writes
        self._after = after
        self._loop = asyncio.get_running_loop()
        self.dead = asyncio.Event()

    def write(self, path: Path, body: bytes) -> None:
        if self._left < 0:
            raise Killed
        self._left -= 1
        if self._left >= 0 or self._after:
            write_atomic(path, body)
        if self._left < 0:
            self._loop.call_soon_threadsafe(self.dead.set)
            raise Killed


async def to_the_end(driven: Driven, verdict: str) -> None:
    """Whatever is left of a rollout, with evidence that never changes its mind."""
    if not driven.runner.all():
        await driven.runner.start(QUICK)
    while driven.shown().state in ("running", "promoting"):
        driven.pairs(verdict, 100)
        await driven.looked()
    await driven.looked()


async def lived(home: Path, verdict: str, disk: Disk, clock: MovableClock) -> bool:
    """One life of a process. Returns whether it came to the end."""
    driven = Driven(home, clock, disk.write)
    running = asyncio.create_task(driven.runner.__aenter__())
    await running
    ending = asyncio.create_task(to_the_end(driven, verdict))
    dying = asyncio.create_task(disk.dead.wait())
    await asyncio.wait([ending, dying], return_when=asyncio.FIRST_COMPLETED)
    if not disk.dead.is_set():
        await driven.runner.__aexit__(None, None, None)
        dying.cancel()
        await ending
        return True
    ending.cancel()
    with contextlib.suppress(asyncio.CancelledError, Killed):
        await ending
    with contextlib.suppress(Killed):
        await driven.runner.__aexit__(None, None, None)
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("writes", range(15))
@pytest.mark.parametrize(
    ("verdict", "state", "policies"),
    [("tie", "done", [AT_10, AT_100, DONE]), ("loss", "rolled back", [AT_10, ""])],
)
async def test_it_ends_as_it_would_have(
    tmp_path: Path, verdict: str, state: str, policies: list[str], writes: int, after: bool
) -> None:
    clock = MovableClock()
    await lived(tmp_path, verdict, Disk(writes, after=after), clock)
    async with driving(tmp_path, clock=clock) as driven:
        await to_the_end(driven, verdict)
        assert driven.shown().state == state
        assert driven.policy == policies[-1]
    assert made(tmp_path) == policies


def made(home: Path) -> list[str]:
    """What each version has made of the route, oldest first; those that were never in force left
    out."""
    history = History(home / "routes")
    version, _ = history.current()
    found = []
    while version.number:
        route = version.route(NAME)
        found.append(route.text if route else "")
        version = history.read(version.parent)
    return found[::-1]
