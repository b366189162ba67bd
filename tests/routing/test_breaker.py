"""The breaker: when it opens, whom it lets through, and that nothing shortens a rest."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reshore.config import RoutingConfig, Seconds
from reshore.errors import CircuitOpen
from reshore.routing.breaker import Breaker, Breakers
from reshore.types import Target
from tests.routing.scripted import CLOUD, SPARE

CONFIG = RoutingConfig(
    breaker_failures=3,
    breaker_ratio=0.5,
    breaker_requests=6,
    breaker_window_s=Seconds(60),
    breaker_rest_s=Seconds(10),
    breaker_rest_max_s=Seconds(35),
)


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker(CONFIG)
    for _ in range(3):
        fail(breaker, now_s)
    assert breaker.state == "open"
    return breaker


def fail(breaker: Breaker, now_s: float) -> None:
    permit = breaker.enter(now_s)
    assert permit is not None
    breaker.failed(permit, now_s)


def succeed(breaker: Breaker, now_s: float) -> None:
    permit = breaker.enter(now_s)
    assert permit is not None
    breaker.succeeded(permit, now_s)


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(CONFIG)
    fail(breaker, 0)
    fail(breaker, 1)
    assert breaker.state == "closed"
    fail(breaker, 2)
    assert breaker.state == "open"
    assert breaker.enter(11.9) is None


def test_a_share_of_failures_opens_it_once_there_are_enough_requests() -> None:
    breaker = Breaker(CONFIG)
    for now in range(2):
        fail(breaker, now)
        succeed(breaker, now)
    fail(breaker, 4)
    assert breaker.state == "closed"  # three of five
    succeed(breaker, 5)
    assert breaker.state == "closed"  # a success opens nothing
    fail(breaker, 6)
    assert breaker.state == "open"  # four of seven


def test_failures_of_long_ago_are_forgotten() -> None:
    breaker = Breaker(CONFIG)
    fail(breaker, 0)
    fail(breaker, 1)
    fail(breaker, 62)
    assert breaker.state == "closed"
    assert breaker.failures == 1


def test_a_refused_request_counts_neither_way() -> None:
    breaker = Breaker(CONFIG)
    for now in range(3):
        permit = breaker.enter(now)
        assert permit is not None
        breaker.refused(permit)
        fail(breaker, now)
    assert breaker.state == "open"


def test_after_its_rest_one_probe_at_a_time_is_let_through() -> None:
    breaker = opened()
    probe = breaker.enter(10.0)
    assert probe is not None
    assert breaker.state == "half-open"
    assert breaker.enter(10.0) is None
    breaker.succeeded(probe, 11.0)
    assert breaker.state == "closed"
    assert breaker.enter(11.0) is not None


def test_a_probe_that_fails_doubles_the_rest_up_to_the_longest() -> None:
    breaker = opened()
    now_s, rests = 10.0, []
    for _ in range(3):
        fail(breaker, now_s)
        rests.append(breaker.until_s - now_s)
        now_s = breaker.until_s
    assert rests == [20, 35, 35]


def test_once_closed_the_next_rest_is_short_again() -> None:
    breaker = opened()
    fail(breaker, 10.0)
    succeed(breaker, 30.0)
    for _ in range(3):
        fail(breaker, 40.0)
    assert breaker.until_s == 50.0


def test_a_probe_that_is_given_up_makes_room_for_the_next() -> None:
    breaker = opened()
    probe = breaker.enter(10.0)
    assert probe is not None
    breaker.abandoned(probe)
    assert breaker.state == "half-open"
    assert breaker.enter(10.0) not in (None, probe)


def test_a_probe_whose_request_is_refused_closes_it() -> None:
    breaker = opened()
    probe = breaker.enter(10.0)
    assert probe is not None
    breaker.refused(probe)
    assert breaker.state == "closed"


def test_what_the_upstream_asks_for_is_its_rest_within_bounds() -> None:
    breaker = Breaker(CONFIG)
    for wish_s in (0.0, 0.0, 25.0):
        permit = breaker.enter(0.0)
        assert permit is not None
        breaker.failed(permit, 0.0, wish_s=wish_s)
    assert breaker.until_s == 25.0
    fail(breaker, 25.0)
    breaker.failed(0, 26.0, wish_s=3600.0)
    assert breaker.until_s == 26.0 + 35.0


@pytest.mark.parametrize(("wish_s", "rest_s"), [(3.0, 3.0), (0.02, 1.0), (3600.0, 35.0)])
def test_an_upstream_that_says_when_to_come_back_is_believed_the_first_time(
    wish_s: float, rest_s: float
) -> None:
    breaker = Breaker(CONFIG)
    for _ in range(3):
        permit = breaker.enter(0.0)
        assert permit is not None
        breaker.failed(permit, 0.0, wish_s=wish_s)
    assert breaker.until_s == rest_s
    permit = breaker.enter(rest_s)
    assert permit is not None
    breaker.failed(permit, rest_s, wish_s=wish_s)
    assert breaker.until_s == rest_s + min(2 * rest_s, 35.0)


def test_a_late_failure_never_shortens_the_rest() -> None:
    breaker = Breaker(CONFIG)
    stale = breaker.enter(0.0)
    assert stale is not None
    for _ in range(3):
        fail(breaker, 0.0)
    breaker.failed(stale, 1.0, wish_s=2.0)
    assert breaker.until_s == 10.0


def test_what_was_begun_before_the_outage_does_not_end_its_rest() -> None:
    breaker = Breaker(CONFIG)
    stale = breaker.enter(0.0)
    assert stale is not None
    for _ in range(3):
        fail(breaker, 0.0)
    breaker.succeeded(stale, 1.0)
    breaker.refused(stale)
    assert breaker.state == "open"
    probe = breaker.enter(10.0)
    assert probe is not None
    breaker.succeeded(stale, 11.0)
    breaker.refused(stale)
    breaker.failed(stale, 11.0)
    breaker.abandoned(stale)
    assert breaker.state == "half-open"
    assert breaker.enter(11.0) is None


def test_failures_from_before_do_not_undo_a_recovery() -> None:
    breaker = Breaker(CONFIG)
    stale = [breaker.enter(0.0) for _ in range(9)]
    for _ in range(3):
        fail(breaker, 0.0)
    succeed(breaker, 10.0)
    for permit in stale:
        assert permit is not None
        breaker.failed(permit, 11.0)
    assert breaker.state == "closed"


# Any order of any events, with permits that come back late or never.
class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(CONFIG)
        self.now_s = 0.0
        self.permits: list[int] = []
        self.probe: int | None = None
        self.until_s = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.5, 9.0, 10.0, 40.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def enter(self) -> None:
        before = self.breaker.state
        permit = self.breaker.enter(self.now_s)
        if permit is None:
            assert before != "closed"
            assert before == "half-open" or self.now_s < self.breaker.until_s
            return
        if before != "closed":
            assert before == "half-open" or self.now_s >= self.breaker.until_s
            assert self.probe is None, "one probe at a time"
            self.probe = permit
        self.permits.append(permit)

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "refused", "failed", "abandoned"]))
    def come_back(self, data: st.DataObject, how: str) -> None:
        permit = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        before = self.breaker.state
        if how == "succeeded":
            self.breaker.succeeded(permit, self.now_s)
        elif how == "refused":
            self.breaker.refused(permit)
        elif how == "failed":
            wish_s = data.draw(st.sampled_from([0.0, 5.0, 50.0]))
            self.breaker.failed(permit, self.now_s, wish_s=wish_s)
        else:
            self.breaker.abandoned(permit)
        if before == "half-open" and permit == self.probe:
            expected = {"succeeded": "closed", "refused": "closed", "failed": "open"}
            assert self.breaker.state == expected.get(how, "half-open")
        elif before != "closed":
            assert self.breaker.state == before, "only the probe ends a rest"
        if permit == self.probe:
            self.probe = None

    @invariant()
    def deadlines_only_move_on(self) -> None:
        assert self.breaker.until_s >= self.until_s
        assert self.breaker.until_s <= self.now_s + CONFIG.breaker_rest_max_s
        self.until_s = self.breaker.until_s


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestAnyOrder = AnyOrder.TestCase


def test_models_and_upstreams_have_breakers_of_their_own() -> None:
    breakers = Breakers(CONFIG)
    for _ in range(3):
        breakers.failed(CLOUD, breakers.enter(CLOUD, 0.0), 0.0)
    with pytest.raises(CircuitOpen) as refused:
        breakers.enter(CLOUD, 4.0)
    assert refused.value.retry_after_s == 6.0
    assert refused.value.backend == "openai"
    assert "big of the upstream 'openai' has failed 3 of its last 3" in str(refused.value)
    breakers.enter(SPARE, 4.0)
    breakers.enter(Target(side="cloud", backend="openai", model="other"), 4.0)


def test_all_four_words_reach_the_breaker() -> None:
    breakers = Breakers(CONFIG)
    for _ in range(3):
        breakers.failed(CLOUD, breakers.enter(CLOUD, 0.0), 0.0)
    breakers.abandoned(CLOUD, breakers.enter(CLOUD, 10.0))
    breakers.refused(CLOUD, breakers.enter(CLOUD, 10.0))
    assert breakers.states(10.0) == ()
    breakers.failed(CLOUD, breakers.enter(CLOUD, 11.0), 11.0)
    breakers.succeeded(CLOUD, breakers.enter(CLOUD, 12.0), 12.0)
    [state] = breakers.states(12.0)
    assert (state.failures, state.requests, state.state) == (1, 2, "closed")


def test_words_about_what_never_failed_change_nothing() -> None:
    breakers = Breakers(CONFIG)
    permit = breakers.enter(CLOUD, 0.0)
    breakers.succeeded(CLOUD, permit, 0.0)
    breakers.refused(CLOUD, permit)
    breakers.abandoned(CLOUD, permit)
    assert breakers.states(0.0) == ()


def test_states_are_told_for_people() -> None:
    breakers = Breakers(CONFIG)
    for _ in range(3):
        breakers.failed(CLOUD, breakers.enter(CLOUD, 0.0), 0.0)
    [state] = breakers.states(4.0)
    assert (state.backend, state.model) == ("openai", "big")
    assert (state.state, state.failures, state.requests, state.rest_s) == ("open", 3, 3, 6.0)
    breakers.enter(CLOUD, 10.0)
    assert breakers.states(10.0)[0].state == "half-open"


def test_a_model_that_failed_once_and_works_again_is_forgotten() -> None:
    breakers = Breakers(CONFIG)
    breakers.failed(CLOUD, breakers.enter(CLOUD, 0.0), 0.0)
    assert breakers.states(0.0)
    breakers.succeeded(CLOUD, breakers.enter(CLOUD, 61.0), 61.0)
    assert breakers.states(61.0) == ()


def test_breakers_can_be_switched_off() -> None:
    breakers = Breakers(RoutingConfig(breaker_failures=0))
    for _ in range(50):
        breakers.failed(CLOUD, breakers.enter(CLOUD, 0.0), 0.0)
    assert breakers.states(0.0) == ()


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    breakers = Breakers(CONFIG)
    for number in range(1100):
        target = Target(side="cloud", backend="openai", model=f"junk-{number}")
        breakers.failed(target, breakers.enter(target, 0.0), 0.0)
    assert len(breakers.states(0.0)) == 1000
