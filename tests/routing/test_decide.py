"""Who answers, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import Forbidden, NoTarget, RequestError, UnknownModel
from reshore.routing.asking import Asking
from reshore.routing.complexity import Explanation, Part
from reshore.routing.content import Content
from reshore.routing.decide import decide
from reshore.routing.explain import plan_text
from reshore.routing.parsing import parse_policy
from reshore.routing.patterns import Patterns
from reshore.routing.plan import Ask, CascadePlan, FallbackPlan, HedgePlan, Ruling, targets
from reshore.routing.policy import Policy, Route
from reshore.routing.privacy import Privacy
from reshore.routing.table import Table, View
from reshore.routing.tiers import default_models
from reshore.routing.world import World
from reshore.types import Side, Target
from tests.routing.policies import policies

NAME = "gpt-4o-mini"
INSTALLED = frozenset({"llama3.2", "all-minilm"})


def world(**changes: Any) -> World:
    facts: dict[str, Any] = {
        "upstreams": ("openai", "other"),
        "installed": INSTALLED.__contains__,
        "tiers": Patterns(default_models(8 * 10**9).items()),
        "draw": lambda: 0.5,
    }
    return World(**facts | changes)


def view(policy: str = "", *, override: Side | None = None, **more: Any) -> View:
    pattern = more.pop("pattern", NAME)
    aliases = more.pop("aliases", {})
    routes = [Route(pattern=pattern, policy=parse_policy(policy), **more)] if policy else []
    return View(7, Table(routes, aliases), override)


def asking(name: str = NAME, **more: Any) -> Asking:
    return Asking(name=name, **more)


def saying(text: str, **more: Any) -> Asking:
    body = {"messages": [{"role": "user", "content": text}]}
    return asking(load=lambda: body, **more)


def plan(ruling: Ruling) -> str:
    return plan_text(ruling.plan)


def unread() -> Any:
    pytest.fail("the body was read")


# What the parts of a policy mean


@pytest.mark.parametrize(
    ("policy", "more", "target"),
    [
        ("local:m", {}, "local:m"),
        ("local:m", {"local": "n"}, "local:m"),
        ("local", {"local": "n"}, "local:n"),
        ("local", {"aliases": {NAME: "a"}}, "local:a"),
        ("local", {}, "local:llama3.2"),
        ("cloud", {}, "cloud:openai/gpt-4o-mini"),
        ("cloud", {"cloud": "other"}, "cloud:other/gpt-4o-mini"),
        ("cloud", {"cloud": "other/gpt-x"}, "cloud:other/gpt-x"),
        ("cloud", {"cloud": "/gpt-x"}, "cloud:openai/gpt-x"),
        ("cloud:other", {"cloud": "other/gpt-x"}, "cloud:other/gpt-x"),
        ("cloud:openai", {"cloud": "other/gpt-x"}, "cloud:openai/gpt-4o-mini"),
        ("cloud:other/y", {"cloud": "other/gpt-x"}, "cloud:other/y"),
        ("cloud:/y", {"cloud": "other/gpt-x"}, "cloud:other/y"),
    ],
)
def test_what_a_part_means(policy: str, more: dict[str, Any], target: str) -> None:
    assert plan(decide(asking(), view(policy, **more), world())) == target


def test_a_bare_local_is_the_name_itself_where_that_is_installed() -> None:
    given_view = view("local", pattern="*")
    assert plan(decide(asking("all-minilm"), given_view, world())) == "local:all-minilm"
    assert plan(decide(asking("unheard-of"), given_view, world())) == "local:unheard-of"


def test_the_default_upstream_can_be_another_than_the_first() -> None:
    ruling = decide(asking(), view("cloud"), world(default_upstream="other"))
    assert plan(ruling) == "cloud:other/gpt-4o-mini"


def test_a_decision_tells_the_route_the_policy_and_the_version() -> None:
    decision = decide(asking(load=unread), view("cloud", pattern="gpt-*"), world()).decision
    assert decision.side == "cloud"
    assert (decision.route, decision.policy, decision.version) == ("gpt-*", "cloud", 7)
    assert (decision.why, decision.score, decision.private) == ("route gpt-*", None, False)


@pytest.mark.parametrize("policy", ["cloud", "cloud:other"])
def test_an_upstream_that_is_not_configured_is_named(policy: str) -> None:
    with pytest.raises(NoTarget, match=r"no upstream is configured|'other' is not configured"):
        decide(asking(), view(policy), world(upstreams=()))


# Names without a route


def test_an_alias_leads_to_its_model() -> None:
    ruling = decide(asking(), view(aliases={NAME: "llama3.2"}), world())
    assert plan(ruling) == "local:llama3.2"
    assert (ruling.decision.route, ruling.decision.policy) == ("", "local:llama3.2")
    assert ruling.decision.why == "alias of llama3.2"


def test_an_installed_name_answers_itself() -> None:
    ruling = decide(asking("llama3.2"), view(), world())
    assert (plan(ruling), ruling.decision.why) == ("local:llama3.2", "installed here")


def test_any_other_name_goes_to_the_upstream() -> None:
    ruling = decide(asking("gpt-9"), view(), world())
    assert plan(ruling) == "cloud:openai/gpt-9"
    assert ruling.decision.why == "no route, not installed here"


def test_without_an_upstream_openais_names_have_a_default_here() -> None:
    ruling = decide(asking(), view(), world(upstreams=()))
    assert plan(ruling) == "local:llama3.2"
    assert ruling.decision.why == "default for gpt-4o-mini on this machine"


def test_a_name_that_nothing_answers_to_is_unknown() -> None:
    alone = world(upstreams=(), nearest=lambda name: (f"{name}er",))
    with pytest.raises(UnknownModel, match="Nearest installed: unheard-ofer") as caught:
        decide(asking("unheard-of"), view(), alone)
    assert caught.value.nearest == ("unheard-ofer",)


def test_a_default_that_is_not_installed_is_named() -> None:
    with pytest.raises(UnknownModel, match=r"'nomic-embed-text' would stand for it.*reshore pull"):
        decide(asking("text-embedding-3-small"), view(), world(upstreams=()))


def test_a_route_goes_before_an_alias() -> None:
    assert plan(decide(asking(), view("cloud", aliases={NAME: "m"}), world())).startswith("cloud")


# Splits


def test_a_split_by_user_reads_no_body_and_says_where_the_user_fell() -> None:
    split = view("split(local=40, cloud=60, sticky=user)")
    ruling = decide(asking(user="x", load=unread), split, world())
    assert ruling.decision.why == "user hash 20 of 100 is in local's 0-40"
    assert ruling.decision.side == "local"


def test_local_has_the_interval_that_begins_at_0_in_whatever_order() -> None:
    one = decide(asking(user="x"), view("split(local=40, cloud=60, sticky=user)"), world())
    other = decide(asking(user="x"), view("split(cloud=60, local=40, sticky=user)"), world())
    assert one.decision.why == other.decision.why


@given(st.integers(0, 100), st.integers(0, 100), st.text(min_size=1))
def test_raising_locals_share_takes_nobody_away_from_local(a: int, b: int, user: str) -> None:
    sides = [
        decide(
            asking(user=user),
            view(f"split(cloud={100 - share}, local={share}, sticky=user)"),
            world(),
        ).decision.side
        for share in sorted((a, b))
    ]
    assert sides != ["local", "cloud"]


def test_a_conversation_stays_where_it_began() -> None:
    split = view("split(local=50, cloud=50)")
    first = {"messages": [{"role": "user", "content": "hello"}]}
    later = {"messages": [*first["messages"], {"role": "assistant", "content": "hi"}]}
    rulings = [
        decide(asking(load=lambda body=body: body), split, world()) for body in (first, later)
    ]
    assert rulings[0] == rulings[1]
    assert rulings[0].decision.why.startswith("conversation hash ")


def test_conversations_are_divided_by_weight() -> None:
    split = view("split(local=20, cloud=80)")
    found = [decide(saying(f"question {i}"), split, world()).decision.side for i in range(1000)]
    assert 160 < found.count("local") < 240


def test_without_a_user_the_conversation_decides_and_that_is_said() -> None:
    by_user = decide(saying("hi"), view("split(local=50, cloud=50, sticky=user)"), world())
    without = decide(saying("hi"), view("split(local=50, cloud=50)"), world())
    assert by_user.decision.why == f"no user, {without.decision.why}"


def test_a_header_can_be_what_sticks() -> None:
    split = view("split(local=50, cloud=50, sticky=header:X-Session)")
    headers = {"X-Session": "x"}
    ruling = decide(asking(header=headers.get, load=unread), split, world())
    assert ruling.decision.why.startswith("header hash ")
    missing = decide(saying("hi"), split, world())
    assert missing.decision.why.startswith("no header X-Session, conversation hash ")


def test_what_is_not_sticky_is_drawn() -> None:
    split = view("split(local=50, cloud=50, sticky=none)")
    drawn = [
        decide(asking(load=unread), split, world(draw=lambda at=at: at)).decision
        for at in (0.49, 0.5)
    ]
    assert [decision.side for decision in drawn] == ["local", "cloud"]
    assert drawn[0].why == "draw 49 of 100 is in local's 0-50"


def test_two_names_divide_the_same_users_differently() -> None:
    routes = Table(
        Route(pattern=name, policy=parse_policy("split(local=50, cloud=50, sticky=user)"))
        for name in ("a", "b")
    )
    here, there = (
        [
            decide(asking(name, user=str(i)), View(1, routes), world()).decision.side
            for i in range(200)
        ]
        for name in ("a", "b")
    )
    same = sum(one == other for one, other in zip(here, there, strict=True))
    assert 70 < same < 130


def test_a_split_inside_a_split_divides_anew() -> None:
    inner = "split(local:a=50, local:b=50, sticky=user)"
    nested = view(f"split({inner}=20, cloud=80, sticky=user)")
    found = [plan(decide(asking(user=str(i)), nested, world())) for i in range(2000)]
    assert 140 < found.count("local:a") < 260
    assert 140 < found.count("local:b") < 260


# Fallback, hedge, cascade, shadow


def test_a_fallback_keeps_its_order_and_its_conditions() -> None:
    ruling = decide(
        asking(load=unread), view("fallback(cloud, local, on=timeout, resume=yes)"), world()
    )
    assert ruling.plan == FallbackPlan(
        plans=(
            Ask(target=Target(side="cloud", backend="openai", model=NAME)),
            Ask(target=Target(side="local", backend="local", model="llama3.2")),
        ),
        on=frozenset({"timeout"}),
        resume=True,
    )
    assert ruling.decision.side == "cloud"


def test_what_is_not_configured_is_passed_over_by_a_fallback() -> None:
    ruling = decide(asking(), view("fallback(cloud, local)"), world(upstreams=()))
    assert plan(ruling) == "local:llama3.2"
    assert ruling.decision.why == "cloud is not configured"
    three = decide(asking(), view("fallback(local, cloud:gone, cloud)"), world())
    assert plan(three) == "fallback(local:llama3.2, cloud:openai/gpt-4o-mini)"


def test_a_fallback_of_which_nothing_is_configured_says_so() -> None:
    with pytest.raises(NoTarget, match="'b' is not configured"):
        decide(asking(), view("fallback(cloud:a, cloud:b)"), world())


def test_a_hedge() -> None:
    ruling = decide(asking(load=unread), view("hedge(local, cloud, after=800ms)"), world())
    assert isinstance(ruling.plan, HedgePlan)
    assert ruling.plan.after_ms == 800
    assert plan(ruling) == "hedge(local:llama3.2, cloud:openai/gpt-4o-mini, after=800ms)"


def test_a_cascade_brings_all_that_it_needs() -> None:
    ruling = decide(
        asking(load=unread),
        view("cascade(checks=json, agree_with=m, min_logprob=-0.5, budget=3s, late=local)"),
        world(),
    )
    assert ruling.plan == CascadePlan(
        local=Target(side="local", backend="local", model="llama3.2"),
        cloud=Ask(target=Target(side="cloud", backend="openai", model=NAME)),
        checks=("json", "agreement", "logprob"),
        agree_with=Target(side="local", backend="local", model="m"),
        min_logprob=-0.5,
        budget_ms=3000,
        late="local",
    )
    assert (ruling.decision.side, ruling.decision.why) == ("local", "local first, then checks")


def test_a_shadow_is_drawn() -> None:
    shadow = view("shadow(cloud, local, share=5%)")
    sampled = decide(asking(load=unread), shadow, world(draw=lambda: 0.0499))
    assert plan(sampled) == "shadow(cloud:openai/gpt-4o-mini, local:llama3.2)"
    assert (sampled.decision.side, sampled.decision.why) == ("cloud", "shadowed by local")
    missed = decide(asking(load=unread), shadow, world(draw=lambda: 0.05))
    assert plan(missed) == "cloud:openai/gpt-4o-mini"


def test_a_mirror_that_is_not_configured_costs_nobody_an_answer() -> None:
    shadow = view("shadow(local, cloud:gone, share=100%)")
    ruling = decide(asking(), shadow, world())
    assert plan(ruling) == "local:llama3.2"
    assert ruling.decision.why == "not shadowed: cloud:gone is not configured"


# Hybrid


class Fixed:
    """A scorer with one opinion."""

    def __init__(self, score: float) -> None:
        self._score = score

    def explain(self, content: Content) -> Explanation:
        return Explanation(score=self._score, parts=(Part("code", "code", 1.0),))


@pytest.mark.parametrize(
    ("score", "side", "why"),
    [(0.62, "cloud", "score 0.62 >= 0.5: code"), (0.5, "cloud", None), (0.49, "local", None)],
)
def test_a_score_that_reaches_the_threshold_goes_to_the_cloud(
    score: float, side: Side, why: str | None
) -> None:
    decision = decide(asking(), view("hybrid"), world(scorer=Fixed(score))).decision
    assert (decision.side, decision.score) == (side, score)
    assert why is None or decision.why == why


def test_the_rules_judge_by_default() -> None:
    assert decide(saying("hi"), view("hybrid"), world()).decision.side == "local"
    hard = "Prove, derive and justify: ```\nx\n```. It must not, unless exactly, " * 4
    assert decide(saying(hard), view("hybrid"), world()).decision.side == "cloud"


def test_what_the_local_model_cannot_do_goes_to_the_cloud_unscored() -> None:
    blind = world(lacks=lambda model, needs: needs & {"vision"})
    part = {"type": "image_url", "image_url": {"url": "u"}}
    seeing = asking(load=lambda: {"messages": [{"role": "user", "content": [part]}]})
    decision = decide(seeing, view("hybrid"), blind).decision
    assert (decision.side, decision.score) == ("cloud", None)
    assert decision.why == "llama3.2 lacks vision"
    assert decide(saying("hi"), view("hybrid"), blind).decision.side == "local"


def test_a_hybrid_of_two_clouds_only_scores() -> None:
    two = view("hybrid(cloud:other, cloud:openai, threshold=0.5)")
    blind = world(lacks=lambda model, needs: needs, scorer=Fixed(0.1))
    assert plan(decide(asking(), two, blind)) == "cloud:other/gpt-4o-mini"


# Privacy


@pytest.mark.parametrize(
    "policy",
    [
        "split(local=0, cloud=100)",
        "fallback(cloud, local)",
        "hedge(cloud, local, after=1s)",
        "hybrid(threshold=0)",
        "cascade",
        "shadow(local, cloud, share=100%)",
        "shadow(cloud, local, share=100%)",
    ],
)
def test_a_private_name_stays_whatever_its_policy(policy: str) -> None:
    ruling = decide(asking(), view(policy), world(privacy=Privacy(names=["GPT-*"])))
    assert plan(ruling) == "local:llama3.2"
    assert ruling.decision.private
    assert ruling.decision.why == "privacy: its name matches gpt-*"


@given(policies(), st.sampled_from([None, "local", "cloud"]), st.sampled_from([None, "cloud"]))
def test_no_policy_pin_or_switch_lets_a_private_request_leave(
    policy: Policy, override: Side | None, pin: Side | None
) -> None:
    table = Table([Route(pattern=NAME, policy=policy)])
    private = world(
        upstreams=("abc", "xyz"), privacy=Privacy(keys=["0123abcd"]), installed=lambda _: False
    )
    try:
        ruling = decide(asking(key="0123abcd", pin=pin), View(1, table, override), private)
    except Forbidden as error:
        assert error.code == "local_only"  # noqa: PT017
    else:
        assert {target.side for target in targets(ruling.plan)} == {"local"}


def test_a_pattern_in_the_text_keeps_it_here() -> None:
    private = world(privacy=Privacy(patterns=["geheim"]))
    assert decide(saying("sehr geheim"), view("fallback(cloud, local)"), private).decision.private
    assert plan(decide(saying("hallo"), view("cloud"), private)) == "cloud:openai/gpt-4o-mini"


def test_what_would_not_leave_anyway_is_not_looked_into() -> None:
    private = world(privacy=Privacy(names=["*"], patterns=["geheim"]))
    decision = decide(asking(load=unread), view("fallback(local, local:b)"), private).decision
    assert not decision.private


def test_a_private_request_of_a_cloud_route_is_answered_by_a_model_that_is_meant_here() -> None:
    private = world(privacy=Privacy(names=["*"]))
    assert plan(decide(asking(), view("cloud"), private)) == "local:llama3.2"
    assert plan(decide(asking(), view("cloud", local="m"), private)) == "local:m"
    aliased = view("cloud", pattern="x", aliases={"x": "m"})
    assert plan(decide(asking("x"), aliased, private)) == "local:m"


def test_a_private_request_without_a_local_model_is_refused() -> None:
    private = world(privacy=Privacy(names=["*"]), installed=lambda _: False)
    with pytest.raises(
        Forbidden, match=r"may not leave this machine \(privacy: .*--local MODEL"
    ) as e:
        decide(asking("gpt-9"), view("cloud", pattern="gpt-9"), private)
    assert e.value.code == "local_only"
    with pytest.raises(Forbidden):
        decide(asking("gpt-9"), view(), private)


def test_a_private_request_to_an_endpoint_of_upstreams_is_refused() -> None:
    private = world(privacy=Privacy(names=["*"]))
    with pytest.raises(Forbidden, match="a request without a model"):
        decide(asking("", kind="forward"), view(), private)


# The panic switch


def test_the_switch_goes_before_pin_and_policy() -> None:
    ruling = decide(
        asking(pin="local"), view("split(local=100, cloud=0)", override="cloud"), world()
    )
    assert plan(ruling) == "cloud:openai/gpt-4o-mini"
    assert ruling.decision.why == "panic switch: all cloud"


def test_the_switch_works_where_pins_are_not_allowed() -> None:
    ruling = decide(asking(pin="local"), view("local", override="cloud", pins=False), world())
    assert ruling.decision.side == "cloud"


@pytest.mark.parametrize(
    ("policy", "override", "more", "target"),
    [
        ("local", "cloud", {}, "cloud:openai/gpt-4o-mini"),
        ("local:m", "cloud", {"cloud": "other/x"}, "cloud:other/x"),
        ("cloud", "local", {}, "local:llama3.2"),
        ("cloud", "local", {"local": "m"}, "local:m"),
        ("shadow(cloud, local:m, share=100%)", "local", {}, "local:m"),
        ("shadow(cloud, local:m, share=100%)", "cloud", {}, "cloud:openai/gpt-4o-mini"),
        ("hybrid(threshold=1)", "cloud", {}, "cloud:openai/gpt-4o-mini"),
    ],
)
def test_all_goes_to_one_side(
    policy: str, override: Side, more: dict[str, Any], target: str
) -> None:
    assert plan(decide(asking(), view(policy, override=override, **more), world())) == target


def test_a_name_without_a_route_is_turned_as_well() -> None:
    alias = view(aliases={NAME: "llama3.2"}, override="cloud")
    assert plan(decide(asking(), alias, world())) == "cloud:openai/gpt-4o-mini"
    assert plan(decide(asking(), view(override="local"), world())) == "local:llama3.2"


@pytest.mark.parametrize(
    ("name", "override", "problem"),
    [
        ("llama3.2", "cloud", r"'llama3.2' has no cloud target .*it has local:llama3.2"),
        ("gpt-9", "local", r"'gpt-9' has no local target \(.*panic switch: all local\)"),
    ],
)
def test_a_name_without_a_target_on_that_side_is_told_so(
    name: str, override: Side, problem: str
) -> None:
    with pytest.raises(NoTarget, match=problem) as caught:
        decide(asking(name), view(override=override), world())
    assert caught.value.code == "no_target"


def test_without_any_upstream_the_advice_is_to_configure_one() -> None:
    with pytest.raises(NoTarget, match=r"Configure an upstream: \[upstreams\.NAME\]"):
        decide(asking(), view("local", override="cloud"), world(upstreams=()))


# Pins


def test_a_pin_chooses_the_side() -> None:
    split = view("split(local=100, cloud=0)")
    ruling = decide(asking(pin="cloud", load=unread), split, world())
    assert (ruling.decision.side, ruling.decision.why) == (
        "cloud",
        "pinned to cloud by x-reshore-route",
    )


def test_a_route_may_forbid_pins() -> None:
    with pytest.raises(RequestError, match=r"its route \(gpt-4o-mini\) does not allow it") as e:
        decide(asking(pin="local"), view("split(local=1, cloud=1)", pins=False), world())
    assert (e.value.code, e.value.param) == ("pin_not_allowed", "x-reshore-route")


@pytest.mark.parametrize(("policy", "pin"), [("local", "cloud"), ("cloud", "local")])
def test_a_pin_reaches_no_side_that_the_route_does_not_name(policy: str, pin: Side) -> None:
    with pytest.raises(NoTarget, match=rf"the route gpt-4o-mini: {policy}"):
        decide(asking(pin=pin), view(policy), world())


def test_a_pin_reaches_the_models_that_the_route_names() -> None:
    assert plan(decide(asking(pin="local"), view("cloud", local="m"), world())) == "local:m"
    assert (
        plan(decide(asking(pin="cloud"), view("local", cloud="other/x"), world()))
        == "cloud:other/x"
    )


def test_a_name_without_a_route_can_be_pinned_to_what_it_means() -> None:
    assert plan(decide(asking(pin="local"), view(), world())) == "local:llama3.2"


# Embeddings


def embedding(name: str = "text-embedding-3-small", **more: Any) -> Asking:
    return asking(name, kind="embedding", **more)


def embedding_view(policy: str, **more: Any) -> View:
    return view(policy, pattern="text-embedding-3-small", **more)


@pytest.mark.parametrize(
    "policy",
    [
        "split(local:all-minilm=50, cloud=50)",
        "fallback(local:all-minilm, cloud)",
        "fallback(local:all-minilm, local:nomic-embed-text)",
        "split(local:snowflake-arctic-embed:22m=1, local:snowflake-arctic-embed:335m=1)",
        "fallback(local:qwen3-embedding:0.6b-q8_0, local:qwen3-embedding:8b-q8_0)",
        "fallback(local:nomic-embed-text:v1, local:nomic-embed-text:v1.5)",
        "hybrid",
    ],
)
def test_embeddings_of_several_models_do_not_share_a_name(policy: str) -> None:
    with pytest.raises(RequestError, match=r"embeddings of several models.*mix_embeddings") as e:
        decide(embedding(), embedding_view(policy), world())
    assert e.value.code == "embedding_mix"
    assert decide(embedding(), embedding_view(policy, mix_embeddings=True), world())
    assert decide(asking("text-embedding-3-small"), embedding_view(policy), world())


@pytest.mark.parametrize(
    "policy",
    [
        "local:all-minilm",
        "cloud",
        "fallback(local:nomic-embed-text:latest, local:library/nomic-embed-text)",
        "fallback(local:qwen3-embedding:0.6b, local:qwen3-embedding:0.6B-q4_K_M)",
        "fallback(local:nomic-embed-text:v1.5, local:nomic-embed-text:v1.5-fp16)",
        "fallback(local:hf.co/a/e5-GGUF:Q4_K_M, local:hf.co/b/e5-GGUF:UD-IQ3_XXS)",
        "fallback(cloud:openai/text-embedding-3-small, cloud:other/openai/text-embedding-3-small)",
        "shadow(cloud, local:all-minilm, share=100%)",
    ],
)
def test_one_model_in_several_places_shares_a_name(policy: str) -> None:
    assert decide(embedding(load=unread), embedding_view(policy), world())


@pytest.mark.parametrize("more", [{"override": "local"}, {"local": "all-minilm"}])
def test_a_switch_or_pin_does_not_mix_them_either(more: dict[str, Any]) -> None:
    pin: Side | None = None if "override" in more else "local"
    with pytest.raises(RequestError, match="several models") as caught:
        decide(
            embedding(pin=pin),
            embedding_view("cloud", **more),
            world(installed=lambda name: name == "nomic-embed-text"),
        )
    assert caught.value.code == "embedding_mix"


def test_embeddings_are_not_checked_by_a_cascade() -> None:
    ruling = decide(embedding(), embedding_view("cascade", mix_embeddings=True), world())
    assert plan(ruling).startswith("fallback(local:")
    assert ruling.decision.why == "embeddings cannot be checked"


# Endpoints that only upstreams have


def forwarded(name: str = NAME, **more: Any) -> Asking:
    return asking(name, kind="forward", **more)


def test_what_is_forwarded_goes_to_the_upstream_of_its_name() -> None:
    ruling = decide(forwarded(load=unread), view("split(local=100, cloud:other=0)"), world())
    assert plan(ruling) == "cloud:other/gpt-4o-mini"


def test_what_has_no_model_goes_to_the_default_upstream() -> None:
    assert plan(decide(forwarded(""), view(), world())) == "cloud:openai/"
    assert plan(decide(forwarded("llama3.2"), view(), world())) == "cloud:openai/llama3.2"


def test_a_forwarded_request_has_no_shadow() -> None:
    ruling = decide(forwarded(), view("shadow(cloud, cloud:other, share=100%)"), world())
    assert plan(ruling) == "cloud:openai/gpt-4o-mini"


def test_a_local_route_forwards_nothing() -> None:
    with pytest.raises(NoTarget, match="has no cloud target; it has the route gpt-4o-mini: local"):
        decide(forwarded(), view("local"), world())


def test_all_local_forwards_nothing() -> None:
    with pytest.raises(NoTarget, match="answered by upstreams alone"):
        decide(forwarded(), view("cloud", override="local"), world())
    with pytest.raises(NoTarget, match="answered by upstreams alone"):
        decide(forwarded(pin="local"), view("cloud"), world())


# All of it


@given(
    policies(),
    st.sampled_from(["chat", "completion", "embedding", "forward"]),
    st.sampled_from([None, "local", "cloud"]),
    st.sampled_from([None, "local", "cloud"]),
    st.floats(0, 1, exclude_max=True),
)
def test_any_policy_gives_a_plan_or_an_error_for_people(
    policy: Policy, kind: Any, override: Side | None, pin: Side | None, at: float
) -> None:
    table = Table([Route(pattern="*", policy=policy)])
    facts = world(upstreams=("a", "b"), draw=lambda: at)
    problem = ""
    try:
        ruling = decide(saying("hi", kind=kind, pin=pin), View(3, table, override), facts)
    except RequestError as error:
        problem = str(error)
    if problem:
        assert len(problem) > 40
        return
    assert ruling.decision.version == 3
    assert ruling.decision.why
    assert ruling.decision.side == next(targets(ruling.plan)).side
    assert all(
        target.backend in (facts.upstreams if target.side == "cloud" else ("local",))
        for target in targets(ruling.plan)
    )
    if override or pin:
        assert {target.side for target in targets(ruling.plan)} == {override or pin}
