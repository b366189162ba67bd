"""One request on its way to a ruling: what is known of it, and the reasons so far. Pure."""

from __future__ import annotations

from reshore.errors import UnknownModel
from reshore.routing.asking import Asking
from reshore.routing.naming import Naming
from reshore.routing.policy import Cloud, Local, Policy, Route
from reshore.routing.table import View
from reshore.routing.world import World


class Case:
    """Belongs to one call of `decide`, whose steps write down here what they found.

    Attributes:
        route: of the name; where it has none, what stands in for one, with the pattern "".
        why: the reasons, in the order in which they were found.
        score: the complexity, if a policy asked for it.
        private: a privacy rule keeps the request on this machine.

    Raises:
        UnknownModel: the name has no route, and nothing answers to it.
    """

    def __init__(self, asking: Asking, view: View, world: World) -> None:
        self.asking = asking
        self.view = view
        self.world = world
        self.why: list[str] = []
        self.score: float | None = None
        self.private = False
        self.route = self._aimed() or view.table.match(asking.name) or self._unrouted()
        self.naming = Naming(asking.name, self.route, view.table, world)

    @property
    def name(self) -> str:
        """What the request asks for, for error messages."""
        return f"'{self.asking.name}'" if self.asking.name else "a request without a model"

    @property
    def because(self) -> str:
        """The reasons so far, for error messages: ` (…)`, or nothing."""
        return f" ({'; '.join(self.why)})" if self.why else ""

    def _aimed(self) -> Route | None:
        """What an operator asks for goes by no route."""
        target = self.asking.target
        if target is None:
            return None
        self.why.append(f"an operator asks {target}")
        return Route(pattern="", policy=target)

    def _unrouted(self) -> Route:
        """Names do what people expect who never wrote a route."""
        return Route(pattern="", policy=self._meant())

    def _meant(self) -> Policy:
        name, world = self.asking.name, self.world
        if self.asking.kind != "forward":
            alias = self.view.table.alias(name)
            if alias is not None:
                self.why.append(f"alias of {alias}")
                return Local(alias)
            if world.installed(name):
                self.why.append("installed here")
                return Local(name)
        if world.upstream:
            self.why.append("no route, not installed here")
            return Cloud(world.upstream)
        default = world.tiers.find(name) or ""
        if not (default and world.installed(default)):
            raise UnknownModel(name, nearest=world.nearest(name), stand_in=default)
        self.why.append(f"default for {name} on this machine")
        return Local(default)
