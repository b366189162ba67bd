"""The routing state in force, compiled for asking: which route and which alias a name has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reshore.routing.learned import LearnedRouter
from reshore.routing.patterns import Patterns
from reshore.routing.policy import Route
from reshore.types import Side


class Table:
    """Routes and aliases by the names that clients send; the fitting pattern as in `Patterns`."""

    def __init__(
        self, routes: Iterable[Route] = (), aliases: Mapping[str, str] | None = None
    ) -> None:
        self.routes = tuple(routes)
        self._routes = Patterns((route.pattern, route) for route in self.routes)
        self._aliases = Patterns((aliases or {}).items())

    def match(self, name: str) -> Route | None:
        """The route of a name, None where there is none."""
        return self._routes.find(name)

    def alias(self, name: str) -> str | None:
        """The installed model that a name is an alias of, None where it is none."""
        return self._aliases.find(name)


@dataclass(frozen=True)
class View:
    """One version of the routing state, as `decide` reads it.

    Attributes:
        number: of the snapshot, 0 where nothing was ever set.
        override: the panic switch: everything goes to this side.
        routers: the trained ones that policies name, by name; what cannot be read is not there.
    """

    number: int = 0
    table: Table = field(default_factory=Table)
    override: Side | None = None
    routers: Mapping[str, LearnedRouter] = field(default_factory=dict)
