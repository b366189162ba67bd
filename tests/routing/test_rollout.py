"""Rollouts: when they go on, when they go back, and what is left of them after a restart."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reshore.errors import RouteError
from reshore.routing.guards import parse_guard
from reshore.routing.rollout import OVER, Rollout
from reshore.routing.rollout_moves import Finish, Promote, RollBack
from reshore.routing.rollout_plan import Plan

START_S = 1_700_000_000.0
# A margin that some 60 pairs clear, so that tests are quick.
PLAN = Plan(
    route="gpt-4o-mini",
    steps=(10.0, 100.0),
    guards=tuple(
        parse_guard(text) for text in ("error_rate<=+0.05", "ttft_p95<=1.5x", "net_win>=-0.3")
    ),
    min_pairs=50,
    hold_s=600.0,
)


def begun(**changes):
    return Rollout.start(msgspec.structs.replace(PLAN, **changes), START_S)


def tied(rollout, pairs, at_s=0.0):
    """The first move that so many pairs without a winner lead to."""
    return first(rollout.pair("tie", START_S + at_s) for _ in range(pairs))


def first(moves):
    return next((move for move in moves if move is not None), None)


def kept(rollout):
    """A rollout with evidence enough for the next step, and the time for it not over."""
    assert tied(rollout, 300) is None
    return rollout


# Going on


def test_it_begins_in_its_first_step():
    rollout = begun()
    assert (rollout.state, rollout.share, rollout.due) == ("running", 10.0, None)


def test_a_step_is_passed_when_its_time_is_over_and_the_net_win_is_certain():
    rollout = kept(begun())
    assert rollout.tick(START_S + 599) is None
    move = rollout.tick(START_S + 600)
    assert isinstance(move, Promote)
    assert move.share == 100.0
    assert (move.evidence.share, move.evidence.ties, move.evidence.seconds) == (10.0, 300, 600)
    assert rollout.state == "promoting"


def test_a_pair_promotes_as_soon_as_it_makes_the_net_win_certain():
    rollout = begun(hold_s=0.0)
    move = tied(rollout, 300)
    assert isinstance(move, Promote)
    assert 50 <= move.evidence.pairs < 100
    reading = next(one for one in move.evidence.readings if one.guard == "net_win>=-0.3")
    assert reading.kept
    assert reading.low > -0.3


def test_there_are_as_many_pairs_as_were_asked_for():
    move = tied(begun(hold_s=0.0, min_pairs=200), 300)
    assert move.evidence.pairs == 200


def test_undecided_pairs_promote_nothing():
    rollout = begun(hold_s=0.0)
    assert first(rollout.pair("undecided", START_S) for _ in range(5000)) is None
    assert rollout.tick(START_S + 1e6) is None
    standing = rollout.standing(START_S + 1e6)
    assert standing.evidence.undecided == 5000
    assert any("none of 5000 pairs could be decided" in line for line in standing.missing)


def test_the_next_step_begins_when_its_version_is_in_force_and_knows_nothing():
    rollout = kept(begun())
    rollout.tick(START_S + 600)
    assert rollout.share == 10.0
    rollout.carried_out(7, START_S + 605)
    assert (rollout.state, rollout.share, rollout.versions) == ("running", 100.0, [7])
    assert rollout.step.pairs.pairs == 0
    assert rollout.tick(START_S + 10_000) is None


def test_the_last_step_ends_it():
    rollout = begun(hold_s=0.0)
    for version in (7, 8):
        move = tied(rollout, 300)
        rollout.carried_out(version, START_S)
    assert isinstance(move, Finish)
    assert (move.compared, move.why) == (0.02, "2 % of the requests go on being compared")
    assert (rollout.state, rollout.share, rollout.due) == ("done", 100.0, None)
    assert rollout.versions == [7, 8]
    assert tied(rollout, 10) is None


def test_a_guard_that_looks_broken_holds_it_back_until_it_does_not():
    rollout = kept(begun())
    for failed in (True, False):
        rollout.answered("local", START_S, failed=failed, ttft_ms=90.0)
        rollout.answered("cloud", START_S, failed=False, ttft_ms=90.0)
    assert rollout.tick(START_S + 600) is None
    assert "error_rate<=+0.05: 0.500 so far" in " ".join(rollout.standing(START_S).missing)
    moves = [
        rollout.answered("local", START_S + 600, failed=False, ttft_ms=90.0) for _ in range(30)
    ]
    assert isinstance(first(moves), Promote)


def answered_whole(rollout, *, local_ms=90.0, cloud_ms=None):
    """As when no client streams: an upstream's answers have no first token, local ones have."""
    for _ in range(20):
        rollout.answered("cloud", START_S, failed=False, ttft_ms=cloud_ms)
        rollout.answered("local", START_S, failed=False, ttft_ms=local_ms)
    return rollout


