"""What routers would have done with requests whose both answers are known. Pure.

They are asked exactly as a request of today would be (`routing/planning.py`,
`routing/cascade.py`), their rules for what is unlike the training included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reshore.errors import LearnError
from reshore.evals.gathering import Example
from reshore.routing.complexity import Rules
from reshore.routing.learned import LearnedRouter
from reshore.routing.policy import (
    RULES_THRESHOLD,
    Cascade,
    Cloud,
    Hybrid,
    Local,
    Policy,
    Shadow,
)

# Whether a request is answered by the cloud.
Choice = Callable[[Example], bool]


def always(cloud: bool) -> Choice:
    """One side, whatever is asked."""
    return lambda example: cloud


def by_rules(threshold: float = RULES_THRESHOLD) -> Choice:
    """`hybrid` without a trained router."""
    rules = Rules()
    return lambda example: rules.explain(example.content).score >= threshold


def by_router(router: LearnedRouter, threshold: float | None = None) -> Choice:
    """`hybrid(by=…)`; of one that reads answers, its word in a `cascade`.

    The checks of the cascade, which come before it, are not asked again: what fails one of them
    goes to the cloud, too.

    Args:
        threshold: None for the router's own.
    """
    limit = router.threshold if threshold is None else threshold

    def prompt(example: Example) -> bool:
        found = router.explain(example.content)
        return found.score >= (RULES_THRESHOLD if found.outside else limit)

    def answer(example: Example) -> bool:
        judged = router.judge(example.content, example.pair.answer)
        return not judged.outside and judged.score >= limit

    return prompt if router.model.reads == "prompt" else answer


def outside(router: LearnedRouter, examples: Sequence[Example]) -> float:
    """Share of the requests that are too unlike its training for it to judge; 0 of none."""
    strange = sum(router.judge(one.content, one.pair.answer).outside for one in examples)
    return strange / len(examples) if examples else 0.0


def by_policy(policy: Policy, trained: Callable[[str], LearnedRouter]) -> Choice | None:
    """What a route does; None where that cannot be told from the request alone.

    A router that cannot be read is replaced by the rules, as a server does it.
    """
    match policy:
        case Shadow(primary=primary):
            return by_policy(primary, trained)
        case Local() | Cloud():
            return always(isinstance(policy, Cloud))
        case Hybrid(by="", threshold=threshold):
            return by_rules(RULES_THRESHOLD if threshold is None else threshold)
        case Hybrid(by=name, threshold=threshold):
            try:
                return by_router(trained(name), threshold)
            except LearnError:
                return by_rules()
        case Cascade(by=name, threshold=threshold) if name:
            try:
                return by_router(trained(name), threshold)
            except LearnError:
                return None
        case _:
            return None
