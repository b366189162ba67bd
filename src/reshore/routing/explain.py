"""What `reshore route explain` says of a request, and what is wrong with a route. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reshore.errors import LearnError, RequestError
from reshore.routing.asking import Asking
from reshore.routing.complexity import Explanation
from reshore.routing.decide import decide
from reshore.routing.naming import Naming
from reshore.routing.opinions import Opinion, opinions
from reshore.routing.plan import (
    REASONS,
    Ask,
    CascadePlan,
    FallbackPlan,
    HedgePlan,
    Plan,
    ShadowPlan,
)
from reshore.routing.policy import Cloud, Route
from reshore.routing.sides import parts, routers
from reshore.routing.table import Table, View
from reshore.routing.tiers import is_embedding
from reshore.routing.world import World
from reshore.types import Decision, Target


class Explained(Struct, frozen=True, kw_only=True):
    """Everything that is known about what would be done with a request.

    Attributes:
        route: the pattern that matched, "" where none did.
        policy: its text, "" without a route.
        version: of the routing state.
        privacy: the rules that hold, whether or not anything would leave the machine.
        complexity: the score and its reasons, whether or not the policy asks for one; None where
            nothing is scored (embeddings, forwarded endpoints).
        learned: what the trained routers say that the policy names.
        decision, plan: None and "" where the request would be refused.
        refusal: why it would be refused, "" where it would not.
    """

    name: str
    route: str = ""
    policy: str = ""
    version: int = 0
    privacy: tuple[str, ...] = ()
    complexity: Explanation | None = None
    learned: tuple[Opinion, ...] = ()
    decision: Decision | None = None
    plan: str = ""
    refusal: str = ""


def explain(asking: Asking, view: View, world: World) -> Explained:
    """Decide as `decide` would, and say everything that led there; raises nothing of its own."""
    route = view.table.match(asking.name)
    decision, plan, refusal = None, "", ""
    try:
        ruling = decide(asking, view, world)
        decision, plan = ruling.decision, plan_text(ruling.plan)
    except RequestError as error:
        refusal = str(error)
    scored = asking.kind in ("chat", "completion")
    learned = opinions(route.policy, view.routers, asking.content) if route and scored else ()
    return Explained(
        name=asking.name,
        route=route.pattern if route else "",
        policy=route.text if route else "",
        version=view.number,
        privacy=tuple(world.privacy.reasons(asking)),
        complexity=world.scorer.explain(asking.content) if scored else None,
        learned=tuple(learned),
        decision=decision,
        plan=plan,
        refusal=refusal,
    )


def plan_text(plan: Plan) -> str:
    """A plan as people read it: every target with its model, in the form of a policy."""
    match plan:
        case Ask(target=target):
            return _target(target)
        case FallbackPlan(plans=plans, on=on, resume=resume):
            options = [] if len(on) == len(REASONS) else [f"on={'+'.join(_in_order(on))}"]
            options += ["resume=yes"] if resume else []
            return f"fallback({', '.join([*map(plan_text, plans), *options])})"
        case HedgePlan(first=first, second=second, after_ms=after_ms):
            return f"hedge({plan_text(first)}, {plan_text(second)}, after={after_ms:g}ms)"
        case CascadePlan(local=local, cloud=cloud, checks=checks, agree_with=other):
            opinion = f", agree_with={other.model}" if other else ""
            both = f"{_target(local)}, {plan_text(cloud)}"
            return f"cascade({both}, checks={'+'.join(checks)}{opinion})"
        case ShadowPlan(primary=primary, mirror=mirror):
            return f"shadow({plan_text(primary)}, {_target(mirror)})"


def problems(route: Route, world: World, table: Table | None = None) -> list[str]:
    """What speaks against setting a route, one sentence each; nothing if it can be set."""
    naming = Naming(route.pattern, route, table or Table(), world)
    return [
        *_upstream_problems(naming),
        *_embedding_problems(naming),
        *_router_problems(route, world),
    ]


def missing(route: Route, world: World, table: Table) -> list[str]:
    """Which local models a route needs that are not installed, one sentence each.

    No reason not to set it: they may be fetched afterwards. What a glob means depends on the name
    that is asked for.
    """
    naming = Naming(route.pattern, route, table, world)
    wanted = dict.fromkeys(
        target.model
        for part in parts(route.policy)
        if (target := naming.target(part)).side == "local" and not _is_glob(target.model)
    )
    return [
        f"'{model}' is not installed here: `reshore pull {model}`, or name another model with "
        "`--local`."
        for model in wanted
        if not world.installed(model)
    ]


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[")


def _upstream_problems(naming: Naming) -> Iterator[str]:
    clouds = [part for part in parts(naming.route.policy) if isinstance(part, Cloud)]
    if naming.route.cloud:
        clouds.append(Cloud())
    known = naming.world.upstreams
    wanted = dict.fromkeys(naming.target(part).backend for part in clouds)
    if wanted and not known:
        yield (
            "The route goes to the cloud, but no upstream is configured. Add [upstreams.NAME] to "
            "reshore.toml first."
        )
        return
    for name in wanted:
        if name not in known:
            yield f"There is no upstream '{name}'; configured are {', '.join(known)}."


_MISFITS = {
    "prompt": "reads answers; a hybrid decides before there is one",
    "answer": "reads the prompt alone; a cascade asks one that reads answers",
}


def _router_problems(route: Route, world: World) -> Iterator[str]:
    for name, reads in dict.fromkeys(routers(route.policy)):
        try:
            router = world.trained(name)
        except LearnError as error:
            yield str(error)
        else:
            if router.model.reads != reads:
                yield f"The router '{name}' {_MISFITS[reads]}."


def _embedding_problems(naming: Naming) -> Iterator[str]:
    route, world = naming.route, naming.world
    models = naming.models(route.policy)
    if route.mix_embeddings or len(models) < 2:
        return
    meant = {naming.target(part).model for part in parts(route.policy)}
    if any(world.embeds(name) or is_embedding(name) for name in (route.pattern, *meant)):
        yield (
            f"'{route.pattern}' would give embeddings of several models "
            f"({', '.join(sorted(models))}), whose vectors cannot be compared. Route it to one of "
            "them, or set mix_embeddings (`--force`)."
        )


def _in_order(on: frozenset[str]) -> list[str]:
    return [reason for reason in REASONS if reason in on]


def _target(target: Target) -> str:
    return (
        f"local:{target.model}"
        if target.side == "local"
        else (f"cloud:{target.backend}/{target.model}")
    )
