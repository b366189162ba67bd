"""Everything an endpoint may use, built once by `create_app` and closed by its lifespan."""

from __future__ import annotations

from dataclasses import dataclass

from reshore.backends.base import Backend
from reshore.config import Config
from reshore.engine.pool import Pool
from reshore.models.store import Store
from reshore.routing.aliases import Aliases
from reshore.server.drain import Drain


@dataclass(frozen=True)
class Services:
    """The parts of a running server."""

    config: Config
    store: Store
    pool: Pool
    backend: Backend
    aliases: Aliases
    drain: Drain
