"""The rollouts of a server: opened with it, told to the log and to the webhook of its settings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from functools import partial

from reshore.clock import Clock
from reshore.config import Config
from reshore.config.rollout import read_webhook_secret
from reshore.errors import RouteNotFound
from reshore.evals.deciding import Deciders
from reshore.evals.live.evaluation import Evaluation
from reshore.evals.rollouts.asked import Event
from reshore.evals.rollouts.runner import Runner
from reshore.evals.rollouts.shelf import Shelf
from reshore.evals.rollouts.webhook import open_webhook
from reshore.routing.state import RoutingState

log = logging.getLogger("reshore.rollout")

_LOUD = frozenset({"rolled back", "aborted", "held up"})


@contextlib.asynccontextmanager
async def open_rollouts(
    config: Config,
    routes: RoutingState,
    evaluation: Evaluation | None,
    *,
    clock: Clock,
    env: Mapping[str, str],
) -> AsyncIterator[Runner]:
    """The rollouts of RESHORE_HOME at work; those that were under way go on.

    Args:
        evaluation: where pairs come from; without it no rollout starts.
        env: where the webhook's secret may be.

    Raises:
        ConfigError: the webhook has no secret, or it cannot be read.
        HistoryError: `rollouts/` cannot be read.
    """
    told: list[Callable[[Event], None]] = [record_event]
    secret = read_webhook_secret(config.rollout, home=config.home, env=env)
    async with contextlib.AsyncExitStack() as stack:
        if secret is not None:
            settings = config.rollout
            opened = open_webhook(
                settings.webhook, secret, clock, timeout_s=settings.webhook_timeout_s
            )
            told.append((await stack.enter_async_context(opened)).offer)
        if evaluation is not None:
            told.append(partial(hold_to_level, evaluation))
        shelf = Shelf(config.home / "rollouts")
        deciders = evaluation.deciders if evaluation else _nothing_compares
        runner = Runner(shelf, routes, clock=clock, deciders=deciders, told=told)
        await stack.enter_async_context(runner)
        if evaluation is not None:
            evaluation.on_pair.append(runner.inbox.pair)
        yield runner


def _nothing_compares(models: Collection[str]) -> Deciders:
    off = "evaluation is switched off: set evaluation.enabled = true, and restart"
    return Deciders(unfit=(off,))


def hold_to_level(evaluation: Evaluation, event: Event) -> None:
    """What a rollout has accepted must stay as good: less is drift from now on."""
    if event.event == "done" and event.to == "local":
        with contextlib.suppress(RouteNotFound):  # somebody has made evaluation begin anew
            evaluation.accept(event.route, event.net_win)


def record_event(event: Event) -> None:
    """The log line of an event."""
    level = logging.WARNING if event.event in _LOUD else logging.INFO
    fields = {
        "rollout": event.rollout,
        "route": event.route,
        "to": event.to,
        "state": event.state,
        "share": event.share,
        "version": event.version,
        "why": event.why or None,
        "evidence": event.evidence,
    }
    extra = {name: value for name, value in fields.items() if value is not None}
    log.log(level, "rollout of %s: %s", event.route, event.event, extra=extra)
