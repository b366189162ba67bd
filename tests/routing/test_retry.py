"""Retries: which errors, how many, how long, and never more than the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import RoutingConfig, Seconds
from reshore.errors import (
    BadReply,
    CircuitOpen,
    Crashed,
    Overloaded,
    ReshoreError,
    Stalled,
    Unreachable,
    UpstreamStatus,
)
from reshore.routing.retry import Budget, Retries
from reshore.types import Target
from tests.routing.scripted import CLOUD, LOCAL

PASSING = Unreachable("refused", backend="openai", retryable=True)


def status(code: int, *, retry_after_s: float | None = None) -> UpstreamStatus:
    return UpstreamStatus(
        "no", backend="openai", status=code, retryable=True, retry_after_s=retry_after_s
    )


def pause(
    error: ReshoreError,
    *,
    config: RoutingConfig | None = None,
    target: Target = CLOUD,
    chance: float = 1.0,
    tried: int = 0,
    elapsed_s: float = 0.0,
    patient: bool = True,
) -> float | None:
    retries = Retries(config or RoutingConfig(), lambda: chance)
    retries.request(target.backend)
    return retries.pause_s(target, error, tried=tried, elapsed_s=elapsed_s, patient=patient)


def test_the_bound_of_the_pause_doubles_up_to_the_cap() -> None:
    config = RoutingConfig(retries=9, retry_base_s=Seconds(1), retry_cap_s=Seconds(5))
    assert [pause(PASSING, config=config, tried=n) for n in range(5)] == [1, 2, 4, 5, 5]


def test_the_pause_is_anything_from_nothing_to_its_bound() -> None:
    assert pause(PASSING, chance=0.0) == 0.0
    assert pause(PASSING, chance=0.5, tried=1) == 0.5


def test_tries_are_bounded() -> None:
    assert pause(PASSING, tried=1) is not None
    assert pause(PASSING, tried=2) is None
    assert pause(PASSING, config=RoutingConfig(retries=0)) is None


def test_no_retry_begins_after_the_time_for_all_of_them() -> None:
    config = RoutingConfig(retry_total_s=Seconds(10), retry_base_s=Seconds(1))
    assert pause(PASSING, config=config, elapsed_s=9.0) == 1.0
    assert pause(PASSING, config=config, elapsed_s=9.1) is None


def test_what_an_upstream_asks_for_is_kept_with_jitter_on_top() -> None:
    assert pause(status(429, retry_after_s=3.0), chance=0.0) == 3.0
    assert pause(status(429, retry_after_s=3.0), chance=1.0) == 3.5


def test_who_asks_for_too_long_a_wait_is_not_retried() -> None:
    assert pause(status(503, retry_after_s=10.0), chance=0.0) == 10.0
    assert pause(status(503, retry_after_s=10.1)) is None


def test_where_another_target_waits_no_long_retry_after_is_sat_out() -> None:
    assert pause(status(503, retry_after_s=2.0), patient=False) is None
    assert pause(status(503, retry_after_s=0.5), chance=0.0, patient=False) == 0.5
    assert pause(status(500), patient=False) == 0.5


@pytest.mark.parametrize(
    "error",
    [
        BadReply("garbage", backend="openai"),
        UpstreamStatus("no", backend="openai", status=500),
        CircuitOpen("open", backend="openai", retry_after_s=1.0),
        Stalled("no token", model="m"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_will_not_pass_is_not_tried_again(error: ReshoreError) -> None:
    assert pause(error) is None


def test_an_engine_that_crashed_gets_one_more_chance_at_once() -> None:
    crash = Crashed("died", model="small")
    assert pause(crash, target=LOCAL) == 0.0
    assert pause(crash, target=LOCAL, tried=1) is None


def test_keys_that_all_rest_are_waited_for_but_not_our_own_full_queue() -> None:
    full = Overloaded("full", retry_after_s=2.0)
    assert pause(full, target=CLOUD, chance=0.0) == 2.0
    assert pause(full, target=LOCAL) is None


def test_a_backend_without_budget_is_not_tried_again() -> None:
    assert pause(PASSING, config=RoutingConfig(retry_budget=0.0)) is None


def test_the_budget_of_one_backend_is_not_anothers() -> None:
    retries = Retries(RoutingConfig(), lambda: 0.0)
    other = Target(side="cloud", backend="spare", model="big")
    for target in (CLOUD, other):
        retries.request(target.backend)

    def ask(target: Target) -> float | None:
        return retries.pause_s(target, PASSING, tried=0, elapsed_s=0.0, patient=True)

    while ask(CLOUD) is not None:
        pass
    assert ask(other) == 0.0


@given(
    share=st.sampled_from([0.05, 0.2, 0.5, 1.0]),
    steps=st.lists(st.booleans(), max_size=300),
)
def test_retries_stay_the_share_of_requests_and_the_reserve(
    share: float, steps: list[bool]
) -> None:
    """`steps`: a request is made, or a retry is asked for."""
    budget = Budget(share, reserve=3.0)
    requests = retries = 0
    for is_request in steps:
        if is_request:
            budget.pay_in()
            requests += 1
        else:
            retries += budget.take()
        assert retries <= share * requests + 3.0 + 1e-6


def test_in_an_outage_one_request_in_five_is_retried() -> None:
    budget = Budget(0.2, reserve=10.0)
    retried = 0
    for _ in range(1000):
        budget.pay_in()
        retried += budget.take()
    assert 200 <= retried <= 211
