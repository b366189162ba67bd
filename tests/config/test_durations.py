"""Spans of time: seconds, or Go's durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import Seconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        (5, 5),
        (2.5, 2.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("-1", -1),
        ("-1m", -60),
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("0", 0),
    ],
)
def test_durations_are_seconds_or_go_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 m", "m", "1d", "5m3", True, None, [], "--1s"])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"duration"):
        parse_duration(text)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_of_seconds_survives(value: float) -> None:
    assert parse_duration(str(value)) == Seconds(value)
