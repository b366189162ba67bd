"""`reshore.toml` while a server runs."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from pathlib import Path

import pytest

from reshore.config import Config, load
from reshore.models.disk import write_atomic
from reshore.routing.history import History
from reshore.routing.reload import PERIOD_S, Follower, open_routes
from reshore.routing.state import RoutingState
from reshore.routing.world import World
from reshore.testing import MovableClock
from tests.routing.operated import ADA, config, opened, route, texts

UPSTREAM = '[upstreams.openai]\n\n[routes]\n"gpt-4o" = '


class Followed:
    """A file, and the state that follows it."""

    def __init__(self, home: Path) -> None:
        self.file = home / "reshore.toml"
        self.reads = 0
        self.full = False
        self.state = RoutingState(
            History(home / "routes", self._store),
            self._read(),
            World(upstreams=("openai",)),
            MovableClock(),
        )
        self.follower = Follower(self.state, self._read, self.file, MovableClock())

    def _read(self) -> Config:
        self.reads += 1
        return load(env={"RESHORE_HOME": str(self.file.parent)})

    def _store(self, path: Path, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        write_atomic(path, data)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    async def settle(self) -> None:
        """Look as often as it takes to find that nobody writes any more."""
        await self.follower.look()
        await self.follower.look()


@pytest.fixture
async def followed(tmp_path: Path) -> Followed:
    (tmp_path / "reshore.toml").write_text(f'{UPSTREAM}"cloud"\n')
    found = Followed(tmp_path)
    await found.settle()
    return found


async def test_an_edit_is_in_force_without_a_restart(followed: Followed) -> None:
    followed.write(f'{UPSTREAM}"local"\n')
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "local"}
    assert followed.state.in_force.snapshot.number == 2


async def test_a_file_that_stays_is_not_read_again(followed: Followed) -> None:
    before = followed.reads
    for _ in range(5):
        await followed.settle()
    assert followed.reads == before


async def test_the_first_look_brings_back_nothing(followed: Followed) -> None:
    assert followed.state.in_force.snapshot.number == 1


async def test_what_was_written_while_the_server_started_is_found(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    followed.write(f'{UPSTREAM}"cloud"\n')
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "cloud"}


async def test_a_file_that_is_being_written_is_waited_for(followed: Followed) -> None:
    text = f'{UPSTREAM}"local"\n'
    for end in (0, 20, len(text)):
        followed.write(text[:end])
        await followed.follower.look()
        assert texts(followed.state) == {"gpt-4o": "cloud"}
    await followed.follower.look()
    assert texts(followed.state) == {"gpt-4o": "local"}


async def test_an_edit_of_the_same_length_is_noticed(followed: Followed) -> None:
    followed.write(followed.file.read_text().replace("cloud", "local"))
    os.utime(followed.file, ns=(1, 1))
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "local"}


async def test_a_file_that_is_replaced_is_noticed(followed: Followed) -> None:
    beside = followed.file.with_name("new")
    beside.write_text(f'{UPSTREAM}"local"\n')
    beside.rename(followed.file)
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "local"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[routes\n", r"reshore\.toml: .*line 1"),
        ('[routes]\n"gpt-4o" = "clod"\n', r'routes\."gpt-4o".*Did you mean cloud\?'),
        ('[privacy]\npatterns = ["("]\n', r"privacy\.patterns\[0\]"),
        ('[routs]\n"gpt-4o" = "local"\n', r"routs: unknown key.*Did you mean routes\?"),
        ("[routes]\ngpt = 3\n", r"reshore\.toml: routes"),
    ],
)
async def test_a_broken_file_keeps_what_was_and_is_told_once(
    followed: Followed, caplog: pytest.LogCaptureFixture, text: str, says: str
) -> None:
    followed.write(text)
    await followed.settle()
    os.utime(followed.file)
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "cloud"}
    assert followed.state.in_force.snapshot.number == 1
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert re.search(says, record.getMessage())
    assert re.search(says, followed.state.file_problem)
    followed.write(f'{UPSTREAM}"local"\n')
    await followed.settle()
    assert (texts(followed.state), followed.state.file_problem) == ({"gpt-4o": "local"}, "")


async def test_what_a_full_disk_kept_out_comes_in_when_there_is_space(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.full = True
    followed.write(f'{UPSTREAM}"local"\n')
    for _ in range(3):
        await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "cloud"}
    assert "No space left on device" in followed.state.file_problem
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1
    followed.full = False
    await followed.settle()
    assert (texts(followed.state), followed.state.file_problem) == ({"gpt-4o": "local"}, "")


async def test_a_file_that_is_gone_takes_nothing_with_it(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.file.unlink()
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "cloud"}
    assert "is gone" in caplog.text
    assert "is gone" in followed.state.file_problem


async def test_what_needs_a_restart_is_said(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    followed.write(f'lenient = true\n[limits]\nimages = 1\n{UPSTREAM}"local"\n')
    await followed.settle()
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert said == [
        "reshore.toml: `lenient` has changed, which needs a restart",
        "reshore.toml: `limits` has changed, which needs a restart",
    ]
    assert texts(followed.state) == {"gpt-4o": "local"}


async def test_a_comment_makes_no_version(followed: Followed) -> None:
    followed.write(f"# a word\n{followed.file.read_text()}")
    await followed.settle()
    assert followed.state.in_force.snapshot.number == 1


async def test_an_edit_elsewhere_does_not_undo_what_was_set_by_hand(followed: Followed) -> None:
    followed.state.set(route("gpt-4o", "local"), ADA)
    followed.write(f'{followed.file.read_text()}\n[aliases]\nmini = "m"\n')
    await followed.settle()
    assert texts(followed.state) == {"gpt-4o": "local"}
    assert followed.state.in_force.aliases.resolve("mini") == "m"


async def test_it_goes_on_after_a_bug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock, loop = MovableClock(), asyncio.get_running_loop()
    failed, read_again = asyncio.Event(), asyncio.Event()

    def read() -> Config:
        if not failed.is_set():
            loop.call_soon_threadsafe(failed.set)
            raise RuntimeError("a bug")
        loop.call_soon_threadsafe(read_again.set)
        return config(tmp_path)

    file = tmp_path / "reshore.toml"
    file.write_text("")
    task = asyncio.create_task(Follower(opened(tmp_path), read, file, clock).run())
    for event in (failed, read_again):
        while not event.is_set():
            await clock.advance(PERIOD_S)
        file.write_text("# another")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "could not be taken over" in caplog.text


def test_what_is_wrong_at_the_start_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(upstreams=("openai",))
    opened(tmp_path, routes={"gpt-4o": "cloud"}).panic("local", ADA)
    (tmp_path / "routes" / "current").write_text("?")
    broken = config(tmp_path, routes={"gpt-4o": "clod"})
    assert texts(open_routes(broken, world, MovableClock())) == {"gpt-4o": "cloud"}
    assert "current is damaged: it holds no number; version 2 of the routes is in force" in (
        caplog.text
    )
    assert 'routes."gpt-4o"' in caplog.text
    assert "panic switch: everything goes to the local side" in caplog.text
