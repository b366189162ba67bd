"""What is said of a request, and against a route."""

from __future__ import annotations

import msgspec
import pytest

from reshore.routing.asking import Asking
from reshore.routing.explain import explain, plan_text, problems
from reshore.routing.parsing import parse_policy
from reshore.routing.patterns import Patterns
from reshore.routing.plan import Ask, CascadePlan, FallbackPlan, ShadowPlan
from reshore.routing.policy import Route
from reshore.routing.privacy import Privacy
from reshore.routing.table import Table, View
from reshore.routing.tiers import default_models
from reshore.routing.world import World
from reshore.types import Target

LOCAL = Target(side="local", backend="local", model="m")
CLOUD = Target(side="cloud", backend="openai", model="gpt-4o")


def route(policy: str, pattern: str = "gpt-4o", **more: object) -> Route:
    return Route(pattern=pattern, policy=parse_policy(policy), **more)  # type: ignore[arg-type]


def world(**more: object) -> World:
    facts = {"upstreams": ("openai", "azure"), "embeds": lambda name: name == "nomic-embed-text"}
    return World(**facts | more)  # type: ignore[arg-type]


def test_everything_is_said_of_a_request() -> None:
    body = {"messages": [{"role": "user", "content": "Prove it"}]}
    view = View(4, Table([route("hybrid", "gpt-*")]))
    said = explain(Asking(name="gpt-4o", load=lambda: body), view, world())
    assert (said.name, said.route, said.policy) == ("gpt-4o", "gpt-*", "hybrid(threshold=0.5)")
    assert said.version == 4
    assert said.plan == "local:gpt-4o"
    assert said.decision is not None
    assert said.complexity is not None
    assert said.decision.score == said.complexity.score
    assert {part.feature for part in said.complexity.parts} == {"words", "reasoning tasks"}
    assert said.refusal == ""


def test_a_score_is_told_where_the_policy_asks_for_none() -> None:
    said = explain(Asking(name="gpt-4o", load=lambda: {"prompt": "hi"}), View(), world())
    assert said.complexity is not None
    assert (said.route, said.policy) == ("", "")


@pytest.mark.parametrize("kind", ["embedding", "forward"])
def test_nothing_is_scored_that_is_no_question(kind: str) -> None:
    asking = Asking(name="gpt-4o", kind=kind)  # type: ignore[arg-type]
    assert explain(asking, View(), world()).complexity is None


def test_a_refusal_is_told_and_the_rules_that_hold() -> None:
    private = world(privacy=Privacy(names=["gpt-*", "*4o"]))
    said = explain(Asking(name="gpt-4o"), View(1, Table([route("cloud")])), private)
    assert said.refusal.startswith("This request may not leave this machine")
    assert said.privacy == (
        "privacy: its name matches gpt-*",
        "privacy: its name matches *4o",
    )
    assert (said.decision, said.plan) == (None, "")


def test_an_explanation_can_be_sent() -> None:
    said = explain(Asking(name="gpt-4o"), View(1, Table([route("cloud")])), world())
    assert msgspec.json.decode(msgspec.json.encode(said), type=type(said)) == said


def test_plans_are_told_with_every_target() -> None:
    fallback = FallbackPlan(
        plans=(Ask(target=LOCAL), Ask(target=CLOUD)), on=frozenset({"overload", "error"})
    )
    assert plan_text(fallback) == "fallback(local:m, cloud:openai/gpt-4o, on=error+overload)"
    resumed = FallbackPlan(plans=(Ask(target=CLOUD), Ask(target=LOCAL)), resume=True)
    assert plan_text(resumed) == "fallback(cloud:openai/gpt-4o, local:m, resume=yes)"
    cascade = CascadePlan(local=LOCAL, cloud=Ask(target=CLOUD), checks=("json",), agree_with=LOCAL)
    assert (
        plan_text(ShadowPlan(primary=cascade, mirror=LOCAL))
        == "shadow(cascade(local:m, cloud:openai/gpt-4o, checks=json, agree_with=m), local:m)"
    )


def test_nothing_speaks_against_a_sound_route() -> None:
    assert problems(route("split(local=10, cloud:azure=90)", cloud="openai/x"), world()) == []
    assert problems(route("local"), World()) == []


def test_a_cloud_needs_an_upstream() -> None:
    (problem,) = problems(route("fallback(local, cloud:a, cloud)"), World())
    assert problem.startswith("The route goes to the cloud, but no upstream is configured.")
    assert problems(route("local", cloud="openai"), World()) == [problem]


def test_unknown_upstreams_are_named_once_each() -> None:
    policy = "fallback(cloud:a, shadow(cloud:a/x, cloud:b, share=1%))"
    assert problems(route(policy, cloud="c/x"), world()) == [
        "There is no upstream 'a'; configured are openai, azure.",
        "There is no upstream 'b'; configured are openai, azure.",
        "There is no upstream 'c'; configured are openai, azure.",
    ]


@pytest.mark.parametrize(
    ("policy", "pattern"),
    [
        ("split(local:m=50, cloud=50)", "text-embedding-3-small"),
        ("fallback(local:nomic-embed-text, cloud)", "any-name"),
        ("fallback(local, cloud)", "text-embedding-3-large"),
    ],
)
def test_embeddings_of_several_models_speak_against_a_route(policy: str, pattern: str) -> None:
    tiers = Patterns(default_models(8 * 10**9).items())
    (problem,) = problems(route(policy, pattern), world(tiers=tiers))
    assert "several models" in problem
    assert problems(route(policy, pattern, mix_embeddings=True), world(tiers=tiers)) == []


def test_names_that_are_not_known_to_embed_may_mix() -> None:
    assert problems(route("split(local:m=50, cloud=50)"), world()) == []


def test_an_alias_is_what_a_bare_local_means() -> None:
    table = Table((), {"embed-me": "nomic-embed-text"})
    against = problems(route("fallback(local, cloud)", "embed-me"), world(), table)
    assert "(embed-me, nomic-embed-text)" in against[0]
