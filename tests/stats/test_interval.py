"""What an interval says of a margin."""

from __future__ import annotations

import pytest

from reshore.stats.interval import Interval, non_inferior


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.02, 0.05, "passed"),
        (-0.04, 0.05, "open"),
        (-0.09, -0.04, "failed"),
        (-0.03, 0.0, "open"),
        (-0.05, -0.03, "open"),
        (0.01, 0.02, "passed"),
    ],
)
def test_a_margin_is_cleared_only_by_the_whole_interval(low, high, verdict):
    assert non_inferior(Interval(low, high), 0.03) == verdict


def test_an_interval_knows_its_width_and_what_lies_in_it():
    one = Interval(-0.1, 0.25)
    assert one.width == pytest.approx(0.35)
    assert -0.1 in one
    assert 0.3 not in one
    assert str(one) == "[-0.100, 0.250]"
