"""A policy that asks another trained router. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from reshore.errors import RouteError
from reshore.routing.learned import Reads
from reshore.routing.policy import (
    Cascade,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Route,
    Shadow,
    Split,
)
from reshore.routing.sides import parts, uses


def taught(route: Route, name: str, reads: Reads) -> Policy:
    """The policy of a route, asking a router by the router's own threshold.

    Every `hybrid` (of a router that reads prompts) or `cascade` (answers) in it gets the router. A
    route that goes to one side becomes one. A shadow around that stays, or is put on either side of
    the hybrid: whoever answers, a share is copied to the other one, so that pairs of both kinds go
    on to say whether the router is right.

    Raises:
        RouteError: its policy is another one; says what to set.
    """
    given = _given(route.policy, name, reads)
    if any(use.name == name and use.reads == reads for use in uses(given)):
        return given
    begun = _begun(route.policy, name, reads)
    if begun is None:
        kind = "hybrid" if reads == "prompt" else "cascade"
        raise RouteError(
            f"'{route.pattern}' is {route.text}, where no {kind} asks a router: set it by hand, "
            f"`reshore route set {route.pattern} '{kind}(by={name})'`"
        )
    return begun


def _given(policy: Policy, name: str, reads: Reads) -> Policy:
    """With the router wherever one can be asked."""

    def inner(each: Policy) -> Policy:
        return _given(each, name, reads)

    match policy:
        case Hybrid(local=local, cloud=cloud):
            sides = replace(policy, local=inner(local), cloud=inner(cloud))
            return replace(sides, by=name, threshold=None) if reads == "prompt" else sides
        case Cascade(cloud=cloud):
            other = replace(policy, cloud=inner(cloud))
            return replace(other, by=name, threshold=None) if reads == "answer" else other
        case Split(arms=arms):
            return replace(
                policy, arms=tuple(replace(arm, policy=inner(arm.policy)) for arm in arms)
            )
        case Fallback(policies=policies):
            return replace(policy, policies=tuple(map(inner, policies)))
        case Hedge(first=first, second=second):
            return replace(policy, first=inner(first), second=inner(second))
        case Shadow(primary=primary):
            return replace(policy, primary=inner(primary))
        case Local() | Cloud():
            return policy


def _begun(policy: Policy, name: str, reads: Reads) -> Policy | None:
    """A hybrid or cascade in place of one side; None: there is more than that."""
    primary = policy.primary if isinstance(policy, Shadow) else policy
    if not isinstance(primary, Local | Cloud):
        return None
    local, cloud = _sides(policy)
    if reads == "answer":
        cascade = Cascade(local=local, cloud=cloud, by=name)
        return replace(policy, primary=cascade) if isinstance(policy, Shadow) else cascade
    one: Policy = local
    other: Policy = cloud
    if isinstance(policy, Shadow):
        one = Shadow(primary=local, mirror=cloud, share=policy.share)
        other = Shadow(primary=cloud, mirror=local, share=policy.share)
    return Hybrid(local=one, cloud=other, threshold=None, by=name)


def _sides(policy: Policy) -> tuple[Local, Cloud]:
    """What a policy names first on either side; what the route means by a bare one, else."""
    found = list(parts(policy))
    return (
        next((part for part in found if isinstance(part, Local)), Local()),
        next((part for part in found if isinstance(part, Cloud)), Cloud()),
    )
