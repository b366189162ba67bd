"""What `reshore route train` and `evaluate` do: pairs, training, evaluation, a new version."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.learning_output import (
    Evaluated,
    Trained,
    note_gathered,
    print_evaluated,
    print_trained,
)
from reshore.cli.operated import login_name, operations
from reshore.cli.output import note
from reshore.cli.route_learning import Training, Wanted
from reshore.config import Config, RouteConfig, load
from reshore.errors import LearnError, RouteNotFound
from reshore.evals.calibration import parse_goal
from reshore.evals.compare.report import read_report
from reshore.evals.gathering import Example, Gathered, Record, gather, parted, unseen
from reshore.evals.learn import learn
from reshore.evals.off_policy import Evaluation
from reshore.evals.off_policy import evaluate as estimated
from reshore.evals.replay import Choice, always, by_policy, by_router, by_rules
from reshore.evals.reports import records
from reshore.ledger.database import reading
from reshore.ledger.pairs import PairFilter, kept_pairs
from reshore.routing.learned import Origin, Reads
from reshore.routing.operating import Change, SetRoute
from reshore.routing.policy import Route
from reshore.routing.routes import read_routes
from reshore.routing.sides import routers
from reshore.routing.taught import taught
from reshore.routing.trained import TrainedRouters

# What the route does; no router can be called so.
LIVE = "the route now"


def train(order: Training) -> None:
    """Train a router, say what it is worth, and let the route ask it if that is wished."""
    goal = parse_goal(order.goal, order.confidence) if order.goal else None
    config = load()
    trained = _trained(config)
    trained.next_name(order.name)
    route = _route(order.wanted.route) if order.wanted.route else None
    if order.live:
        taught(_named(route), order.name, order.reads)
    # From here on nothing fails that could have been told before.
    gathered = _gathered(config, order.wanted, order.reads)
    kept, held_out = parted(gathered.examples)
    model = asyncio.run(learn([each.pair for each in kept], reads=order.reads, goal=goal))
    origin = Origin(
        local=gathered.local, cloud=gathered.cloud, until_s=gathered.examples[-1].arrived_s
    )
    name = trained.save_next(order.name, replace(model, origin=origin))
    result = Trained(
        router=name,
        local=gathered.local,
        cloud=gathered.cloud,
        pairs=len(kept),
        left_out=gathered.left_out,
        calibration=model.calibration,
        evaluation=_if_enough(held_out, name, trained, route),
    )
    problem = _problem(result, order) if order.live else ""
    if order.live and not problem:
        result = replace(result, change=_put_live(_named(route), result, order))
    print_trained(result, order.as_json)
    if problem:
        raise Failure(ExitCode.FAILURE, problem)


def evaluate(name: str, wanted: Wanted, as_json: bool) -> None:
    """Say what a router would be worth on what it has not seen."""
    config = load()
    trained = _trained(config)
    name = trained.find(name)
    router = trained.load(name)
    route = _route(wanted.route) if wanted.route else None
    gathered = _gathered(config, wanted, router.model.reads)
    live = [each for each, _ in routers(route.policy)] if route else []
    examples = unseen(gathered.examples, _origins([name, *live], trained, gathered))
    seen = len(gathered.examples) - len(examples)
    if seen:
        note(f"left out: {seen} that a router was trained on, or might have been")
    result = Evaluated(
        router=name,
        local=gathered.local,
        cloud=gathered.cloud,
        left_out=gathered.left_out,
        evaluation=_evaluation(examples, name, trained, route),
    )
    print_evaluated(result, as_json)


# Pairs


def _gathered(config: Config, wanted: Wanted, reads: Reads) -> Gathered:
    found = [*_reported(wanted), *_kept(config, wanted)]
    gathered = gather(found, reads=reads, local=wanted.local, cloud=wanted.cloud)
    note_gathered(gathered)
    if not found:
        raise LearnError(
            "there are no pairs: a `shadow` in a route collects them from live traffic, and "
            "`reshore compare` from a file of prompts (--compare)"
        )
    if not gathered.examples:
        raise LearnError(
            f"none of {len(found)} pairs can be used; {gathered.left_out.get('without text', 0)} "
            "have no text: what was said is kept only where `[ledger] texts` is above 0 (1.0: "
            "always), so set it and let pairs come in, or give a report with --compare"
        )
    return gathered


def _reported(wanted: Wanted) -> Iterator[Record]:
    for path in wanted.reports:
        yield from records(read_report(path))


def _kept(config: Config, wanted: Wanted) -> Iterator[Record]:
    if wanted.since_ms is None:
        return
    with reading(config) as connection:
        for kept in kept_pairs(
            connection, PairFilter(route=wanted.route, since_ms=wanted.since_ms)
        ):
            yield Record(paired=kept.paired, texts=kept.texts)


# Evaluation


def _if_enough(
    examples: Sequence[Example], name: str, trained: TrainedRouters, route: Route | None
) -> Evaluation | None:
    try:
        return _evaluation(examples, name, trained, route)
    except LearnError as error:
        note(f"not evaluated: {error}")
        return None


def _evaluation(
    examples: Sequence[Example], name: str, trained: TrainedRouters, route: Route | None
) -> Evaluation:
    choices: dict[str, Choice] = {
        "always local": always(False),
        "always cloud": always(True),
        "the rules": by_rules(),
        name: by_router(trained.load(name)),
    }
    now = by_policy(route.policy, trained.load) if route else None
    if now is not None:
        choices[LIVE] = now
    elif route:
        note(f"what {route.pattern} does now cannot be told from pairs alone: {route.text}")
    chosen = {each: [choose(example) for example in examples] for each, choose in choices.items()}
    return estimated(examples, chosen, compare=(name, LIVE) if now is not None else None)


def _origins(names: Sequence[str], trained: TrainedRouters, gathered: Gathered) -> list[Origin]:
    """What the routers say of their training; what one leaves open is told."""
    found = []
    for name in dict.fromkeys(names):
        try:
            origin = trained.load(name).model.origin
        except LearnError:
            continue
        if origin is None:
            note(
                f"warning: nobody knows what {name} was trained on; if these pairs were among it, "
                "it looks better than it is"
            )
            continue
        found.append(origin)
        if (origin.local, origin.cloud) != (gathered.local, gathered.cloud):
            note(
                f"warning: {name} was trained on answers of {origin.local} and {origin.cloud}; "
                "--local and --cloud choose their pairs"
            )
    return found


# Routes


def _route(pattern: str) -> Route:
    """The route of a pattern that is in force."""
    with operations() as routes:
        return _in_force(pattern, routes.show().version.routes)


def _in_force(pattern: str, table: Mapping[str, RouteConfig]) -> Route:
    if pattern not in table:
        known = ", ".join(table) or "none"
        raise RouteNotFound(f"there is no route '{pattern}'; set are {known}")
    (route,) = read_routes({pattern: table[pattern]})
    return route


def _named(route: Route | None) -> Route:
    if route is None:
        raise Failure(ExitCode.USAGE, "--live needs the route that is to ask it: --route PATTERN")
    return route


def _problem(result: Trained, order: Training) -> str:
    """Why a router is not put live; "" where it is."""
    if order.force:
        return ""
    anyway = f"train with --force, or `reshore route set` with by={result.router}, does it anyway"
    if result.evaluation is None:
        return f"{result.router} is not live: there are too few pairs to evaluate it; {anyway}"
    difference = result.evaluation.difference
    worse = difference.worse if difference else ""
    return f"{result.router} is not live: against the route now, {worse}; {anyway}" if worse else ""


def _put_live(route: Route, result: Trained, order: Training) -> Change:
    policy = str(taught(route, result.router, order.reads))
    with operations() as routes:
        version = routes.show().version
        if _in_force(route.pattern, version.routes) != route:
            raise Failure(
                ExitCode.FAILURE,
                f"the route '{route.pattern}' was changed meanwhile; to put {result.router} live "
                f"all the same: `reshore route set {route.pattern} '{policy}'`",
            )
        wish = SetRoute(
            policy=policy,
            why=": ".join(filter(None, (order.why, str(result)))),
            author=login_name(),
            if_version=version.number,
            evidence=msgspec.to_builtins(result),
        )
        return routes.set(route.pattern, wish)


def _trained(config: Config) -> TrainedRouters:
    return TrainedRouters(config.home / "routes" / "models")
