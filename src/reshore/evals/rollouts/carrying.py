"""Moves of a rollout put into force. Blocks for milliseconds, as every change of the routes."""

from __future__ import annotations

from reshore.errors import RouteConflict
from reshore.evals.rollouts.kept import Kept
from reshore.routing.policy import Route
from reshore.routing.rollout_moves import RollBack
from reshore.routing.snapshot import Snapshot, route_entry
from reshore.routing.state import RoutingState


def carry_out(routes: RoutingState, kept: Kept) -> int:
    """Make the route what the rollout says it is to be now, as an operator would.

    Done twice it is the same as once: what is in force already is left as it is. What somebody
    else made of the route is never changed.

    Returns: the version in force.

    Raises:
        RouteConflict: the route is not what the rollout made of it.
        RouteError: the route cannot work, an upstream is gone, say. Not of a way back.
        HistoryError: it could not be written; nothing has changed.
    """
    goal = kept.goal()
    while True:
        now = routes.in_force.snapshot
        if _same(now.route(kept.pattern), goal):
            return now.number
        if not kept.is_ours(now):
            raise RouteConflict(expected=kept.version, version=now.number)
        try:
            return _change(routes, kept, goal, now)
        except RouteConflict:
            continue  # somebody was faster, perhaps with another route: look again


def _change(routes: RoutingState, kept: Kept, goal: Route | None, now: Snapshot) -> int:
    note = kept.signed()
    if goal is None or isinstance(kept.rollout.due, RollBack):
        changed = routes.put_back(kept.pattern, goal, note, if_version=now.number)
    else:
        changed = routes.set(goal, note, if_version=now.number)
    return changed.after.number


def _same(one: Route | None, other: Route | None) -> bool:
    if one is None or other is None:
        return one is other
    return route_entry(one) == route_entry(other)