def test_a_guard_that_cannot_be_measured_holds_it_back_and_is_told():
    rollout = answered_whole(kept(begun()))
    assert rollout.tick(START_S + 600) is None
    [missing] = rollout.standing(START_S + 600).missing
    assert missing.startswith(
        "ttft_p95<=1.5x cannot be measured: 20 answers of the cloud side came whole"
    )
    assert "start one without the guard" in missing
    move = rollout.answered("cloud", START_S + 600, failed=False, ttft_ms=80.0)
    assert isinstance(move, Promote)


def test_the_new_side_s_first_tokens_are_waited_for_as_well():
    rollout = answered_whole(kept(begun()), local_ms=None, cloud_ms=90.0)
    assert rollout.tick(START_S + 600) is None
    assert "20 answers of the local side" in " ".join(rollout.standing(START_S + 600).missing)


def test_without_a_guard_of_latency_no_first_token_is_waited_for():
    rollout = answered_whole(kept(begun(guards=(parse_guard("net_win>=-0.3"),))))
    assert isinstance(rollout.tick(START_S + 600), Promote)


def test_first_tokens_of_the_other_side_that_were_seen_once_are_known_in_later_steps():
    rollout = kept(begun())
    rollout.answered("cloud", START_S, failed=False, ttft_ms=80.0)
    rollout.tick(START_S + 600)
    rollout.carried_out(7, START_S + 600)
    answered_whole(rollout)
    assert isinstance(tied(rollout, 300, at_s=1300), Finish)


def test_what_failed_has_no_first_token_and_waits_for_none():
    rollout = kept(begun(guards=tuple(map(parse_guard, ("ttft_p95<=1.5x", "net_win>=-0.3")))))
    for side in ("local", "cloud"):
        rollout.answered(side, START_S, failed=True)
    assert isinstance(rollout.tick(START_S + 600), Promote)


def test_what_arrived_before_the_step_says_nothing_about_it():
    rollout = begun()
    rollout.pair("loss", START_S + 5, arrived_s=START_S - 1)
    rollout.answered("local", START_S + 5, failed=True, arrived_s=START_S - 1)
    assert rollout.step.pairs.pairs == 0
    assert rollout.step.errors.requests == [0, 0]
    rollout.pair("loss", START_S + 5, arrived_s=START_S + 1)
    assert rollout.step.pairs.pairs == 1


# Going back


def test_losses_roll_back_and_say_which_guard():
    rollout = begun()
    move = first(rollout.pair("loss", START_S) for _ in range(100))
    assert isinstance(move, RollBack)
    assert move.why == "net_win>=-0.3 is broken"
    assert (rollout.state, rollout.share) == ("rolled back", 0.0)
    assert move.evidence.losses < 40
    assert "broken" in str(move)


def test_errors_roll_back():
    rollout, moves = begun(), []
    for _ in range(100):
        moves.append(rollout.answered("local", START_S, failed=True))
        moves.append(rollout.answered("cloud", START_S, failed=False))
    move = first(moves)
    assert move.why == "error_rate<=+0.05 is broken"
    assert tied(rollout, 10) is None


