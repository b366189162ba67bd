"""What a policy has on either side. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from reshore.routing.learned import Reads
from reshore.routing.policy import (
    Arm,
    Cascade,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Shadow,
    Split,
)
from reshore.types import Side


def parts(policy: Policy, *, mirrors: bool = True) -> Iterator[Local | Cloud]:
    """Every `local` and `cloud` in a policy, in the order in which they stand.

    Args:
        mirrors: also those whose answers nobody gets.
    """
    match policy:
        case Local() | Cloud():
            yield policy
        case Split(arms=arms):
            for arm in arms:
                yield from parts(arm.policy, mirrors=mirrors)
        case Fallback(policies=policies):
            for inner in policies:
                yield from parts(inner, mirrors=mirrors)
        case Hedge(first=first, second=second):
            yield from parts(first, mirrors=mirrors)
            yield from parts(second, mirrors=mirrors)
        case Hybrid(local=local, cloud=cloud):
            yield from parts(local, mirrors=mirrors)
            yield from parts(cloud, mirrors=mirrors)
        case Cascade(local=local, cloud=cloud, agree_with=other):
            yield local
            if other and mirrors:
                yield Local(other)
            yield from parts(cloud, mirrors=mirrors)
        case Shadow(primary=primary, mirror=mirror):
            yield from parts(primary, mirrors=mirrors)
            if mirrors:
                yield mirror


class Use(NamedTuple):
    """A trained router in a policy.

    Attributes:
        reads: what it has to read there.
        threshold: that of the policy; None for the one that the router was calibrated to.
    """

    name: str
    reads: Reads
    threshold: float | None


def routers(policy: Policy) -> Iterator[tuple[str, Reads]]:
    """The names of the trained routers in a policy, and what each of them has to read there."""
    return ((use.name, use.reads) for use in uses(policy))


def uses(policy: Policy) -> Iterator[Use]:
    """The trained routers that a policy names, in the order in which they stand."""
    match policy:
        case Local() | Cloud():
            return
        case Split(arms=arms):
            inner = tuple(arm.policy for arm in arms)
        case Fallback(policies=policies):
            inner = policies
        case Hedge(first=first, second=second):
            inner = (first, second)
        case Hybrid(local=local, cloud=cloud, by=by, threshold=threshold):
            if by:
                yield Use(by, "prompt", threshold)
            inner = (local, cloud)
        case Cascade(cloud=cloud, by=by, threshold=threshold):
            if by:
                yield Use(by, "answer", threshold)
            inner = (cloud,)
        case Shadow(primary=primary):
            inner = (primary,)
    for each in inner:
        yield from uses(each)


def side_of(part: Local | Cloud) -> Side:
    """The side that a part is on."""
    return "local" if isinstance(part, Local) else "cloud"


def on_side(policy: Policy, side: Side) -> Policy | None:
    """What is left of a policy when nothing may be asked on the other side; None: nothing.

    A mirror answers where the primary has nothing on this side: it is what the route names there.
    """
    match policy:
        case Local() | Cloud():
            return policy if side_of(policy) == side else None
        case Split(arms=arms, sticky=sticky):
            left = [(arm.weight, on_side(arm.policy, side)) for arm in arms]
            return _split([(weight, inner) for weight, inner in left if inner], sticky)
        case Fallback(policies=policies, on=on, resume=resume):
            rest = tuple(inner for each in policies if (inner := on_side(each, side)))
            return Fallback(rest, on, resume) if len(rest) > 1 else next(iter(rest), None)
        case Hedge(first=first, second=second, after_ms=after_ms):
            one, other = on_side(first, side), on_side(second, side)
            return Hedge(one, other, after_ms) if one and other else one or other
        case Hybrid(local=local, cloud=cloud, threshold=threshold, by=by):
            one, other = on_side(local, side), on_side(cloud, side)
            return Hybrid(one, other, threshold, by) if one and other else one or other
        case Cascade(local=local, cloud=cloud):
            return local if side == "local" else on_side(cloud, side)
        case Shadow(primary=primary, mirror=mirror, share=share):
            answers = on_side(primary, side)
            copied = mirror if side_of(mirror) == side else None
            return Shadow(answers, copied, share) if answers and copied else answers or copied


def _split(arms: list[tuple[float, Policy]], sticky: str) -> Policy | None:
    if len(arms) < 2:
        return arms[0][1] if arms else None
    if not sum(weight for weight, _ in arms):
        return arms[0][1]  # both were switched off; the switch or rule that asks now stands above
    return Split(tuple(Arm(weight, inner) for weight, inner in arms), sticky)
