"""Medians, targets and the table of the serving bench."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import TARGETS, figure, quartiles, table

# The keys that the issue asks for, and the real engine's added TTFT beside them.
ASKED = {
    "serve.decode_ratio",
    "serve.prefill_ratio",
    "serve.eight_over_one",
    "serve.added_ttft_ms",
    "serve.added_ttft_real_ms",
    "serve.cpu_ms_per_request",
    "serve.chunk_cpu_ratio",
    "serve.burst_us_per_chunk",
    "serve.rss_mb",
    "serve.ready_s",
    "serve.two_models_ratio",
    "serve.foreign_load_ratio",
    "serve.slot_free_ms",
}


def test_every_figure_of_the_issue_has_a_target():
    assert set(TARGETS) == ASKED


def test_quartiles_of_five_values_are_three_of_them():
    assert quartiles([5, 1, 4, 2, 3]) == (2, 3, 4)


def test_one_value_is_its_own_quartiles():
    assert quartiles([0.7]) == (0.7, 0.7, 0.7)


def test_no_samples_are_an_error_and_not_a_zero():
    with pytest.raises(ValueError, match="nothing was measured"):
        figure("serve.rss_mb", [])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_quartiles_are_ordered_and_within_the_samples(values):
    low, median, high = quartiles(values)
    slack = 1e-6
    assert min(values) - slack <= low <= median + slack
    assert median - slack <= high <= max(values) + slack


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("serve.decode_ratio", 0.97, True),
        ("serve.decode_ratio", 0.969, False),
        ("serve.rss_mb", 120.0, True),
        ("serve.rss_mb", 120.1, False),
    ],
)
def test_a_target_is_met_up_to_and_including_its_number(name, value, met):
    assert figure(name, [value]).met is met


def test_a_figure_without_a_target_is_neither_met_nor_missed():
    one = figure("serve.chunk_us", [30.0])
    assert one.met is None
    assert one.as_json()["target"] is None


def test_a_figure_is_reported_with_all_its_samples():
    shown = figure("serve.ready_s", [0.9, 0.7, 0.8]).as_json()
    assert shown["samples"] == (0.9, 0.7, 0.8)
    assert shown["median"] == 0.8
    assert (shown["target"], shown["met"]) == ("<= 1.5", True)


def test_the_table_has_the_issues_order_and_shows_what_is_missed():
    text = table(
        [
            figure("serve.extra", [1234.5]),
            figure("serve.rss_mb", [130.0]),
            figure("serve.decode_ratio", [0.98]),
        ]
    )
    _, _, decode, rss, extra = text.splitlines()
    assert "`serve.decode_ratio`" in decode
    assert decode.endswith("| >= 0.97 | yes |")
    assert rss.endswith("| <= 120 | **no** |")
    assert "1234" in extra
    assert extra.endswith("|  |  |")
