"""The routes of a RESHORE_HOME: through the server that runs for it, or, with none, directly."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from reshore.cli.admin import AdminClient
from reshore.clock import SystemClock
from reshore.config import Config, find_home, load
from reshore.engine.hardware import detect, detect_gpus
from reshore.errors import AlreadyRunning
from reshore.models.inventory import Inventory
from reshore.models.store import Store
from reshore.routing.explain import Explained, explain
from reshore.routing.history import History
from reshore.routing.operating import (
    Change,
    Difference,
    Operator,
    Panic,
    Past,
    Rollback,
    SetRoute,
    Shown,
    Wish,
    asking_of,
)
from reshore.routing.state import RoutingState
from reshore.routing.world import World
from reshore.server.listen import home_lock
from reshore.server.world import make_world
from reshore.types import Side

T = TypeVar("T")

# A server that has just begun to start holds the lock and does not listen yet.
_PATIENCE_S = 5.0
_PAUSE_S = 0.05


class Operations(Protocol):
    """What `Operator` does; `explain` takes a request as clients send it."""

    def show(self) -> Shown: ...

    def history(self, limit: int) -> list[Past]: ...

    def diff(self, old: int, new: int) -> Difference: ...

    def set(self, pattern: str, wish: SetRoute) -> Change: ...

    def remove(self, pattern: str, wish: Wish) -> Change: ...

    def panic(self, wish: Panic) -> Change: ...

    def rollback(self, wish: Rollback) -> Change: ...

    def explain(
        self, body: dict[str, Any], pin: Side | None, headers: Mapping[str, str]
    ) -> Explained: ...


@contextlib.contextmanager
def operations(patience_s: float = _PATIENCE_S) -> Iterator[Operations]:
    """Operate the routes of RESHORE_HOME. Without a server, its lock is held meanwhile.

    Args:
        patience_s: how long another command, or a server that starts, is waited for.

    Raises:
        AlreadyRunning: somebody holds the lock and does not answer.
        ConfigError: the settings are wrong; a running server is asked whatever they are.
    """
    home = find_home()
    server = AdminClient(home)
    with contextlib.ExitStack() as lock:
        yield Stored(load()) if _owns(home, server, lock, patience_s) else Served(server)


def _owns(home: Path, server: AdminClient, lock: contextlib.ExitStack, patience_s: float) -> bool:
    """Take the lock of the home, unless a server answers that holds it."""
    deadline_s = time.monotonic() + patience_s
    while not server.running():
        try:
            lock.enter_context(home_lock(home))
            return True
        except AlreadyRunning:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_PAUSE_S)
    return False


def login_name() -> str:
    """Who works at this terminal, for the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container knows numbers alone
        return str(os.getuid())


class Served:
    """The routes of a running server. Implements `Operations`.

    Raises (all methods):
        UpstreamStatus: the server refused; says why.
        Unreachable: it went away.
    """

    def __init__(self, server: AdminClient) -> None:
        self._server = server

    def show(self) -> Shown:
        return _read(self._server.get("/admin/routes"), Shown)

    def history(self, limit: int) -> list[Past]:
        return _read(self._server.get(f"/admin/routes/history?limit={limit}"), list[Past])

    def diff(self, old: int, new: int) -> Difference:
        return _read(self._server.get(f"/admin/routes/diff?from={old}&to={new}"), Difference)

    def set(self, pattern: str, wish: SetRoute) -> Change:
        return _read(self._server.put(_path(pattern), wish), Change)

    def remove(self, pattern: str, wish: Wish) -> Change:
        return _read(self._server.delete(_path(pattern), wish), Change)

    def panic(self, wish: Panic) -> Change:
        return _read(self._server.post("/admin/panic", wish), Change)

    def rollback(self, wish: Rollback) -> Change:
        return _read(self._server.post("/admin/rollback", wish), Change)

    def explain(
        self, body: dict[str, Any], pin: Side | None, headers: Mapping[str, str]
    ) -> Explained:
        pinned = {**headers, "x-reshore-route": pin} if pin else headers
        return _read(self._server.post("/admin/explain", body, pinned), Explained)


class Stored(Operator):
    """The routes on the disk, whose lock the caller holds. Implements `Operations`."""

    def __init__(self, config: Config) -> None:
        world = _world(config, gpus=False)
        state = RoutingState(History(config.home / "routes"), config, world, SystemClock())
        super().__init__(state)
        self._config = config
        self._view = state.in_force.view

    def explain(
        self, body: dict[str, Any], pin: Side | None, headers: Mapping[str, str]
    ) -> Explained:
        asking = asking_of(body, pin=pin, header=lambda name: headers.get(name.lower()))
        return explain(asking, self._view, _world(self._config, gpus=True))


def _world(config: Config, *, gpus: bool) -> World:
    """What the server would know of this machine. Asking for GPUs costs a process."""
    inventory = Inventory(
        Store.from_config(config), SystemClock(), describes=bool(config.upstreams)
    )
    asyncio.run(_look(inventory))
    found = detect_gpus(config.engine) if gpus else ()
    return make_world(config, inventory, detect(gpus=found))


async def _look(inventory: Inventory) -> None:
    await inventory.refresh()
    await inventory.aclose()


def _path(pattern: str) -> str:
    return f"/admin/routes/{quote(pattern, safe='')}"


def _read(body: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(body, type=kind)