def test_the_other_side_s_errors_do_not():
    rollout = begun()
    for _ in range(500):
        assert rollout.answered("local", START_S, failed=False) is None
        assert rollout.answered("cloud", START_S, failed=True) is None


def test_latency_rolls_back():
    rollout, draw, moves = begun(), random.Random(1), []
    for _ in range(1000):
        for side, slower in (("cloud", 1.0), ("local", 3.0)):
            ttft_ms = draw.lognormvariate(5, 0.5) * slower
            moves.append(rollout.answered(side, START_S, failed=False, ttft_ms=ttft_ms))
    assert first(moves).why == "ttft_p95<=1.5x is broken"


def test_the_new_side_may_be_the_cloud():
    rollout = begun(to="cloud")
    for _ in range(200):
        assert rollout.answered("local", START_S, failed=True) is None
        rollout.answered("cloud", START_S, failed=False)
    assert rollout.step.errors.estimate == -1.0


def test_a_guard_that_breaks_before_the_promotion_is_in_force_takes_it_back():
    rollout = kept(begun())
    rollout.tick(START_S + 600)
    move = first(rollout.pair("loss", START_S + 601) for _ in range(2000))
    assert isinstance(move, RollBack)
    assert rollout.due is move
    rollout.carried_out(9, START_S + 602)
    assert (rollout.state, rollout.due) == ("rolled back", None)


# What people do


def test_paused_it_takes_no_step_and_still_rolls_back():
    rollout = kept(begun())
    rollout.pause()
    assert rollout.tick(START_S + 9999) is None
    assert "it is paused" in rollout.standing(START_S + 9999).missing
    rollout.resume()
    assert isinstance(rollout.tick(START_S + 9999), Promote)
    other = begun()
    other.pause()
    assert isinstance(first(other.pair("loss", START_S) for _ in range(100)), RollBack)


def test_aborting_brings_everything_back():
    rollout = begun()
    move = rollout.abort(START_S + 3, why="aborted by ana")
    assert (rollout.state, rollout.share) == ("aborted", 0.0)
    assert rollout.tick(START_S + 4) is move
    rollout.carried_out(4, START_S + 5)
    assert rollout.tick(START_S + 6) is None


@pytest.mark.parametrize("wish", ["pause", "resume", "abort"])
def test_what_is_over_cannot_be_changed(wish):
    rollout = begun()
    rollout.abort(START_S)
    with pytest.raises(RouteError, match=r"rollout of 'gpt-4o-mini' is aborted and cannot be"):
        getattr(rollout, wish)(*([START_S] if wish == "abort" else []))


def test_what_is_not_paused_cannot_be_resumed():
    with pytest.raises(RouteError, match="is running and cannot be resumed; it can be paused"):
        begun().resume()


# What is missing


def test_it_says_what_it_waits_for_and_how_long():
    rollout = begun(min_pairs=200)
    for pair in range(60):
        rollout.pair("win" if pair % 3 == 0 else "loss", START_S + pair)
    standing = rollout.standing(START_S + 60)
    text = " | ".join(standing.missing)
    assert "60 of 200 decided pairs" in text
    assert "the net win is not certainly above -0.3" in text
    assert "the step lasts another 9 min at least" in text
    assert standing.pairs_to_go is None
    assert "never" in text


def test_the_forecast_is_at_the_traffic_of_the_step():
    rollout = begun()
    for pair in range(20):
        rollout.pair("win" if pair % 2 else "loss", START_S + pair * 60)
    standing = rollout.standing(START_S + 1200)
    assert standing.pairs_to_go > 30
    assert standing.hours_to_go == pytest.approx(standing.pairs_to_go / 60, rel=0.05)
    assert f"some {standing.pairs_to_go} more decided pairs" in " ".join(standing.missing)


def test_without_pairs_there_is_no_forecast():
    standing = begun().standing(START_S)
    assert (standing.pairs_to_go, standing.hours_to_go) == (None, None)


