"""Guards of a rollout as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import RouteError
from reshore.routing.guards import DEFAULT_GUARDS, Guard, parse_guard


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        ("net_win>=-0.03", Guard(metric="net_win", limit=-0.03)),
        (" net_win >= +.1 ", Guard(metric="net_win", limit=0.1)),
        ("error_rate<=+0.01", Guard(metric="error_rate", limit=0.01)),
        ("error_rate<=0", Guard(metric="error_rate", limit=0)),
        ("error_rate<=+1%", Guard(metric="error_rate", limit=0.01)),
        ("ttft_p95<=1.2x", Guard(metric="ttft", limit=1.2, percentile=95)),
        ("ttft_p50 <= 2x", Guard(metric="ttft", limit=2, percentile=50)),
    ],
)
def test_guards_are_read(text, guard):
    assert parse_guard(text) == guard


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "METRIC<=LIMIT"),
        ("be good", "METRIC<=LIMIT"),
        ("net_win<=0.03", "lower limit"),
        ("net_win>=-3%", "lower limit"),
        ("net_win>=-3", "between -1 and 1"),
        ("net_win>=-1", "between -1 and 1"),
        ("error_rate>=0.01", "at most so much above"),
        ("error_rate<=1.2x", "at most so much above"),
        ("error_rate<=-0.01", "0 or more"),
        ("error_rate<=100%", "less than 1"),
        ("ttft_p95<=300", "so many times"),
        ("ttft_p95>=1.2x", "so many times"),
        ("ttft_p95<=0.9x", "1x or more"),
        ("ttft<=1.2x", "percentile from 1 to 99"),
        ("ttft_p100<=1.2x", "percentile from 1 to 99"),
        ("netwin>=-0.03", "did you mean 'net_win'"),
        ("error_rat<=0.01", "did you mean 'error_rate'"),
        ("error_rate_p95<=0.01", "did you mean 'error_rate'"),
        ("happiness>=1", "write one like"),
    ],
)
def test_what_is_no_guard_is_refused_with_what_to_write(text, says):
    with pytest.raises(RouteError) as raised:
        parse_guard(text)
    assert f"the guard '{text}' cannot be used" in str(raised.value)
    assert says in str(raised.value)


GUARDS = st.one_of(
    st.builds(Guard, metric=st.just("net_win"), limit=st.integers(-99, 99).map(lambda n: n / 100)),
    st.builds(Guard, metric=st.just("error_rate"), limit=st.integers(0, 99).map(lambda n: n / 100)),
    st.builds(
        Guard,
        metric=st.just("ttft"),
        limit=st.integers(10, 99).map(lambda n: n / 10),
        percentile=st.integers(1, 99),
    ),
)


@given(GUARDS)
def test_what_is_written_reads_back_as_the_same(guard):
    assert parse_guard(str(guard)) == guard


@given(st.text(max_size=30))
def test_any_text_is_a_guard_or_a_route_error(text):
    try:
        guard = parse_guard(text)
    except RouteError:
        return
    assert parse_guard(str(guard)) == guard


def test_the_defaults_are_written_as_the_documentation_has_them():
    assert [*map(str, DEFAULT_GUARDS)] == ["error_rate<=+0.01", "ttft_p95<=1.2x", "net_win>=-0.03"]
