"""What is known of a rollout's guards."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from reshore.routing.watches import ErrorWatch, LatencyWatch, PairWatch


def test_pairs_that_nobody_could_decide_count_for_nothing():
    watch, same = PairWatch.against(-0.03), PairWatch.against(-0.03)
    for verdict in ("win", "undecided", "loss", "undecided", "undecided"):
        watch.pair(verdict)
    for verdict in ("win", "loss"):
        same.pair(verdict)
    assert watch.undecided == 3
    assert watch.pairs == 2
    readings = [
        one.reading("net_win>=-0.03", promote=0.01, roll_back=0.01) for one in (watch, same)
    ]
    assert readings[0] == readings[1]


def test_a_reading_s_bounds_agree_with_what_is_certain():
    watch, draw = PairWatch.against(-0.03), random.Random(1)
    for _ in range(4000):
        watch.pair(draw.choices(("win", "tie", "loss"), (0.11, 0.8, 0.09))[0])
        reading = (
            watch.reading("g", promote=0.01, roll_back=0.003) if watch.pairs % 50 == 0 else None
        )
        if reading:
            assert reading.kept == (reading.low > -0.03)
            assert not reading.broken
            assert reading.low <= reading.estimate <= reading.high
    assert watch.better.certain(0.01)


def test_before_any_pair_there_is_no_estimate():
    reading = PairWatch.against(0.0).reading("net_win>=0", promote=0.01, roll_back=0.01)
    assert (reading.estimate, reading.low, reading.high) == (None, -1, 1)
    assert str(reading) == "net_win>=0: not known yet"


def test_a_few_pairs_that_are_all_alike_are_no_end_in_sight_yet():
    watch = PairWatch.against(-0.03)
    for _ in range(5):
        watch.pair("tie")
    assert 100 < watch.to_go(0.01) < math.inf


def test_error_rates_are_compared_in_blocks_that_both_sides_were_heard_in():
    watch = ErrorWatch.against(0.01)
    for new, failed in ((True, True), (True, False), (False, False), (False, True)):
        watch.request(new=new, failed=failed)
    assert watch.wager.values == 1  # (1 + 0) / 2 - 0; the last one waits for the new side
    assert watch.block_failed == [0, 1]
    assert watch.estimate == 0.0
    watch.request(new=True, failed=True)
    assert watch.wager.values == 2
    assert (watch.requests, watch.failed) == ([3, 2], [2, 1])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_equal_error_rates_break_nothing_whatever_the_split(share):
    draw, broken = random.Random(2), 0
    for _ in range(60):
        watch = ErrorWatch.against(0.0)
        for _ in range(1500):
            watch.request(new=draw.random() < share, failed=draw.random() < 0.1)
            if watch.wager.certain(0.1):
                broken += 1
                break
    assert broken / 60 <= 0.1 + 2 * math.sqrt(0.09 / 60)


def test_a_much_higher_error_rate_is_found_in_the_first_percent():
    watch, draw, requests = ErrorWatch.against(0.01), random.Random(3), 0
    while not watch.wager.certain(0.05 / 15):
        requests += 1
        new = draw.random() < 0.05
        watch.request(new=new, failed=draw.random() < (0.5 if new else 0.01))
    assert watch.requests[0] < 40
    assert watch.reading("error_rate<=+0.01", roll_back=0.05 / 15).broken


def test_one_side_alone_says_nothing_of_errors():
    watch = ErrorWatch.against(0.01)
    for _ in range(100):
        watch.request(new=True, failed=True)
    assert watch.estimate is None
    assert watch.wager.values == 0


def heard(watch, draw, requests, slower):
    for _ in range(requests):
        watch.request(draw.lognormvariate(5, 0.5), new=False, alpha=0.025)
        watch.request(draw.lognormvariate(5, 0.5) * slower, new=True, alpha=0.025)


def test_latency_at_its_limit_is_not_broken():
    draw = random.Random(4)
    for _ in range(30):
        watch = LatencyWatch.against(1.2, 0.95)
        heard(watch, draw, 600, 1.2)
        assert not watch.wager.certain(0.01)


def test_latency_beyond_its_limit_is_found():
    watch = LatencyWatch.against(1.2, 0.95)
    heard(watch, random.Random(5), 1000, 2.0)
    reading = watch.reading("ttft_p95<=1.2x", roll_back=0.01)
    assert reading.broken
    assert reading.estimate == pytest.approx(2.0, rel=0.15)


def test_without_a_bound_of_the_other_side_nothing_is_late():
    watch = LatencyWatch.against(1.2, 0.95)
    for _ in range(50):
        watch.request(1e6, new=True, alpha=0.025)
    for _ in range(20):
        watch.request(1.0, new=False, alpha=0.025)
        watch.request(1e6, new=True, alpha=0.025)
    assert watch.wager.values == 0
    assert watch.bar_ms is None


def test_a_new_step_keeps_the_other_side_and_nothing_else():
    watch = LatencyWatch.against(1.2, 0.95)
    heard(watch, random.Random(6), 300, 3.0)
    after = LatencyWatch.against(1.2, 0.95, watch.other)
    assert after.estimate is None
    assert after.other.values == 300
    assert after.wager.values == 0


@pytest.mark.parametrize(
    "watch",
    [PairWatch.against(-0.1), ErrorWatch.against(0.1), LatencyWatch.against(1.5, 0.5)],
    ids=lambda watch: type(watch).__name__,
)
def test_a_watch_is_the_same_after_it_was_written_and_read(watch):
    if isinstance(watch, LatencyWatch):
        heard(watch, random.Random(7), 100, 1.1)
    assert msgspec.json.decode(msgspec.json.encode(watch), type=type(watch)) == watch
