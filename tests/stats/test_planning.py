"""How many pairs it takes, and how long."""

from __future__ import annotations

import math
import random

import pytest

from reshore.stats.planning import anytime_pairs, hours, hours_text, required_pairs


@pytest.mark.parametrize(
    ("margin", "least", "most"),
    [(0.03, 1_350, 1_750), (0.05, 480, 630)],
)
def test_the_sample_sizes_of_the_literature_are_found_again(margin, least, most):
    """Discordance 20 %, 80 % power: 1,400-1,750 pairs at 3 points, 500-630 at 5."""
    assert least <= required_pairs(0.2, margin) <= most


def test_a_sample_of_that_size_has_the_power_that_was_planned():
    pairs = required_pairs(0.2, 0.05, alpha=0.05, power=0.8)
    draw, passed = random.Random(3), 0
    for _ in range(400):
        values = draw.choices((1, 0, -1), (0.1, 0.8, 0.1), k=pairs)
        mean = sum(values) / pairs
        error = math.sqrt((sum(v * v for v in values) / pairs - mean * mean) / pairs)
        passed += mean - 1.6448536 * error > -0.05
    assert passed / 400 == pytest.approx(0.8, abs=0.06)


def test_looking_at_any_time_costs_more_and_a_better_side_takes_fewer():
    fixed = required_pairs(0.2, 0.03, power=0.5)
    assert 1.2 * fixed < anytime_pairs(0.2, 0.03)
    assert anytime_pairs(0.2, 0.03, difference=0.05) < anytime_pairs(0.2, 0.03) / 3


@pytest.mark.parametrize(
    ("discordance", "margin", "difference"), [(0.2, 0.03, -0.03), (0.0, 0.1, 0.0), (0.1, 0.1, 0.2)]
)
def test_what_no_sample_can_show_is_refused(discordance, margin, difference):
    with pytest.raises(ValueError, match=r"possible|no sample"):
        required_pairs(discordance, margin, difference=difference)


def test_hours_are_those_at_the_traffic_there_is():
    assert hours(1200, 60) == 20
    assert hours(5, 0) == math.inf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "4 s"),
        (0.02, "2 min"),
        (0.5, "30 min"),
        (6.2, "6 h"),
        (100, "4 days"),
        (math.inf, "no end"),
    ],
)
def test_times_are_said_as_people_do(value, text):
    assert hours_text(value).startswith(text)