def test_over_nothing_is_missing():
    rollout = begun()
    rollout.abort(START_S)
    assert rollout.standing(START_S).missing == ()


# Restarts


def restarted(rollout):
    return msgspec.json.decode(msgspec.json.encode(rollout), type=Rollout)


def test_what_was_due_before_a_crash_is_due_after_it():
    rollout = kept(begun())
    move = rollout.tick(START_S + 600)
    again = restarted(rollout)
    assert again.tick(START_S + 700) == move
    again.carried_out(3, START_S + 701)
    assert again.tick(START_S + 702) is None
    assert again.share == 100.0


def test_without_a_guard_of_errors_or_latency_answers_change_nothing():
    rollout = begun(guards=(parse_guard("net_win>=-0.3"),))
    for _ in range(100):
        assert rollout.answered("local", START_S, failed=True, ttft_ms=9e9) is None
    assert isinstance(tied(rollout, 300, at_s=600), Promote)


def test_what_is_abandoned_has_nothing_due():
    rollout = kept(begun())
    rollout.tick(START_S + 600)
    rollout.abandon()
    assert (rollout.state, rollout.due, rollout.share) == ("aborted", None, 0.0)
    assert first(rollout.pair("loss", START_S) for _ in range(100)) is None


def test_one_that_is_over_stays_what_it_is_when_it_is_abandoned():
    rollout = begun()
    first(rollout.pair("loss", START_S) for _ in range(100))
    rollout.abandon()
    assert (rollout.state, rollout.due) == ("rolled back", None)


class Life(RuleBasedStateMachine):
    """Whatever comes in whatever order: a rollout only goes on or ends, and a restart at any
    moment changes nothing."""

    def __init__(self):
        super().__init__()
        self.rollout = begun(hold_s=5.0, min_pairs=10)
        self.now_s = START_S
        self.shares = [self.rollout.share]

    @rule(verdict=st.sampled_from(["win", "tie", "loss", "undecided"]), times=st.integers(1, 60))
    def pairs(self, verdict, times):
        for _ in range(times):
            self.rollout.pair(verdict, self.now_s)

    @rule(
        side=st.sampled_from(["local", "cloud"]),
        failed=st.booleans(),
        ttft_ms=st.none() | st.floats(0.1, 1e5),
        times=st.integers(1, 60),
    )
    def answers(self, side, failed, ttft_ms, times):
        for _ in range(times):
            self.rollout.answered(side, self.now_s, failed=failed, ttft_ms=ttft_ms)

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds):
        self.now_s += seconds
        assert self.rollout.tick(self.now_s) is self.rollout.due

    @precondition(lambda self: self.rollout.due is not None)
    @rule()
    def version(self):
        self.rollout.carried_out(len(self.rollout.versions) + 1, self.now_s)

    @precondition(lambda self: self.rollout.state == "running")
    @rule()
    def pause(self):
        self.rollout.pause()

    @precondition(lambda self: self.rollout.state == "paused")
    @rule()
    def resume(self):
        self.rollout.resume()

    @precondition(lambda self: self.rollout.state not in OVER)
    @rule(rarely=st.integers(0, 9))
    def abort(self, rarely):
        if rarely == 0:
            self.rollout.abort(self.now_s)

    @rule()
    def restart(self):
        read = restarted(self.rollout)
        assert read == self.rollout
        self.rollout = read

    @invariant()
    def shares_rise_and_fall_only_to_nothing(self):
        share = self.rollout.share
        assert share in (0.0, *PLAN.steps)
        assert share >= self.shares[-1] or share == 0.0
        assert self.shares[-1] != 0.0 or share == 0.0
        self.shares.append(share)

    @invariant()
    def what_is_promising_is_due(self):
        assert (self.rollout.state == "promoting") == isinstance(self.rollout.due, Promote)
        assert self.rollout.standing(self.now_s).state == self.rollout.state


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
