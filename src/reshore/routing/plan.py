"""What is to be done for one request: a policy whose choices have been made.

`decide` resolves a route's policy (sticky splits, complexity rules, pins, the panic switch,
privacy) into one of these trees; `dispatch` carries it out. What is left to `dispatch` is what only
time can tell: errors, lateness, and the quality of an answer. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from reshore.routing.content import Content
from reshore.routing.learned import LearnedRouter
from reshore.types import Decision, Side, Target

# Why another target is tried: any failure of a backend; a time limit; a full queue, 429, 503 or
# no memory; a prompt longer than the context; something the target cannot do or is not there.
Reason = Literal["error", "timeout", "overload", "context", "capability"]
REASONS: tuple[Reason, ...] = ("error", "timeout", "overload", "context", "capability")


class Ask(Struct, frozen=True, kw_only=True, tag=True):
    """Ask one target."""

    target: Target


class FallbackPlan(Struct, frozen=True, kw_only=True, tag=True):
    """One after the other, until one begins to answer.

    `resume`: a stream that breaks off is gone on with by the next one; otherwise the client gets
    an error event.
    """

    plans: tuple[Plan, ...]
    on: frozenset[Reason] = frozenset(REASONS)
    resume: bool = False


class HedgePlan(Struct, frozen=True, kw_only=True, tag=True):
    """The second is started when the first has not begun to answer after `after_ms`; who begins
    first answers, the other is cancelled."""

    first: Plan
    second: Plan
    after_ms: float


class Referee(Struct, frozen=True, kw_only=True):
    """A trained router that reads the local answer too, and what it is asked about.

    Attributes:
        threshold: scores from here on speak against the answer.
    """

    router: LearnedRouter
    asked: Content
    threshold: float


class CascadePlan(Struct, frozen=True, kw_only=True, tag=True):
    """`local` answers, its answer is checked, and `cloud` is asked where a check fails.

    Attributes:
        checks: names of checks, in order (`routing/cascade.py`).
        agree_with: a second local target whose answer must agree, for the check `agreement`; None:
            a second sample of the first.
        min_logprob: least mean log-probability per token, for the check `logprob`.
        budget_ms: how long a streaming client may wait for the side to be decided.
        late: what is done when the budget runs out: keep the local answer if nothing has spoken
            against it so far, or escalate.
        referee: has the last word on an answer that is complete and has passed all checks.
    """

    local: Target
    cloud: Plan
    checks: tuple[str, ...]
    agree_with: Target | None = None
    min_logprob: float = -1.0
    budget_ms: float = 10_000.0
    late: Side = "cloud"
    referee: Referee | None = None


class ShadowPlan(Struct, frozen=True, kw_only=True, tag=True):
    """`primary` answers; afterwards `mirror` gets a copy, whose answer nobody waits for.

    `share` is how likely such a request was to get one, above 0 and at most 1.
    """

    primary: Plan
    mirror: Target
    share: float = 1.0


Plan = Ask | FallbackPlan | HedgePlan | CascadePlan | ShadowPlan


class Ruling(Struct, frozen=True, kw_only=True):
    """What `decide` says: who was chosen and why, and what is to be done."""

    decision: Decision
    plan: Plan


def targets(plan: Plan) -> Iterator[Target]:
    """Every target that the plan may ask, in the order in which they come."""
    match plan:
        case Ask(target=target):
            yield target
        case FallbackPlan(plans=plans):
            for each in plans:
                yield from targets(each)
        case HedgePlan(first=first, second=second):
            yield from targets(first)
            yield from targets(second)
        case CascadePlan(local=local, cloud=cloud, agree_with=other):
            yield local
            if other is not None:
                yield other
            yield from targets(cloud)
        case ShadowPlan(primary=primary, mirror=mirror):
            yield from targets(primary)
            yield mirror
