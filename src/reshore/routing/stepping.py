"""What a route is in a step of its rollout. Pure.

    cloud, at 10 %:   split(shadow(local, cloud, share=5%)=10, shadow(cloud, local, share=5%)=90)
    cloud, at 100 %:  shadow(local, cloud, share=5%)
    cloud, done:      shadow(local, cloud, share=2%)

A model or upstream that the route named stays the one that is asked on its side. Whichever side
answers, a share of the requests is copied to the other one: these are the pairs, and without them
nothing would be known of the other side at 100 %. Clients that have moved stay where they are in
later steps, as a split gives a side that grows what it had and more (sticky.py).
"""

from __future__ import annotations

from msgspec.structs import replace

from reshore.errors import RouteError
from reshore.routing.policy import Arm, Cloud, Local, Policy, Route, Shadow, Split
from reshore.routing.rollout_plan import Plan
from reshore.routing.sides import parts, side_of
from reshore.types import Side


def stepped(before: Route, plan: Plan, share: float) -> Route:
    """The route with `share` percent of its traffic on the new side.

    Args:
        before: the route as it was before the rollout, whatever step is under way.

    Raises:
        RouteError: all of its traffic is on the new side already.
    """
    rest = before.policy.primary if isinstance(before.policy, Shadow) else before.policy
    other = _first(rest, "cloud" if plan.to == "local" else "local")
    if other is None:
        raise RouteError(
            f"'{before.pattern}' goes to {plan.to} already ({rest}): there is nothing to roll out"
        )
    new = _first(before.policy, plan.to) or (Local() if plan.to == "local" else Cloud())
    moved = Shadow(primary=new, mirror=other, share=plan.compared)
    if share >= 100:
        return replace(before, policy=moved)
    stayed = Shadow(primary=rest, mirror=new, share=plan.compared)
    arms = (Arm(weight=share, policy=moved), Arm(weight=_rest_of(share), policy=stayed))
    return replace(before, policy=Split(arms=arms))


def finished(before: Route, plan: Plan) -> Route:
    """The route once the last step is passed: the same, with what is compared for good.

    Raises:
        RouteError: as `stepped`.
    """
    return stepped(before, replace(plan, compared=plan.lasting), plan.steps[-1])


def _first(policy: Policy, side: Side) -> Local | Cloud | None:
    """What a policy names first on a side."""
    return next((part for part in parts(policy) if side_of(part) == side), None)


def _rest_of(share: float) -> float:
    """What 100 leaves, as people would write it: 100 - 0.1 is not 99.9 in binary."""
    return round(100 - share, 9)
