"""Everything an endpoint may use, built once by `create_app` and closed by its lifespan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reshore.backends.base import Backend
from reshore.backends.library import Library
from reshore.clock import Clock
from reshore.config import Config
from reshore.engine.pool import Pool
from reshore.models.inventory import Inventory
from reshore.models.store import Store
from reshore.routing.aliases import Aliases
from reshore.routing.dispatch import Dispatcher
from reshore.routing.table import View
from reshore.routing.world import World
from reshore.server.calls.origin import Backends
from reshore.server.drain import Drain


class Routing(Protocol):
    """The routing state in force, as `decide` reads it; every request reads it once."""

    @property
    def view(self) -> View: ...

    @property
    def world(self) -> World: ...


@dataclass(frozen=True)
class Fixed:
    """Routing that stays as it is. Implements `Routing`."""

    view: View
    world: World


@dataclass(frozen=True)
class Services:
    """The parts of a running server.

    Attributes:
        backend: this machine's; `backends` has the upstreams as well.
        instance_id: of this process; `via` names it, so that loops are known.
    """

    config: Config
    store: Store
    library: Library
    inventory: Inventory
    pool: Pool
    backend: Backend
    backends: Backends
    aliases: Aliases
    routing: Routing
    dispatcher: Dispatcher
    drain: Drain
    clock: Clock
    instance_id: str
