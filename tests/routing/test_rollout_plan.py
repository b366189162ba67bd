"""Plans of rollouts: what can work, and how alpha is split."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reshore.errors import RouteError
from reshore.routing.guards import parse_guard
from reshore.routing.rollout_plan import Plan, checked_plan

PLAN = Plan(route="gpt-4o-mini")


def test_alpha_is_split_over_guards_and_steps():
    assert PLAN.promote_alpha == pytest.approx(0.05 / 5)
    assert PLAN.guard_alpha == pytest.approx(0.05 / 3)
    assert PLAN.roll_back_alpha == pytest.approx(0.05 / 15)
    assert PLAN.roll_back_alpha * len(PLAN.guards) * len(PLAN.steps) == pytest.approx(PLAN.alpha)
    assert PLAN.margin == -0.03


def test_a_plan_that_can_work_is_given_back():
    assert checked_plan(PLAN) is PLAN


def guarded(*texts):
    return {"guards": tuple(parse_guard(text) for text in texts)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": ()}, "no steps"),
        ({"steps": (0.0, 50.0)}, "above 0 and at most 100"),
        ({"steps": (50.0, 101.0)}, "above 0 and at most 100"),
        ({"steps": (float("nan"),)}, "above 0 and at most 100"),
        ({"steps": (5.0, 5.0)}, "5, 5 do not"),
        ({"steps": (50.0, 5.0)}, "50, 5 do not"),
        (guarded("error_rate<=+0.01"), "net_win>=-0.03"),
        (guarded("net_win>=0", "net_win>=-0.1"), "two guards for net_win"),
        (guarded("net_win>=0", "ttft_p95<=2x", "ttft_p95<=3x"), "two guards for ttft_p95"),
        ({"min_pairs": 0}, "--min-pairs 1"),
        ({"hold_s": -1.0}, "--hold 0s"),
        ({"hold_s": float("nan")}, "--hold 0s"),
        ({"compared": 0.0}, "no pairs"),
        ({"compared": 1.1}, "no pairs"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 0.7}, "alpha"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(changes, says):
    with pytest.raises(RouteError) as raised:
        checked_plan(replace(PLAN, **changes))
    assert "the rollout of 'gpt-4o-mini' cannot start" in str(raised.value)
    assert says in str(raised.value)


def test_latencies_of_two_percentiles_can_be_guarded():
    plan = replace(PLAN, **guarded("net_win>=0", "ttft_p50<=2x", "ttft_p95<=3x"))
    assert checked_plan(plan) is plan
