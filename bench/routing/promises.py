"""Whether calibrated thresholds keep their promise on prompts that nobody has seen."""

from __future__ import annotations

from msgspec import Struct

from bench.labels import Labelled
from bench.routing.sets import SEEDS, trials
from reshore.evals.calibration import parse_goal
from reshore.evals.learn import learn
from reshore.routing.content import Content, Turn
from reshore.routing.learned import LearnedRouter

_GOALS = ("quality>=95%", "cloud<=20%")


class Promise(Struct, frozen=True, kw_only=True):
    """One goal on one split. Shares of the prompts that are like the training.

    Attributes:
        threshold: chosen on pairs that were held back.
        cloud: share of the test that went to the strong model.
        quality: of what was answered, in relation to the strong model alone.
        outside: share of the whole test that the rules decided instead.
    """

    goal: str
    confidence: float
    threshold: float
    cloud: float
    quality: float
    outside: float


async def promises(train: Labelled, test: Labelled | None, labels: int) -> list[Promise]:
    """Every goal, for every seed; empty where there are not enough labels."""
    if any(len(trial.train) < labels for trial in trials(train, test, labels, seed=0)):
        return []
    return [await _promise(train, test, labels, goal, seed) for goal in _GOALS for seed in SEEDS]


async def _promise(
    train: Labelled, test: Labelled | None, labels: int, text: str, seed: int
) -> Promise:
    (trial,) = trials(train, test, labels, seed)
    goal = parse_goal(text)
    router = LearnedRouter(await learn(trial.train, goal=goal))
    asked = test or train
    cloud = local = routed = strong = 0
    for at in trial.test:
        judged = router.judge(Content(turns=(Turn("user", asked.prompts[at]),)))
        if judged.outside:
            continue
        is_cloud = judged.score >= router.threshold
        cloud += is_cloud
        local += not is_cloud
        routed += asked.strong[at] if is_cloud else asked.weak[at]
        strong += asked.strong[at]
    return Promise(
        goal=str(goal),
        confidence=goal.confidence,
        threshold=router.threshold,
        cloud=cloud / (cloud + local),
        quality=routed / strong,
        outside=1 - (cloud + local) / len(trial.test),
    )
