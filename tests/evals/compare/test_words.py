"""Numbers as people read them."""

from __future__ import annotations

import pytest

from reshore.evals.compare import words
from reshore.evals.compare.report import Estimate


@pytest.mark.parametrize(
    ("value", "low", "high", "says"),
    [
        (340, 310, 420, "340 ms (310 to 420)"),
        (900, 850, 1100, "900 ms (850 ms to 1.1 s)"),
        (340, 310, None, "340 ms (310 to ?)"),
        (12_300, None, None, "12.3 s"),
        (0, 0, 0, "0 ms"),
    ],
)
def test_a_unit_is_said_once_where_it_is_one(
    value: float, low: float | None, high: float | None, says: str
) -> None:
    assert words.between(Estimate(value=value, low=low, high=high), words.span) == says


def test_what_has_no_unit_and_what_is_not_there() -> None:
    estimate = Estimate(value=7.44, low=7.0, high=12.0)
    assert words.between(estimate, words.tokens) == "7.4 (7.0 to 12)"
    assert words.alone(estimate, words.tokens) == "7.4"
    assert words.between(None, words.tokens) == words.alone(None, words.tokens) == "-"


@pytest.mark.parametrize(
    ("usd", "says"),
    [(0, "$0.00"), (1234.5, "$1,234.50"), (0.5, "$0.50"), (0.0123, "$0.012"), (2e-5, "$0.000020")],
)
def test_small_amounts_keep_digits_that_say_something(usd: float, says: str) -> None:
    assert words.dollars(usd) == says
