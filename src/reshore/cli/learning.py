"""What `reshore route train` and `evaluate` do: pairs, training, evaluation, a new version."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.learning_output import (
    Evaluated,
    Trained,
    print_evaluated,
    print_trained,
)
from reshore.cli.learning_pairs import gathered_pairs
from reshore.cli.learning_routes import put_live, route_in_force
from reshore.cli.operated import login_name
from reshore.cli.output import note
from reshore.cli.route_learning import Training, Wanted
from reshore.config import Config, load
from reshore.errors import LearnError
from reshore.evals.calibration import parse_goal
from reshore.evals.gathering import Example, Gathered, parted, unseen
from reshore.evals.learn import LEAST_PAIRS, learn
from reshore.evals.off_policy import Evaluation
from reshore.evals.off_policy import evaluate as estimated
from reshore.evals.replay import Choice, always, by_policy, by_router, by_rules, outside
from reshore.routing.learned import Origin
from reshore.routing.operating import Change, SetRoute
from reshore.routing.policy import Route
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
    route = route_in_force(order.wanted.route) if order.wanted.route else None
    if order.live:
        # Whether the route can ask it is told before anybody waits for a training.
        taught(_named(route), order.name, order.reads)
    gathered = gathered_pairs(config, order.wanted, order.reads)
    kept, held_out = parted(gathered.examples)
    if len(kept) < LEAST_PAIRS:
        raise LearnError(
            f"{len(kept)} pairs are too few to learn from ({len(held_out)} more are held out, to "
            f"say what comes of it); {LEAST_PAIRS} are the least"
        )
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
        outside=outside(trained.load(name), held_out),
        evaluation=_if_enough(held_out, name, trained, route),
    )
    _origins(_live(route), trained, gathered)
    try:
        if order.live:
            result = replace(result, change=_put_live(_named(route), result, order))
    finally:
        # Whatever becomes of the route: the router is there.
        print_trained(result, order.as_json)


def evaluate(name: str, wanted: Wanted, as_json: bool) -> None:
    """Say what a router would be worth on what it has not seen."""
    config = load()
    trained = _trained(config)
    name = trained.find(name)
    router = trained.load(name)
    route = route_in_force(wanted.route) if wanted.route else None
    gathered = gathered_pairs(config, wanted, router.model.reads)
    names = dict.fromkeys([name, *_live(route)])
    examples = unseen(gathered.examples, _origins(names, trained, gathered))
    seen = len(gathered.examples) - len(examples)
    if seen:
        note(f"left out: {seen} that a router was trained on, or might have been")
    result = Evaluated(
        router=name,
        local=gathered.local,
        cloud=gathered.cloud,
        left_out=gathered.left_out,
        outside=outside(router, examples),
        evaluation=_evaluation(examples, name, trained, route),
    )
    print_evaluated(result, as_json)


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


def _live(route: Route | None) -> list[str]:
    """The routers that a route asks now."""
    return [name for name, _ in routers(route.policy)] if route else []


def _origins(names: Iterable[str], trained: TrainedRouters, gathered: Gathered) -> list[Origin]:
    """What routers say of their training; what one leaves open is told."""
    found = []
    for name in names:
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


def _named(route: Route | None) -> Route:
    if route is None:
        raise Failure(ExitCode.USAGE, "--live needs the route that is to ask it: --route PATTERN")
    return route


def _put_live(route: Route, result: Trained, order: Training) -> Change:
    """Raises Failure where the router is certainly worse than what the route does now."""
    problem = "" if order.force else _problem(result)
    if problem:
        raise Failure(
            ExitCode.FAILURE,
            f"{result.router} is not live: {problem}; train with --force, or `reshore route set` "
            f"with by={result.router}, does it anyway",
        )
    wish = SetRoute(
        policy=str(taught(route, result.router, order.reads)),
        why=": ".join(filter(None, (order.why, str(result)))),
        author=login_name(),
        evidence=msgspec.to_builtins(result),
    )
    return put_live(route, wish)


def _problem(result: Trained) -> str:
    """What speaks against a router; "" for nothing."""
    if result.evaluation is None:
        return "there are too few pairs to evaluate it"
    difference = result.evaluation.difference
    return f"against the route now, {difference.worse}" if difference and difference.worse else ""


def _trained(config: Config) -> TrainedRouters:
    return TrainedRouters(config.home / "routes" / "models")
