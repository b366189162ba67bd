"""How a name's traffic is to move to the other side, step by step. Pure."""

from __future__ import annotations

from itertools import pairwise

from msgspec import Struct

from reshore.errors import RouteError
from reshore.routing.guards import DEFAULT_GUARDS, Guard
from reshore.types import Side

# What is compared for good: enough to see a drift within days (docs/evaluation.md).
_LASTING = 0.02
DEFAULT_STEPS = (1.0, 5.0, 25.0, 50.0, 100.0)


class Plan(Struct, frozen=True, kw_only=True):
    """What was asked for.

    A rollout can make two mistakes, and each is made with probability `alpha` at most: to roll
    back although every guard is kept, and to promote although the net win is below its limit. The
    first can happen at every guard in every step, the second at the one guard of the net win in
    every step: alpha is split evenly over those places (Bonferroni).

    Attributes:
        route: the pattern whose traffic moves.
        to: the new side.
        steps: percent of the traffic, rising.
        min_pairs: decided pairs of a step before it can end.
        hold_s: seconds that a step lasts at least.
        compared: share (0..1) of the requests that both sides answer until it is done.
    """

    route: str
    to: Side = "local"
    steps: tuple[float, ...] = DEFAULT_STEPS
    guards: tuple[Guard, ...] = DEFAULT_GUARDS
    min_pairs: int = 200
    hold_s: float = 600.0
    compared: float = 0.05
    alpha: float = 0.05

    @property
    def margin(self) -> float:
        """The least net win that is good enough."""
        return next(guard.limit for guard in self.guards if guard.metric == "net_win")

    @property
    def lasting(self) -> float:
        """Share of the requests that both sides answer once it is done: for good, so that a drift
        is seen."""
        return min(self.compared, _LASTING)

    @property
    def promote_alpha(self) -> float:
        """How often a step may be passed by mistake."""
        return self.alpha / len(self.steps)

    @property
    def guard_alpha(self) -> float:
        """How often a guard may be broken by mistake in all steps together."""
        return self.alpha / len(self.guards)

    @property
    def roll_back_alpha(self) -> float:
        """How often a guard may be broken by mistake in one step."""
        return self.guard_alpha / len(self.steps)


def checked_plan(plan: Plan) -> Plan:
    """The plan, if it can work.

    Raises:
        RouteError: it cannot; says why and what to do.
    """
    for speaks_against in (_against_steps(plan), _against_guards(plan), _against_rest(plan)):
        if speaks_against:
            raise RouteError(f"the rollout of '{plan.route}' cannot start: {speaks_against}")
    return plan


def _against_steps(plan: Plan) -> str:
    steps = plan.steps
    if not steps:
        return "it has no steps; give some, as --steps 1,5,25,50,100"
    if not all(0 < step <= 100 for step in steps):
        return "steps are percent of the traffic, above 0 and at most 100"
    if any(before >= after for before, after in pairwise(steps)):
        return f"steps must rise, and {', '.join(f'{step:g}' for step in steps)} do not"
    return ""


def _against_guards(plan: Plan) -> str:
    names = [guard.name for guard in plan.guards]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        return f"there are two guards for {twice}; keep one of them"
    if "net_win" not in names:
        return "nothing guards the answers; add a guard as 'net_win>=-0.03'"
    return ""


def _against_rest(plan: Plan) -> str:
    if plan.min_pairs < 1:
        return "a step needs at least one pair; give --min-pairs 1 or more"
    if not 0 <= plan.hold_s < float("inf"):
        return "a step cannot last less than no time; give --hold 0s or more"
    if not 0 < plan.compared <= 1:
        return "without requests that both sides answer there are no pairs; compare 1 to 100 %"
    if not 0 < plan.alpha <= 0.5:
        return "alpha, the probability of a wrong end, is above 0 and at most 0.5"
    return ""
