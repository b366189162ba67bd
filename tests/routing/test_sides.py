"""What is left of a policy on one side."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Policy
from reshore.routing.sides import on_side, parts, side_of
from reshore.types import Side
from tests.routing.policies import policies

sides = st.sampled_from(get_args(Side))


@given(policies(), sides)
def test_nothing_of_the_other_side_is_left(policy: Policy, side: Side) -> None:
    left = on_side(policy, side)
    assert left is None or {side_of(part) for part in parts(left)} == {side}


@given(policies(), sides)
def test_something_is_left_if_anything_is_there(policy: Policy, side: Side) -> None:
    there = any(side_of(part) == side for part in parts(policy))
    assert (on_side(policy, side) is not None) == there


@given(policies(), sides)
def test_what_is_left_stays(policy: Policy, side: Side) -> None:
    left = on_side(policy, side)
    assert left is None or on_side(left, side) == left


@pytest.mark.parametrize(
    ("text", "local", "cloud"),
    [
        ("local:m", "local:m", None),
        ("split(local=10, cloud=90)", "local", "cloud"),
        ("split(local=0, cloud=100)", "local", "cloud"),
        (
            "split(local:a=1, local:b=2, cloud=7, sticky=user)",
            "split(local:a=1, local:b=2, sticky=user)",
            "cloud",
        ),
        ("split(local:a=0, local:b=0, cloud=7)", "local:a", "cloud"),
        (
            "fallback(cloud:a, local, cloud:b, on=timeout, resume=yes)",
            "local",
            "fallback(cloud:a, cloud:b, on=timeout, resume=yes)",
        ),
        ("hedge(local, cloud, after=1s)", "local", "cloud"),
        ("hedge(cloud:a, cloud:b, after=1s)", None, "hedge(cloud:a, cloud:b, after=1s)"),
        ("hybrid(threshold=0.5)", "local", "cloud"),
        (
            "hybrid(local:a, fallback(local:b, cloud), threshold=0.5)",
            "hybrid(local:a, local:b, threshold=0.5)",
            "cloud",
        ),
        ("cascade(local:a, cloud:b, agree_with=c)", "local:a", "cloud:b"),
        ("shadow(cloud, local, share=5%)", "local", "cloud"),
        ("shadow(local:a, local:b, share=5%)", "shadow(local:a, local:b, share=5%)", None),
    ],
)
def test_what_is_left_of_each(text: str, local: str | None, cloud: str | None) -> None:
    for side, wanted in (("local", local), ("cloud", cloud)):
        left = on_side(parse_policy(text), side)
        assert (left and str(left)) == wanted


def test_mirrors_and_second_opinions_can_be_left_out() -> None:
    policy = parse_policy("shadow(cascade(local:a, cloud:b, agree_with=c), cloud:d, share=1%)")
    assert [str(part) for part in parts(policy)] == ["local:a", "local:c", "cloud:b", "cloud:d"]
    assert [str(part) for part in parts(policy, mirrors=False)] == ["local:a", "cloud:b"]
