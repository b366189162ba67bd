"""Mean log-probabilities, and what they are worth."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.checks.confidence import (
    UNCALIBRATED,
    Calibration,
    check_logprob,
    mean_logprob,
)
from reshore.types import TokenLogprob
from tests.checks.saying import said


def tokens(*logprobs: float) -> tuple[TokenLogprob, ...]:
    return tuple(TokenLogprob(token="a", logprob=each) for each in logprobs)


@pytest.mark.parametrize(("mean", "ok"), [(-0.5, True), (-1.0, True), (-1.01, False)])
def test_the_mean_must_reach_the_bound(mean: float, ok: bool) -> None:
    assert check_logprob(said("a", logprobs=tokens(*[mean] * 10)), -1.0).ok is ok


def test_too_few_tokens_say_nothing() -> None:
    assert check_logprob(said("a", logprobs=tokens(*[-9.0] * 7)), -1.0).ok is None
    assert check_logprob(said("a"), -1.0).ok is None


def test_what_is_impossible_does_not_make_the_mean_infinite() -> None:
    assert mean_logprob(tokens(*[-math.inf] * 10)) == -100


def test_what_was_not_calibrated_says_so() -> None:
    assert UNCALIBRATED.source.startswith("none")
    assert UNCALIBRATED.estimate(0.0) == 1.0
    assert UNCALIBRATED.estimate(-1.0) == pytest.approx(math.exp(-1), abs=0.01)
    detail = check_logprob(said("a", logprobs=tokens(*[-1.0] * 10)), -1.0).detail
    assert detail == "mean -1.00, about 37%"


def test_a_calibration_is_read_between_its_points() -> None:
    calibration = Calibration(points=((-2.0, 0.2), (-1.0, 0.6), (0.0, 0.9)), source="a test")
    assert calibration.estimate(-9) == 0.2
    assert calibration.estimate(-1.5) == pytest.approx(0.4)
    assert calibration.estimate(5) == 0.9


@pytest.mark.parametrize("points", [(), ((0.0, 1.0),), ((-1.0, 0.5), (0.0, 0.4))])
def test_a_calibration_never_falls(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Calibration(points=points, source="a test")


@given(st.floats(-50, 1), st.floats(-50, 1))
def test_what_is_likelier_is_never_estimated_lower(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert UNCALIBRATED.estimate(low) <= UNCALIBRATED.estimate(high)
