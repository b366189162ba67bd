"""Who answers a request, and why: pure, so that it can be explained, tested and repeated.

In the order of their power: a privacy rule keeps a request on this machine; the panic switch sends
everything to one side; a client pins its side where the route allows it; the route's policy.
"""

from __future__ import annotations

from reshore.routing.allowing import allowed
from reshore.routing.asking import Asking
from reshore.routing.case import Case
from reshore.routing.plan import Ruling, targets
from reshore.routing.planning import Planner
from reshore.routing.table import View
from reshore.routing.world import World
from reshore.types import Decision


def decide(asking: Asking, view: View, world: World) -> Ruling:
    """Resolve what the route of `asking` says into a plan.

    Raises:
        UnknownModel: the name has no route, and nothing answers to it.
        Forbidden: a privacy rule keeps the request here, where nothing can answer it.
        NoTarget: the side that was asked for has no target, or an upstream is not configured.
        RequestError: the route does not allow the pin, or would mix embeddings of several models.
    """
    case = Case(asking, view, world)
    plan = Planner(case).plan(allowed(case))
    decision = Decision(
        side=next(targets(plan)).side,
        route=case.route.pattern,
        policy=case.route.text,
        why="; ".join(case.why) or f"route {case.route.pattern}",
        version=view.number,
        score=case.score,
        private=case.private,
    )
    return Ruling(decision=decision, plan=plan)
