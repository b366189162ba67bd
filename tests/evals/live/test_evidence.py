"""What is known of a route, from its pairs and its requests."""

from __future__ import annotations

import msgspec
import pytest

from reshore.evals.live.evidence import Evidence, SideWatch, watching
from reshore.evals.live.standing import standing
from tests.evals.live.made import CLOUD, LOCAL, OTHER, attempt, paired


def evidence() -> Evidence:
    return Evidence(route="gpt-4o", local=LOCAL, cloud=CLOUD, since_s=1.0, changed_s=1.0)


def test_pairs_are_counted_by_verdict_and_by_what_decided() -> None:
    known = evidence()
    for verdict, by in (("win", "json"), ("loss", "finish"), ("loss", "finish"), ("tie", "judge")):
        assert known.pair(paired(verdict=verdict, by=by))
    assert (known.wins, known.ties, known.losses, known.decided) == (1, 1, 2, 4)
    assert known.by == {"json": 1, "finish": 2, "judge": 1}
    assert known.net_win == -0.25


def test_further_pairs_of_a_conversation_do_not_count() -> None:
    known = evidence()
    assert known.pair(paired(verdict="loss", conversation="c"))
    assert not known.pair(paired(verdict="win", conversation="c"))
    assert (known.wins, known.losses, known.repeated) == (0, 1, 1)


def test_an_undecided_pair_counts_for_nothing_and_uses_no_conversation_up() -> None:
    known = evidence()
    assert not known.pair(paired(verdict="undecided", conversation="c"))
    assert known.pair(paired(verdict="win", conversation="c"))
    assert (known.decided, known.undecided) == (1, 1)


def test_a_target_is_on_one_side_or_on_none() -> None:
    sides = [evidence().side_of(target) for target in (LOCAL, CLOUD, OTHER)]
    assert sides == ["local", "cloud", None]


@pytest.mark.parametrize(
    ("changes", "requests", "failed", "timed"),
    [
        ({}, 1, 0, 1),
        ({"ttft_ms": None}, 1, 0, 1),
        ({"error": "Crashed"}, 1, 1, 0),
        ({"status": 503}, 1, 1, 0),
        ({"error": "Cancelled"}, 0, 0, 0),
        ({"error": "UpstreamStatus", "status": 422}, 0, 0, 0),  # the client's own fault
    ],
)
def test_requests_of_a_side(changes, requests: int, failed: int, timed: int) -> None:
    watch = SideWatch()
    watch.tried(attempt(LOCAL, **changes))
    assert (watch.requests, watch.failed, watch.total.p50.values) == (requests, failed, timed)
    assert watch.ttft.p95.values == (timed if "ttft_ms" not in changes else 0)


def test_drift_is_found_once() -> None:
    drift = watching(-0.05, 100)
    alarms = [drift.pair("loss", now_s) for now_s in map(float, range(60))]
    assert alarms.count(True) == 1
    assert drift.alarmed_s == float(alarms.index(True))
    seen = drift.detector.values
    drift.pair("loss", 99.0)
    assert drift.detector.values == seen


def test_it_is_written_and_read_as_it_is() -> None:
    known = evidence()
    known.drift = watching(-0.05, 100)
    known.pair(paired(conversation="c"))
    known.sides["cloud"].tried(attempt(CLOUD))
    known.drift.pair("loss", 3.0)
    assert msgspec.json.decode(msgspec.json.encode(known), type=Evidence) == known


def test_a_copy_is_of_one_moment() -> None:
    known = evidence()
    known.pair(paired(conversation="c"))
    copy = known.copy()
    known.pair(paired(conversation="d", by="json"))
    known.sides["local"].tried(attempt(LOCAL))
    assert (copy.decided, copy.by, copy.sides["local"].requests) == (1, {"agreement": 1}, 0)
    assert not known.conversations.is_new("c")


def test_nothing_known_is_said_to_be_unknown() -> None:
    shown = standing(evidence(), level=-0.05)
    assert shown.net_win.value is None
    assert (shown.net_win.low, shown.net_win.high) == (-1, 1)
    rate = shown.sides["local"].failure_rate
    assert (rate.value, rate.low, rate.high) == (None, 0, 1)
    assert shown.sides["cloud"].ttft.p95_ms.high is None
    assert shown.drift is None


def test_what_is_known_has_its_interval() -> None:
    known = evidence()
    known.drift = watching(-0.05, 100)
    for number in range(400):
        verdict = "win" if number % 10 == 0 else "tie"
        known.pair(paired(verdict=verdict, conversation=str(number)))
        known.sides["local"].tried(attempt(LOCAL, error="Crashed" if number % 20 == 0 else None))
    shown = standing(known, level=-0.05)
    assert shown.pairs == 400
    assert shown.net_win.value == pytest.approx(0.1)
    assert shown.net_win.high is not None
    assert 0 < shown.net_win.low < 0.1 < shown.net_win.high < 0.25
    rate = shown.sides["local"].failure_rate
    assert rate.value == pytest.approx(0.05)
    assert rate.low < 0.05 < (rate.high or 0)
    assert shown.sides["local"].total.p50_ms.low > 0
    assert shown.drift is not None
    assert (shown.drift.state, shown.drift.pairs) == ("watching", 0)
    assert b"Infinity" not in msgspec.json.encode(shown)


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "verdict", "to_go"),
    [
        (0, 0, 0, "open", None),
        (5, 90, 5, "open", range(50, 2000)),
        (30, 940, 30, "passed", None),
        (0, 400, 200, "failed", None),
        (5, 90, 12, "open", None),
    ],
)
def test_whether_it_is_good_enough_and_how_many_pairs_would_tell(
    wins: int, ties: int, losses: int, verdict: str, to_go: range | None
) -> None:
    known = evidence()
    known.wins, known.ties, known.losses = wins, ties, losses
    shown = standing(known, level=-0.05)
    assert (shown.verdict, shown.level) == (verdict, -0.05)
    assert shown.to_go is None if to_go is None else shown.to_go in to_go


def test_how_long_it_takes_goes_by_the_pairs_an_hour_so_far() -> None:
    known = evidence()
    known.wins, known.ties, known.losses = 5, 90, 5
    assert standing(known, level=-0.05).hours_to_go is None
    known.changed_s = known.since_s + 10 * 3600
    shown = standing(known, level=-0.05)
    assert shown.to_go is not None
    assert shown.hours_to_go == pytest.approx(shown.to_go / 10)


def test_where_nothing_is_to_go_there_are_no_hours() -> None:
    known = evidence()
    known.wins, known.ties, known.losses = 30, 940, 30
    known.changed_s = known.since_s + 3600
    assert standing(known, level=-0.05).hours_to_go is None


def test_the_forecast_is_kept_where_pairs_go_on_like_before() -> None:
    known = evidence()
    known.wins, known.ties, known.losses = 10, 180, 10
    shown = standing(known, level=-0.05)
    assert shown.to_go is not None
    times = 1 + shown.to_go / 200
    known.wins, known.ties, known.losses = (round(n * times) for n in (10, 180, 10))
    assert standing(known, level=-0.05).verdict == "passed"
