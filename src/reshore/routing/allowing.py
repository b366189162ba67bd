"""What of a route's policy may be done: privacy rules, the panic switch, and pins. Pure."""

from __future__ import annotations

from reshore.errors import Forbidden, NoTarget, RequestError
from reshore.routing.case import Case
from reshore.routing.policy import Cloud, Local, Policy
from reshore.routing.sides import on_side, parts
from reshore.types import Side


def allowed(case: Case) -> Policy:
    """The policy of the route, or what those leave of it who stand above it.

    Raises:
        Forbidden: a privacy rule keeps the request here, where nothing can answer it.
        NoTarget: nothing answers on the side that was asked for.
        RequestError: the route does not allow the pin, or embeddings of several models would mix.
    """
    policy = _allowed(case)
    if case.asking.kind == "embedding":
        _check_space(case, policy)
    return policy


def _allowed(case: Case) -> Policy:
    asking, policy = case.asking, case.route.policy
    if rule := _privacy_rule(case):
        case.private = True
        case.why.append(rule)
        return _kept(case)
    if case.view.override:
        case.why.append(f"panic switch: all {case.view.override}")
        return _turned(case, case.view.override, guess=True)
    if asking.pin:
        return _pinned(case, asking.pin)
    if asking.kind == "forward":
        return _turned(case, "cloud", guess=False)
    return policy


def _privacy_rule(case: Case) -> str | None:
    """What keeps the request here; None where nothing does, or nothing would leave anyway."""
    if not case.world.privacy:
        return None
    leaves = (
        case.asking.kind == "forward"
        or "cloud" in (case.view.override, case.asking.pin)
        or any(isinstance(part, Cloud) for part in parts(case.route.policy))
    )
    return next(case.world.privacy.reasons(case.asking), None) if leaves else None


def _kept(case: Case) -> Policy:
    here = None
    if case.asking.kind != "forward":
        here = _on(case, "local", guess=True)
    if here is None:
        raise Forbidden(
            f"This request may not leave this machine{case.because}, and nothing here can answer "
            f"{case.name}. {_advice(case, 'local')}",
            code="local_only",
        )
    return here


def _pinned(case: Case, side: Side) -> Policy:
    route = case.route
    if not route.pins:
        raise RequestError(
            f"{case.name} cannot be pinned to a side: its route ({route.pattern}) does not allow "
            "it. Send the request without the header x-reshore-route.",
            param="x-reshore-route",
            code="pin_not_allowed",
        )
    case.why.append(f"pinned to {side} by x-reshore-route")
    # A client chooses among what the operator wrote down; where nothing is, among what is meant.
    return _turned(case, side, guess=not route.pattern)


def _turned(case: Case, side: Side, *, guess: bool) -> Policy:
    if side == "local" and case.asking.kind == "forward":
        raise NoTarget(
            "This endpoint is answered by upstreams alone, and the request is to stay "
            f"local{case.because}.",
            param="model",
        )
    rest = _on(case, side, guess=guess)
    if rest is None:
        route = case.route
        has = f"the route {route.pattern}: {route.text}" if route.pattern else route.text
        raise NoTarget(
            f"{case.name} has no {side} target{case.because}; it has {has}. {_advice(case, side)}",
            param="model",
        )
    return rest


def _on(case: Case, side: Side, *, guess: bool) -> Policy | None:
    """What is left of the policy on one side, or what stands in for it there."""
    return on_side(case.route.policy, side) or case.naming.stand_in(side, guess=guess)


def _advice(case: Case, side: Side) -> str:
    name, target = case.route.pattern or case.asking.name or "NAME", "MODEL"
    if side == "cloud":
        if not case.world.upstream:
            return "Configure an upstream: [upstreams.NAME] in reshore.toml."
        target = "UPSTREAM/MODEL"
    return f"Give it one: `reshore route set {name} … --{side} {target}`."


def _check_space(case: Case, policy: Policy) -> None:
    """Vectors of one name must be comparable, also with those that were stored before a switch."""
    route = case.route
    if route.mix_embeddings or (policy is route.policy and isinstance(policy, Local | Cloud)):
        return
    models = case.naming.models(route.policy) | case.naming.models(policy)
    if len(models) > 1:
        raise RequestError(
            f"{case.name} would get embeddings of several models{case.because}: "
            f"{', '.join(sorted(models))}. Their vectors cannot be compared. Route the name to "
            "one of them, or set mix_embeddings = true on its route.",
            param="model",
            code="embedding_mix",
        )
