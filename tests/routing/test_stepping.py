"""What a route is in a step of its rollout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import RouteError
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.rollout_plan import Plan
from reshore.routing.stepping import finished, stepped


def step(policy, share, **plan):
    before = Route(pattern="gpt-4o-mini", policy=parse_policy(policy), local="llama3.2")
    after = stepped(before, Plan(route="gpt-4o-mini", **plan), share)
    assert (after.pattern, after.local) == (before.pattern, before.local)
    assert parse_policy(after.text) == after.policy
    return after.text


@pytest.mark.parametrize(
    ("before", "share", "after"),
    [
        (
            "cloud",
            10,
            "split(shadow(local, cloud, share=5%)=10, shadow(cloud, local, share=5%)=90)",
        ),
        ("cloud", 100, "shadow(local, cloud, share=5%)"),
        (
            "shadow(cloud:openai/gpt-4o, local:qwen3, share=1%)",
            0.1,
            "split(shadow(local:qwen3, cloud:openai/gpt-4o, share=5%)=0.1, "
            "shadow(cloud:openai/gpt-4o, local:qwen3, share=5%)=99.9)",
        ),
        (
            "fallback(cloud:a, cloud:b)",
            50,
            "split(shadow(local, cloud:a, share=5%)=50, "
            "shadow(fallback(cloud:a, cloud:b), local, share=5%)=50)",
        ),
    ],
)
def test_a_part_moves_and_both_sides_are_compared(before, share, after):
    assert step(before, share) == after


def test_a_rollout_can_lead_to_the_cloud():
    assert step("local:phi4", 25, to="cloud", compared=0.5) == (
        "split(shadow(cloud, local:phi4, share=50%)=25, shadow(local:phi4, cloud, share=50%)=75)"
    )


@pytest.mark.parametrize(
    ("plan", "after"),
    [
        ({}, "shadow(local, cloud, share=2%)"),
        ({"compared": 1.0}, "shadow(local, cloud, share=2%)"),
        ({"compared": 0.01}, "shadow(local, cloud, share=1%)"),
        (
            {"steps": (1.0, 25.0)},
            "split(shadow(local, cloud, share=2%)=25, shadow(cloud, local, share=2%)=75)",
        ),
    ],
)
def test_once_done_a_fiftieth_is_compared_at_most(plan, after):
    before = Route(pattern="gpt-4o-mini", policy=parse_policy("cloud"))
    assert finished(before, Plan(route="gpt-4o-mini", **plan)).text == after


@pytest.mark.parametrize("policy", ["local", "shadow(local, cloud, share=1%)"])
def test_what_is_there_already_is_refused(policy):
    with pytest.raises(RouteError, match="goes to local already"):
        step(policy, 10)


@given(st.integers(1, 999).map(lambda permille: permille / 10))
def test_every_share_can_be_written_and_read(share):
    assert f"={share!r}".removesuffix(".0") in step("cloud", share)
