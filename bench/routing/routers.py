"""Every router as scores of prompts; all scoring is the product's."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from bench.labels import Labelled
from bench.routing.sets import SEEDS, Trial, part, trials, weak_answers
from reshore.checks.answers import judge
from reshore.checks.check import Said
from reshore.errors import LearnError
from reshore.evals.learn import LEAST_PAIRS, learn
from reshore.routing.complexity import Rules
from reshore.routing.content import Content, Turn
from reshore.routing.learned import Judged, LearnedRouter, Reads
from reshore.routing.policy import DEFAULT_CHECKS
from reshore.types import ChatRequest


class Scored(NamedTuple):
    """The scores of one split, and the lines they belong to. `outside`: left to the rules."""

    labelled: Labelled
    scores: list[float]
    outside: float | None = None


def by_chance(labelled: Labelled) -> list[Scored]:
    """A coin, twenty times."""
    return [
        Scored(labelled, [source.random() for _ in labelled.prompts])
        for source in map(random.Random, range(20))
    ]


def by_length(labelled: Labelled) -> list[Scored]:
    """Longer prompts first."""
    return [Scored(labelled, [float(len(prompt)) for prompt in labelled.prompts])]


def by_rules(labelled: Labelled) -> list[Scored]:
    """What `hybrid` goes by without training."""
    rules = Rules()
    return [
        Scored(labelled, [rules.explain(_content(prompt)).score for prompt in labelled.prompts])
    ]


async def learned(
    train: Labelled,
    test: Labelled | None,
    *,
    reads: Reads = "prompt",
    labels: int | None = None,
) -> list[Scored]:
    """The learned router, for every seed; empty where there are not enough labels.

    Raises:
        LearnError: it is to read answers, and what is asked has none.
    """
    if any(
        len(trial.train) < (labels or LEAST_PAIRS) for trial in trials(train, test, labels, seed=0)
    ):
        return []
    gate = asyncio.Semaphore(2)
    asked = test or train
    answers = _answers(asked) if reads == "answer" else [None] * len(asked.prompts)

    async def split(seed: int) -> Scored:
        found: dict[int, tuple[float, bool]] = {}
        for trial in trials(train, test, labels, seed):
            async with gate:
                found |= await _asked(trial, asked, reads, answers)
        lines = sorted(found)
        outside = sum(found[at][1] for at in lines) / len(lines)
        return Scored(part(asked, lines), [found[at][0] for at in lines], outside)

    # All of a training set of its own is always the same one.
    seeds = SEEDS if test is None or labels is not None else SEEDS[:1]
    return list(await asyncio.gather(*map(split, seeds)))


def _answers(asked: Labelled) -> Sequence[str]:
    found = weak_answers(asked)
    if found is None:
        raise LearnError(
            f"{asked.name}: the lines to learn from have the answers of {asked.weak_model}, those "
            "that are asked have none: add them there, or leave them out of both."
        )
    return found


async def _asked(
    trial: Trial, test: Labelled, reads: Reads, answers: Sequence[str | None]
) -> dict[int, tuple[float, bool]]:
    """The rank that a router, trained on one part, gives the other, and what is outside."""
    router = LearnedRouter(await learn(trial.train, reads=reads))
    found = {}
    for at in trial.test:
        judged = router.judge(_content(test.prompts[at]), answers[at])
        found[at] = rank(judged, answers[at]), judged.outside
    return found


def rank(judged: Judged, answer: str | None) -> float:
    """The higher, the sooner to the strong model; with the weak one's answer, as in a cascade.

    There what fails a check goes to the strong model and what is unlike the training does not,
    whatever the threshold. Before the answer the rules decide on the latter, by a threshold of
    their own, which has no place in this order.
    """
    if answer is None:
        return judged.gain
    if _fails(answer):
        return math.inf
    return -math.inf if judged.outside else judged.gain


def _fails(answer: str) -> bool:
    said = Said(request=ChatRequest(model="", messages=()), text=answer)
    checks = (judge(name, said, min_logprob=-math.inf) for name in DEFAULT_CHECKS)
    return any(check.ok is False for check in checks)


def _content(prompt: str) -> Content:
    return Content(turns=(Turn("user", prompt),))
