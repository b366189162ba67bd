"""From a wish to a rollout that could begin, or to the reason why it cannot. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection

from msgspec.structs import replace

from reshore.errors import RouteConflict, RouteError
from reshore.evals.deciding import Deciders
from reshore.evals.rollouts.asked import StartRollout
from reshore.evals.rollouts.kept import Kept
from reshore.routing.asking import Asking
from reshore.routing.case import Case
from reshore.routing.naming import Naming
from reshore.routing.patterns import is_glob
from reshore.routing.policy import Cloud, Local, Route
from reshore.routing.rollout import Rollout
from reshore.routing.rollout_plan import Plan, checked_plan
from reshore.routing.sides import parts, side_of
from reshore.routing.snapshot import route_entry
from reshore.routing.state import InForce
from reshore.routing.stepping import stepped
from reshore.routing.tiers import is_embedding
from reshore.types import Side


def planned(
    wish: StartRollout,
    now: InForce,
    deciders: Callable[[Collection[str]], Deciders],
    *,
    number: int,
    now_s: float,
) -> Kept:
    """The rollout that is wished for; nothing of it is in force yet.

    Args:
        deciders: what can decide pairs of these models; a pair that nothing decides counts for
            nothing.
        number: the one that it gets.

    Raises:
        RouteError: it cannot work, or nothing may move now; says why and what to do.
        UnknownModel: the name has no route, and nothing answers to it.
    """
    snapshot = now.snapshot
    if wish.if_version not in (None, snapshot.number):
        raise RouteConflict(expected=wish.if_version, version=snapshot.number)
    if snapshot.override:
        raise _cannot(
            wish.route,
            f"the panic switch sends everything to the {snapshot.override} side; `reshore route "
            "all normal` ends that",
        )
    plan = checked_plan(wish.plan())
    base = _with_model(_base(plan.route, now), plan.to, wish.model)
    _check_target(stepped(base, plan, plan.steps[0]), plan, now)
    _check_deciders(stepped(base, plan, 100), now, deciders)
    before = snapshot.route(plan.route)
    return Kept(
        number=number,
        author=wish.author,
        why=wish.why,
        asked_s=now_s,
        since_s=now_s,
        base=route_entry(base),
        before=None if before is None else route_entry(before),
        rollout=Rollout.start(plan, now_s),
    )


def _base(name: str, now: InForce) -> Route:
    """What is done with a name's traffic now, as a route of its own."""
    found = now.snapshot.route(name)
    if found is None and is_glob(name):
        raise _cannot(
            name,
            "it stands for several names and has no route yet; set one that says what is done with "
            f"them now, as `reshore route set '{name}' cloud`",
        )
    if found is None:
        found = now.view.table.match(name) or Case(Asking(name=name), now.view, now.world).route
    return replace(found, pattern=name)


def _with_model(base: Route, to: Side, model: str) -> Route:
    """With a model for the new side, where the route does not name another one there."""
    if not model:
        return base
    here = [part for part in parts(base.policy) if side_of(part) == to]
    if any(part not in (Local(), Cloud()) for part in here):
        raise _cannot(
            base.pattern,
            f"its route names whom it asks there already ({base.text}); change that with `reshore "
            "route set`, or leave the model out",
        )
    return replace(base, local=model) if to == "local" else replace(base, cloud=model)


def _check_target(first: Route, plan: Plan, now: InForce) -> None:
    """A model that is not there would fail all its requests, though only until a guard trips; one
    that embeds has no pairs, and would wait for ever."""
    naming = Naming(first.pattern, first, now.view.table, now.world)
    new = next(part for part in parts(first.policy) if side_of(part) == plan.to)
    model = naming.target(new).model
    if any(is_embedding(name) or now.world.embeds(name) for name in (first.pattern, model)):
        raise _cannot(
            first.pattern,
            "of two embeddings none is better, so there would never be a pair that counts; set its "
            f"route by hand: `reshore route set {first.pattern} POLICY`",
        )
    if plan.to == "cloud" or (is_glob(first.pattern) and not first.local):
        return
    if not now.world.installed(model):
        raise _cannot(
            first.pattern,
            f"'{model}' is not installed here; pull it first (`reshore pull {model}`), or name "
            "another model: --to local:MODEL",
        )


def _check_deciders(
    last: Route, now: InForce, deciders: Callable[[Collection[str]], Deciders]
) -> None:
    """Of the last step, as its two models are compared in every step."""
    naming = Naming(last.pattern, last, now.view.table, now.world)
    found = deciders([naming.target(part).model for part in parts(last.policy)])
    if not found.names:
        unfit = "".join(f" ({why})" for why in found.unfit)
        raise _cannot(
            last.pattern,
            "no check and no judge can decide which of two of its answers is better, so there "
            f"would never be a pair that counts{unfit}; name the checks that are enough for this "
            "traffic in evaluation.sufficient, or configure a check of your own or a judge",
        )


def _cannot(name: str, why: str) -> RouteError:
    return RouteError(f"the rollout of '{name}' cannot start: {why}")
