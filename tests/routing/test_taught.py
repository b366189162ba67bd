"""Routes that are given another trained router."""

from __future__ import annotations

import pytest

from reshore.errors import RouteError
from reshore.routing.learned import Reads
from reshore.routing.parsing import parse_policy
from reshore.routing.taught import taught
from tests.routing.operated import route


def given(policy: str, reads: Reads = "prompt") -> str:
    return str(taught(route("gpt-4o", policy), "new", reads))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hybrid(by=old, threshold=0.9)", "hybrid(by=new)"),
        ("hybrid(threshold=0.4)", "hybrid(by=new)"),
        ("hybrid(local:a, cloud:x/b)", "hybrid(local:a, cloud:x/b, by=new)"),
        ("hybrid(by=new)", "hybrid(by=new)"),
        ("shadow(hybrid(by=old), local, share=5%)", "shadow(hybrid(by=new), local, share=5%)"),
        (
            "fallback(split(hybrid(by=old)=10, cloud=90), hedge(hybrid, cloud, after=1s))",
            "fallback(split(hybrid(by=new)=10, cloud=90), hedge(hybrid(by=new), cloud, after=1s))",
        ),
    ],
)
def test_every_hybrid_asks_the_new_router_by_its_own_threshold(before: str, after: str) -> None:
    assert given(before) == str(parse_policy(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("local", "hybrid(by=new)"),
        ("cloud:azure", "hybrid(local, cloud:azure, by=new)"),
        (
            "shadow(cloud, local:a, share=10%)",
            "hybrid(shadow(local:a, cloud, share=10%), shadow(cloud, local:a, share=10%), by=new)",
        ),
    ],
)
def test_a_route_to_one_side_becomes_a_hybrid(before: str, after: str) -> None:
    assert given(before) == str(parse_policy(after))


def test_one_that_reads_answers_is_asked_by_cascades() -> None:
    nested = "cascade(local, hybrid(cloud:a, cloud:b, by=old), checks=finish, by=older)"
    expected = "cascade(local, hybrid(cloud:a, cloud:b, by=old), checks=finish, by=new)"
    assert given(nested, "answer") == str(parse_policy(expected))
    assert given("cloud", "answer") == str(parse_policy("cascade(by=new)"))
    shadowed = "shadow(cascade(by=new), local, share=1%)"
    assert given("shadow(cloud, local, share=1%)", "answer") == str(parse_policy(shadowed))


@pytest.mark.parametrize(
    ("policy", "reads", "kind"),
    [
        ("split(local=10, cloud=90)", "prompt", "hybrid"),
        ("cascade", "prompt", "hybrid"),
        ("hybrid(by=old)", "answer", "cascade"),
    ],
)
def test_where_none_fits_it_says_what_to_set(policy: str, reads: Reads, kind: str) -> None:
    with pytest.raises(RouteError, match=rf"route set gpt-4o '{kind}\(by=new\)'"):
        given(policy, reads)
