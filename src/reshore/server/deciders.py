"""Who decides pairs of live traffic: checks, and what `[evaluation]` names beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from reshore.backends.remote import Remote
from reshore.clock import Clock
from reshore.config.evaluation import EvaluationConfig
from reshore.errors import ConfigError, JudgeError, RouteError
from reshore.evals.deciding import Checks, Decider, Deciders, InTurn
from reshore.evals.judge_backend import BackendAsks
from reshore.evals.judging import Judge, Manner
from reshore.evals.program import OWN, Program
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Cloud, Local
from reshore.routing.shadow import Occupied
from reshore.types import Attempt, ChatRequest, Reply, Target

Reach = Callable[[Target, ChatRequest, str], AbstractAsyncContextManager[Reply]]


@dataclass(frozen=True)
class Deciding:
    """Who decides pairs.

    Attributes:
        deciders: what decides between two models beside checks.
        judged: how often the judge ruled since the start: `verdict`, or why it gave none.
    """

    decider: Decider
    deciders: Callable[[Collection[str]], Deciders] = lambda _: Deciders()
    judged: Callable[[], dict[str, int]] = dict


async def open_decider(
    config: EvaluationConfig,
    upstreams: Mapping[str, Remote],
    *,
    reach: Reach,
    local: Occupied,
    clock: Clock,
    record_late: Callable[[str, Attempt], None],
) -> Deciding:
    """Whoever `[evaluation]` names.

    Args:
        reach: asks a target; gets the id of the request whose answers are judged, too.
        local: the engines of this machine.
        record_late: gets what a judge was asked.

    Raises:
        ConfigError: `judge` names no model, or an upstream that is not configured; `check` names
            nothing that could be run, or that is there.
    """
    program, judge = await _program(config), None
    if config.judge:
        target = _target(config.judge, upstreams)
        asks = BackendAsks(
            target,
            lambda request, request_id: reach(target, request, request_id),
            clock=clock,
            record_late=record_late,
            local=local if target.side == "local" else None,
        )
        manner = Manner(
            share=config.judge_share,
            per_hour=config.judge_per_hour,
            own_family=config.judge_own_family,
        )
        judge = Judge(asks, config.judge, clock=clock, manner=manner)
    if program is None and judge is None:
        return Deciding(Checks())
    deciders = partial(_deciders, config, program, judge)
    return Deciding(InTurn(program, judge), deciders, judge.told if judge else dict)


def _deciders(
    config: EvaluationConfig,
    program: Program | None,
    judge: Judge | None,
    models: Collection[str],
) -> Deciders:
    own = (OWN,) if program else ()
    if judge is None:
        return Deciders(names=own)
    unfit = _against(judge, config, models)
    return Deciders(names=own, unfit=(unfit,)) if unfit else Deciders(names=(*own, judge.by))


def _against(judge: Judge, config: EvaluationConfig, models: Collection[str]) -> str:
    """Why the judge would never rule on answers of these models, and what to do."""
    for name in ("judge_share", "judge_per_hour"):
        if not getattr(config, name):
            return f"the judge is asked about no pair; set evaluation.{name} above 0"
    relative = judge.relative(models)
    return relative and (
        f"{relative}, and it favours its own family; name another one in evaluation.judge, or "
        "allow it by evaluation.judge_own_family = true"
    )


async def _program(config: EvaluationConfig) -> Program | None:
    if not config.check:
        return None
    try:
        program = Program(config.check, timeout_s=config.check_timeout_s)
        await program.probe()
    except JudgeError as error:
        raise ConfigError(f"evaluation.check: {error}") from error
    return program


def _target(text: str, upstreams: Mapping[str, Remote]) -> Target:
    try:
        policy = parse_policy(text)
    except RouteError as error:
        raise ConfigError(f"evaluation.judge: {error}") from error
    if not (isinstance(policy, Local | Cloud) and policy.model):
        raise ConfigError(
            f"evaluation.judge: '{text}' names no model; write local:MODEL or cloud:UPSTREAM/MODEL"
        )
    if isinstance(policy, Local):
        return Target(side="local", backend="local", model=policy.model)
    if policy.upstream not in upstreams:
        known = ", ".join(sorted(upstreams)) or "none"
        raise ConfigError(
            f"evaluation.judge: the upstream '{policy.upstream}' of '{text}' is not configured; "
            f"configured are: {known}"
        )
    return Target(side="cloud", backend=policy.upstream, model=policy.model)
