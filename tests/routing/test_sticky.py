"""Splits keep clients where they are."""

from hypothesis import given
from hypothesis import strategies as st

from reshore.routing.sticky import Place, place, point

points = st.floats(0, 1, exclude_max=True)
weights = st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any)


@given(st.text(), st.binary())
def test_a_key_falls_into_the_unit_interval_and_always_there(salt: str, key: bytes) -> None:
    at = point(salt, key)
    assert 0 <= at < 1
    assert point(salt, key) == at


def test_points_stay_where_they_were_in_earlier_releases() -> None:
    assert point("gpt-4o-mini", b"user-1") == 0.20816976506193663


@given(st.integers(0, 100), st.integers(0, 100), points)
def test_a_raised_share_moves_only_the_keys_of_the_raise(low: int, high: int, at: float) -> None:
    low, high = sorted((low, high))
    before, after = (place([share, 100 - share], at).index for share in (low, high))
    moved = low / 100 <= at < high / 100
    assert (before, after) == ((1, 0) if moved else (before, before))


@given(weights, points)
def test_the_chosen_side_has_weight_and_holds_the_point(weights: list[int], at: float) -> None:
    chosen = place(weights, at)
    assert weights[chosen.index] > 0
    assert chosen.low - 1e-9 <= 100 * at <= chosen.high + 1e-9


def test_intervals_follow_one_another() -> None:
    assert [place([1, 0, 3], at) for at in (0.0, 0.2499, 0.25, 0.999)] == [
        Place(0, 0, 25),
        Place(0, 0, 25),
        Place(2, 25, 100),
        Place(2, 25, 100),
    ]


def test_what_rounding_puts_at_the_very_end_is_on_the_last_side_with_weight() -> None:
    assert place([1, 1, 0], 1.0) == Place(1, 50, 100)


def test_keys_spread_evenly_and_salts_differ() -> None:
    here = [point("a", str(i).encode()) < 0.3 for i in range(5000)]
    there = [point("b", str(i).encode()) < 0.3 for i in range(5000)]
    assert 0.28 < sum(here) / 5000 < 0.32
    both = sum(one and other for one, other in zip(here, there, strict=True)) / 5000
    assert 0.075 < both < 0.105  # independent: 0.09


def test_a_salt_may_be_any_text() -> None:
    assert 0 <= point("\ud800", b"") < 1
