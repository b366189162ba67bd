"""A learned router: what it says follows from its model, and it knows where it knows nothing."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from reshore.routing.complexity import Rules
from reshore.routing.content import Content, Turn
from reshore.routing.learned import Calibration, LearnedModel, LearnedRouter, Sign, Term

RARE = 4.0


def model(**changes: Any) -> LearnedModel:
    plain: dict[str, Any] = {
        "pairs": 200,
        "bias": 0.1,
        "rare": RARE,
        "likeness": 0.2,
        "terms": {"prove": Term(2.0, 0.3, 0.6), "it": Term(1.0, -0.2, 0.8)},
        "signs": (),
        "levels": (-0.5, 0.0, 0.5),
    }
    return LearnedModel(**plain | changes)


def content(text: str) -> Content:
    return Content(turns=(Turn("user", text),))


def test_the_gain_is_the_sum_over_the_normalised_words() -> None:
    said = LearnedRouter(model()).judge(content("Prove IT"))
    length = math.sqrt(2.0**2 + 1.0**2)
    assert said.gain == pytest.approx(0.1 + (2.0 * 0.3 - 1.0 * 0.2) / length)
    # The pair "prove it" is unknown, and makes the prompt less like the others.
    whole = math.sqrt(2.0**2 + 1.0**2 + RARE**2)
    assert said.likeness == pytest.approx((2.0 * 0.6 + 1.0 * 0.8) / whole)


def test_signs_are_standardised() -> None:
    sign = Sign(name="length", mean=math.log1p(3), spread=2.0, weight=0.5)
    said = LearnedRouter(model(signs=(sign,), terms={})).judge(content("it, prove"))
    assert said.gain == pytest.approx(0.1 + (math.log1p(9) - math.log1p(3)) / 2 * 0.5)
    assert [part.feature for part in said.parts] == ["length"]


def test_a_sign_that_a_prompt_does_not_have_is_zero() -> None:
    sign = Sign(name="code", mean=0.2, spread=1.0, weight=1.0)
    said = LearnedRouter(model(signs=(sign,))).judge(content("it"))
    assert said.parts[0].points == pytest.approx(-0.2)


def test_an_answer_counts_for_models_that_read_it_alone() -> None:
    sign = Sign(name="answer wrong statements", mean=0.0, spread=1.0, weight=1.0)
    wrong = "2 + 2 = 5"
    reads = LearnedRouter(model(signs=(sign,), reads="answer"))
    assert reads.judge(content("it"), wrong).gain > reads.judge(content("it"), "2 + 2 = 4").gain
    prompt = LearnedRouter(model(signs=(sign,)))
    assert prompt.judge(content("it"), wrong).gain == prompt.judge(content("it")).gain


@pytest.mark.parametrize(
    ("bias", "score"), [(-2.0, 0.0), (-0.5, 0.0), (-0.25, 0.25), (0.0, 0.5), (0.5, 1.0), (2.0, 1.0)]
)
def test_the_score_is_the_share_of_the_traffic_that_gains_less(bias: float, score: float) -> None:
    assert LearnedRouter(model(bias=bias, terms={})).judge(content("x")).score == score


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_gain_never_has_a_lower_score(one: float, other: float) -> None:
    low, high = (
        LearnedRouter(model(bias=bias, terms={})).judge(content("x")).score
        for bias in sorted((one, other))
    )
    assert low <= high


def test_what_is_unlike_the_training_goes_by_the_rules_and_says_so() -> None:
    asked = content("Übersetze das Gedicht, bitte!")
    router = LearnedRouter(model())
    said = router.explain(asked)
    assert said.outside
    assert said.score == Rules().explain(asked).score
    assert said.why().startswith("unlike the training, so by rules")
    assert not router.explain(content("it")).outside


def test_reasons_hold_no_words_of_the_prompt() -> None:
    said = LearnedRouter(model()).explain(content("it"))
    assert said.why() == "wording"


def test_the_threshold_is_the_calibrated_one() -> None:
    calibration = Calibration(
        target="cloud<=20%", threshold=0.8, confidence=0.95, pairs=9, cloud=0.1, quality=0.9
    )
    assert LearnedRouter(model(calibration=calibration)).threshold == 0.8
    assert LearnedRouter(model()).threshold == 0.5


def test_a_model_survives_its_file() -> None:
    written = msgspec.json.encode(model())
    assert msgspec.json.decode(written, type=LearnedModel) == model()


def test_an_empty_prompt_is_outside() -> None:
    said = LearnedRouter(structs.replace(model(), terms={})).judge(content(""))
    assert said.outside
    assert said.likeness == 0
