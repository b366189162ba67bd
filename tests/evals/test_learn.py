"""Training in a process of its own: what is learned, and what is refused."""

from __future__ import annotations

import random
import time

import pytest

from reshore.errors import LearnError
from reshore.evals import learn as learning
from reshore.evals.calibration import parse_goal
from reshore.evals.learn import learn
from reshore.evals.pairs import Pair
from reshore.routing.content import Content, Turn
from reshore.routing.learned import LearnedRouter

EASY = ("What is the capital of", "Name a river in", "Which language is spoken in")
HARD = ("Prove the theorem about", "Derive the formula of", "Solve the equation for")
THINGS = ("France", "Peru", "Japan", "Kenya", "Norway", "Cuba", "Oman", "Chile")


def pairs(count: int, seed: int = 0) -> list[Pair]:
    """The strong side gains on what is hard; the weak side's answer tells when it went wrong."""
    source = random.Random(seed)
    found = []
    for at in range(count):
        hard = source.random() < 0.5
        right = source.random() < (0.3 if hard else 0.9)
        prompt = f"{source.choice(HARD if hard else EASY)} {source.choice(THINGS)} {at % 17}?"
        answer = f"4 + 4 = {8 if right else 9}"
        found.append(
            Pair(
                prompt=prompt,
                weak=float(right),
                strong=float(source.random() < 0.9),
                answer=answer,
                key=prompt,
                group="hard" if hard else "easy",
            )
        )
    return found


def content(text: str) -> Content:
    return Content(turns=(Turn("user", text),))


async def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(LearnError, match=r"cannot learn from 3 pairs; collect at least 100"):
        await learn(pairs(3))


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "find_spec", lambda name: None)
    with pytest.raises(LearnError, match=r"pip install 'reshore\[learn\]'"):
        await learn(pairs(100))


@pytest.mark.slow
async def test_what_gains_scores_higher() -> None:
    router = LearnedRouter(await learn(pairs(400)))
    hard = router.judge(content("Prove the theorem about Chile 3?"))
    easy = router.judge(content("Name a river in Cuba 4?"))
    assert hard.gain > easy.gain + 0.2
    assert hard.score > 0.5 > easy.score
    alike = [router.judge(content(pair.prompt)).outside for pair in pairs(100, seed=3)]
    assert sum(alike) < 15
    assert router.judge(content("Schreib mir ein Gedicht über den Herbst")).outside


@pytest.mark.slow
async def test_a_model_that_reads_answers_knows_wrong_ones() -> None:
    router = LearnedRouter(await learn(pairs(400), reads="answer"))
    asked = content("Name a river in Cuba 4?")
    assert router.judge(asked, "4 + 4 = 9").gain > router.judge(asked, "4 + 4 = 8").gain + 0.3


@pytest.mark.slow
async def test_a_goal_sets_the_threshold_on_pairs_that_were_held_back() -> None:
    model = await learn(pairs(2000), goal=parse_goal("cloud<=40%"))
    assert model.calibration is not None
    assert 0 < model.calibration.cloud < 0.4
    assert model.pairs + model.calibration.pairs <= 2000
    assert LearnedRouter(model).threshold == model.calibration.threshold


@pytest.mark.slow
async def test_a_failed_training_says_what_the_process_said() -> None:
    nothing = [Pair(prompt="", weak=0.0, strong=1.0)] * 100
    with pytest.raises(LearnError, match=r"on 100 pairs failed: .*vocabulary"):
        await learn(nothing)


@pytest.mark.slow
async def test_a_decision_takes_less_than_a_millisecond() -> None:
    """At 2,000 characters; the best of many, for the machine may be busy."""
    router = LearnedRouter(await learn(pairs(400)))
    prompt = " ".join(pair.prompt for pair in pairs(100, seed=2))[:2000]
    asked = content(prompt)
    took = []
    for _ in range(50):
        begun = time.perf_counter()
        router.judge(asked)
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.001
