"""Names, percentiles and tables of the gateway's bench."""

from __future__ import annotations

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gateway.__main__ import _peers, figures_of, report
from bench.gateway.figures import ASKED, PEERS, TARGETS, asked, comparison, name_of, percentile
from bench.stats import figure

# The keys that the issue asks for.
ISSUE = (
    "gateway.cpu_ms_per_request",
    "gateway.chunk_cpu_ratio",
    "gateway.burst_us_per_chunk",
    "gateway.added_p50_ms",
    "gateway.rss_mb",
    "gateway.rollback_ms",
    "gateway.shadow_p50_ratio",
)


def test_the_issues_figures_are_reported_for_us_and_for_each_peer():
    names = set(asked([]))
    assert names.issuperset(ISSUE)
    for peer in PEERS:
        assert names.issuperset(f"{peer}.{name}" for name in ISSUE)
    assert {name_of("gateway", one) for one in ASKED} == set(ISSUE)


def test_what_was_not_measured_is_null_and_not_zero():
    found = asked([figure("gateway.rss_mb", [90.0], targets=TARGETS)])
    assert found["gateway.rss_mb"] == 90.0
    assert found["litellm.gateway.rss_mb"] is None


def test_every_figure_of_the_issue_has_a_target():
    assert set(TARGETS).issuperset(ISSUE)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_are_values_that_were_measured(share, value):
    assert percentile(list(range(100, 0, -1)), share) == value


def test_a_percentile_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_so_many_values_are_not_above_a_percentile(values, share):
    found = percentile(values, share)
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert found in values


def test_everybody_stands_side_by_side_and_who_is_missing_shows():
    text = comparison({"gateway.rps_1": [1500.0], "litellm.gateway.rps_1": [40.0, 44.0]})
    titles, _, first, *rest = text.splitlines()
    assert titles == "| | direct | pass_through | gateway | litellm | portkey |"
    assert first == "| requests/s, 1 connection | – | – | 1500 | 42.0 | – |"
    assert all(row.endswith("| – | – | – | – | – |") for row in rest)


def test_the_report_says_what_is_missed_and_who_failed_at_what():
    known = figures_of({"gateway.rollback_ms": [120.0], "gateway.rss_mb": [80.0], "x": []})
    told = report(known, {"portkey: streams": "status 500"}, {"cores": 2})
    assert told["missed"] == ["gateway.rollback_ms"]
    assert told["failures"] == {"portkey: streams": "status 500"}
    assert told["detail"]["gateway.rss_mb"]["target"] == "<= 120"
    assert told["machine"] == {"cores": 2}


@pytest.mark.parametrize(
    ("text", "names"), [("none", []), ("litellm", ["litellm"]), ("portkey,litellm", list(PEERS))]
)
def test_peers_are_chosen_by_name(text, names):
    assert sorted(_peers(text)) == names


def test_an_unknown_peer_is_told():
    with pytest.raises(argparse.ArgumentTypeError, match="no such peer: kong"):
        _peers("kong")
