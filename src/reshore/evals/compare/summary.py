"""Answers become a report: checked, compared and counted. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from reshore.evals.compare.answers import Answer, heard
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.report import (
    ALL,
    Contest,
    Estimate,
    Group,
    Item,
    Report,
    Side,
    Spread,
)
from reshore.evals.compare.verdict import Pair, verdict
from reshore.evals.scoring import STRUCTURAL, Compared, compared, judged
from reshore.stats.interval import Interval
from reshore.stats.order import quantile_interval
from reshore.stats.paired import paired_difference
from reshore.stats.rates import effective_size, mcnemar, wilson

# By the prompt's id and the target.
Answers = Mapping[tuple[str, str], Answer]
Rulings = Mapping[tuple[str, str], Compared]

_NANO = 1e9
# Fewer values have no interval by the normal approximation that means anything.
_FEW = 10


class About(Struct, frozen=True, kw_only=True):
    """How a report came about: see `Report`."""

    made_s: float = 0.0
    source: str = ""
    parameters: Mapping[str, Any] = {}
    judge: str = ""
    check: str = ""


_NOTHING = About()


def summarise(
    prompts: Sequence[Prompt],
    answers: Answers,
    targets: Sequence[str],
    *,
    margin: float,
    rulings: Rulings | None = None,
    about: About = _NOTHING,
) -> Report:
    """Check, compare and count.

    Args:
        answers: prompts that a target has not been asked yet are left out.
        margin: see `verdict`.
        rulings: what somebody else decided; what is not among them, checks decide.
        about: what the report says of itself.
    """
    asked = [
        prompt for prompt in prompts if all((prompt.id, target) in answers for target in targets)
    ]
    items = tuple(_item(prompt, answers, targets, rulings or {}) for prompt in asked)
    names = sorted({item.group for item in items} - {""})
    groups = [_group(ALL, items, targets, margin)]
    for name in names:
        held = tuple(item for item in items if item.group == name)
        groups.append(_group(name, held, targets, margin))
    return Report(
        made_s=about.made_s,
        source=about.source,
        targets=tuple(targets),
        margin=margin,
        parameters=dict(about.parameters),
        judge=about.judge,
        check=about.check,
        missing=len(prompts) - len(items),
        groups=tuple(groups),
        items=items,
    )


def _item(prompt: Prompt, answers: Answers, targets: Sequence[str], rulings: Rulings) -> Item:
    given = tuple(answers[prompt.id, target] for target in targets)
    first, *others = (heard(prompt, answer) for answer in given)
    return Item(
        id=prompt.id,
        prompt=prompt.text,
        body=prompt.body,
        group=prompt.group,
        conversation=prompt.conversation,
        expected=prompt.expected,
        answers=given,
        judged=tuple(judged(each, prompt.expected) for each in (first, *others)),
        compared=tuple(
            rulings.get((prompt.id, target)) or compared(first, other, prompt.expected)
            for target, other in zip(targets[1:], others, strict=True)
        ),
    )


def _group(name: str, items: Sequence[Item], targets: Sequence[str], margin: float) -> Group:
    return Group(
        name=name,
        prompts=len(items),
        sides=tuple(_side(target, place, items) for place, target in enumerate(targets)),
        contests=tuple(
            _contest(target, place, items, margin) for place, target in enumerate(targets[1:])
        ),
    )


def _side(target: str, place: int, items: Sequence[Item]) -> Side:
    given = [(item, item.answers[place]) for item in items]
    fine = [(item, answer) for item, answer in given if not answer.error]
    judged = [item.judged[place] for item in items]
    proving = [item for item in items if item.expected.proves]
    checked = [item.judged[place].good for item in proving]
    tokens = [(item, answer.usage.completion_tokens) for item, answer in fine if answer.usage]
    # Errors may have cost something; where that is not known, it was most likely nothing.
    costs = [(item, answer.nano_usd) for item, answer in given if answer.nano_usd is not None]
    priced = bool(costs) and all(answer.nano_usd is not None for _, answer in fine)
    return Side(
        target=target,
        answers=len(given),
        failed=len(given) - len(fine),
        flawed=sum(each.good is False and each.by in STRUCTURAL for each in judged),
        right=checked.count(True),
        checked=len(checked),
        unknown=checked.count(None),
        quality=_quality(checked, [_cluster(item) for item in proving]),
        ttft_ms=_spread([(item, answer.ttft_ms) for item, answer in fine]),
        total_ms=_spread([(item, answer.total_ms) for item, answer in fine]),
        completion_tokens=_mean(tokens),
        usd_per_1000=_mean([(item, 1000 * cost / _NANO) for item, cost in costs])
        if priced
        else None,
        usd=sum(cost for _, cost in costs) / _NANO if priced else None,
    )


def _quality(checked: Sequence[bool | None], clusters: Sequence[str]) -> Estimate | None:
    if not checked:
        return None
    right = [good is True for good in checked]
    possible = [good is not False for good in checked]
    return Estimate(
        value=sum(right) / len(right),
        low=_rate(right, clusters).low,
        high=_rate(possible, clusters).high,
    )


def _rate(right: Sequence[bool], clusters: Sequence[str]) -> Interval:
    worth = effective_size(right, clusters)
    return wilson(worth * sum(right) / len(right), worth)


def _contest(target: str, place: int, items: Sequence[Item], margin: float) -> Contest:
    found = [item.compared[place] for item in items]
    results = Counter(each.result for each in found)
    pairs = [Pair(value=item.compared[place].value, conversation=_cluster(item)) for item in items]
    return Contest(
        target=target,
        pairs=len(found),
        wins=results["win"],
        ties=results["tie"],
        losses=results["loss"],
        undecided=results["undecided"],
        p=_p(pairs),
        verdict=verdict(pairs, margin),
        by=dict(Counter(each.by for each in found if each.by).most_common()),
    )


def _p(pairs: Sequence[Pair]) -> float:
    sums: Counter[str] = Counter()
    for pair in pairs:
        sums[pair.conversation] += pair.value or 0
    won, lost = (sum(sign * each > 0 for each in sums.values()) for sign in (1, -1))
    return mcnemar(won, lost)


def _cluster(item: Item) -> str:
    """What belongs together: a conversation, or one request under several names, which has one
    answer."""
    return item.conversation or msgspec.json.encode(item.body, order="deterministic").decode()


def _spread(values: Sequence[tuple[Item, float | None]]) -> Spread | None:
    known = [(value, _cluster(item)) for item, value in values if value is not None]
    known.sort()
    if not known:
        return None
    return Spread(p50=_quantile(known, 0.5), p95=_quantile(known, 0.95))


def _quantile(known: Sequence[tuple[float, str]], share: float) -> Estimate:
    """Of values with their clusters, the smallest first."""
    ordered = [value for value, _ in known]
    quantile = ordered[max(0, math.ceil(share * len(ordered)) - 1)]
    below = [value <= quantile for value in ordered]
    worth = effective_size(below, [cluster for _, cluster in known])
    low, high = quantile_interval(ordered, share, worth=worth)
    return Estimate(value=quantile, low=low, high=high)


def _mean(values: Sequence[tuple[Item, float]]) -> Estimate | None:
    """The mean of a value a prompt; prompts of one conversation belong together."""
    if not values:
        return None
    clusters = [_cluster(item) for item, _ in values]
    found = paired_difference([value for _, value in values], clusters)
    if found.clusters < _FEW:
        return Estimate(value=found.mean, low=None, high=None)
    return Estimate(value=found.mean, low=max(0.0, found.interval.low), high=found.interval.high)
