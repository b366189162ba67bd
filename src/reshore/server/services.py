"""Everything an endpoint may use, built once by `create_app` and closed by its lifespan."""

from __future__ import annotations

from dataclasses import dataclass

from reshore.backends.base import Backend
from reshore.backends.library import Library
from reshore.clock import Clock
from reshore.config import Config
from reshore.engine.pool import Pool
from reshore.evals.live.evaluation import Evaluation
from reshore.evals.rollouts.runner import Runner
from reshore.ledger.ledger import Ledger
from reshore.models.inventory import Inventory
from reshore.models.store import Store
from reshore.routing.aliases import Aliases
from reshore.routing.dispatch import Dispatcher
from reshore.routing.shadow import ShadowWorker
from reshore.routing.state import InForce, RoutingState
from reshore.server.calls.origin import Backends
from reshore.server.drain import Drain


@dataclass(frozen=True)
class Services:
    """The parts of a running server.

    Attributes:
        backend: this machine's; `backends` has the upstreams as well.
        routes: what changes the routes; who only reads them takes `routing`.
        evaluation: compares what both sides answered; None where that is switched off.
        instance_id: of this process; `via` names it, so that loops are known.
    """

    config: Config
    store: Store
    library: Library
    inventory: Inventory
    pool: Pool
    backend: Backend
    backends: Backends
    routes: RoutingState
    dispatcher: Dispatcher
    shadows: ShadowWorker
    rollouts: Runner
    evaluation: Evaluation | None
    drain: Drain
    ledger: Ledger
    clock: Clock
    instance_id: str

    @property
    def routing(self) -> InForce:
        """The routes in force, which may be others the next time: a request reads them once."""
        return self.routes.in_force

    @property
    def aliases(self) -> Aliases:
        """The aliases in force."""
        return self.routes.in_force.aliases
