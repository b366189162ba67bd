"""`reshore.toml` while a server runs: `[routes]`, `[aliases]` and `[privacy]` follow the file."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from reshore.clock import Clock
from reshore.config import Config
from reshore.errors import ConfigError, HistoryError
from reshore.routing.history import History
from reshore.routing.state import RoutingState
from reshore.routing.world import World

log = logging.getLogger("reshore.routing")

# Looking costs one `stat`, some microseconds. A file is read when it has been the same for one
# period: half of it, which an editor has written so far, may well be TOML.
PERIOD_S = 0.05

RELOADED = ("routes", "aliases", "privacy")

# Device, inode, size, modification time; None: there is no file. An editor that replaces the file
# changes the inode, one that writes into it the time.
_Mark = tuple[int, int, int, int] | None


class Follower:
    """Takes changes of the file over. Runs in one task, which owns it.

    Args:
        state: gets what is read.
        read: reads all settings again.
        file: `reshore.toml`, whether or not it is there.
        clock: how often it is looked at.
    """

    def __init__(
        self,
        state: RoutingState,
        read: Callable[[], Config],
        file: Path,
        clock: Clock,
    ) -> None:
        self._state = state
        self._config: Config | None = None
        self._read = read
        self._file = file
        self._clock = clock
        self._seen: _Mark = None
        # What was written between reading the settings and here is found by the first looks.
        self._taken: _Mark | str = "nothing"
        self._there = file.exists()
        self._said = state.file_problem

    async def run(self) -> None:
        """Look at the file until cancelled. What is wrong with it is logged, once."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("reshore.toml could not be taken over")
            await self._clock.sleep(PERIOD_S)

    async def look(self) -> None:
        """Take the file over if it has changed, and nobody is writing it any more."""
        before, self._seen = self._seen, _marked(self._file)
        if self._seen == before and self._seen != self._taken:
            self._taken = self._seen
            await asyncio.to_thread(self._take)

    def _take(self) -> None:
        if self._taken is None and self._there:
            self._refuse(f"{self._file} is gone; what it said stays in force until a restart")
            return
        self._there = self._taken is not None
        try:
            config = self._read()
            changed = self._state.reload(config)
        except ConfigError as error:
            self._refuse(str(error))
            return
        except HistoryError as error:
            self._refuse(str(error))
            self._taken = "nothing"  # it is the disk that has to change now, and not the file
            return
        self._said = ""
        if changed.before is not changed.after:
            log.info(
                "reshore.toml has new routes: version %d",
                changed.after.number,
                extra={"changes": changed.lines()},
            )
        if self._config is not None:
            for key in _other_changes(self._config, config):
                log.warning("reshore.toml: `%s` has changed, which needs a restart", key)
        self._config = config

    def _refuse(self, problem: str) -> None:
        self._state.file_problem = problem
        if problem != self._said:
            self._said = problem
            log.error("%s; the routes stay as they were", problem.rstrip("."))


def open_routes(config: Config, world: World, clock: Clock) -> RoutingState:
    """The routes of RESHORE_HOME, with the file's if they are new. Logs what is wrong.

    Raises:
        HistoryError, ConfigError: as `RoutingState`.
    """
    state = RoutingState(History(config.home / "routes"), config, world, clock)
    snapshot = state.in_force.snapshot
    for problem in (*state.warnings, state.file_problem):
        if problem:
            log.error(
                "%s; version %d of the routes is in force", problem.rstrip("."), snapshot.number
            )
    if snapshot.override:
        log.warning("panic switch: everything goes to the %s side", snapshot.override)
    return state


def _marked(file: Path) -> _Mark:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _other_changes(old: Config, new: Config) -> Iterator[str]:
    """The keys and sections that differ and are read at start alone."""
    for name in Config.__struct_fields__:
        if name not in RELOADED and getattr(old, name) != getattr(new, name):
            yield name
