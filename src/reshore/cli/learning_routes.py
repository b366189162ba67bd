"""Routes that are to ask a router: as they are, and changed."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.operated import operations
from reshore.config import RouteConfig
from reshore.errors import RouteNotFound
from reshore.routing.operating import Change, SetRoute
from reshore.routing.policy import Route
from reshore.routing.routes import read_routes


def route_in_force(pattern: str) -> Route:
    """The route of a pattern.

    Raises:
        RouteNotFound: there is none.
    """
    with operations() as routes:
        return _route(pattern, routes.show().version.routes)


def put_live(before: Route, wish: SetRoute) -> Change:
    """Change a route, unless somebody else has in the meantime.

    Args:
        before: the route that the wish was made for.

    Raises:
        Failure: it is another one now.
        RouteError, RouteConflict: it cannot be set.
    """
    with operations() as routes:
        version = routes.show().version
        if _route(before.pattern, version.routes) != before:
            raise Failure(
                ExitCode.FAILURE,
                f"the route '{before.pattern}' was changed meanwhile; to have it ask the router "
                f"all the same: `reshore route set {before.pattern} '{wish.policy}'`",
            )
        return routes.set(before.pattern, replace(wish, if_version=version.number))


def _route(pattern: str, table: Mapping[str, RouteConfig]) -> Route:
    if pattern not in table:
        known = ", ".join(table) or "none"
        raise RouteNotFound(f"there is no route '{pattern}'; set are {known}")
    (route,) = read_routes({pattern: table[pattern]})
    return route
