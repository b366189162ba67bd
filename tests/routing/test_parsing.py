"""Policies are written and read in one text form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import RouteError
from reshore.routing.parsing import parse_policy, parse_policy_words
from reshore.routing.policy import (
    CHECKS,
    DEFAULT_CHECKS,
    Arm,
    Cascade,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Shadow,
    Split,
)
from tests.routing.policies import policies


@given(policies())
def test_what_is_written_is_read_back(policy: Policy) -> None:
    assert parse_policy(str(policy)) == policy


@given(policies())
def test_the_text_of_what_was_read_is_the_same_text(policy: Policy) -> None:
    assert str(parse_policy(str(policy))) == str(policy)


@given(st.text("abc:=,() \tlocalcloudsplit0123456789.%+", max_size=40))
def test_any_text_is_a_policy_or_an_error_with_a_place(text: str) -> None:
    policy, problem = None, ""
    try:
        policy = parse_policy(text)
    except RouteError as error:
        problem = str(error)
    assert policy or f"policy '{text}', character " in problem
    assert policy is None or parse_policy(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("local", Local()),
        (" local:llama3.2\n", Local("llama3.2")),
        ("local:hf.co/owner/repo:Q4_K_M", Local("hf.co/owner/repo:Q4_K_M")),
        ("cloud", Cloud()),
        ("cloud:openai", Cloud("openai")),
        ("cloud:openai/gpt-4o", Cloud("openai", "gpt-4o")),
        ("cloud:router/meta/llama-3:free", Cloud("router", "meta/llama-3:free")),
        ("cloud:/gpt-4o", Cloud("", "gpt-4o")),
        (
            "split(local=10, cloud=90, sticky=user)",
            Split((Arm(10, Local()), Arm(90, Cloud())), "user"),
        ),
        (
            "split( local = 0.5 ,cloud=1e1)",
            Split((Arm(0.5, Local()), Arm(10, Cloud()))),
        ),
        (
            "split(local=10%, cloud=90%, sticky=header:X-Session)",
            Split((Arm(10, Local()), Arm(90, Cloud())), "header:X-Session"),
        ),
        (
            "fallback(local, cloud, on=timeout+overload, resume=yes)",
            Fallback((Local(), Cloud()), frozenset({"timeout", "overload"}), True),
        ),
        ("fallback(local, cloud, resume=no)", Fallback((Local(), Cloud()))),
        ("hedge(local, cloud, after=800ms)", Hedge(Local(), Cloud(), 800.0)),
        ("hedge(local, cloud, after=1m30s)", Hedge(Local(), Cloud(), 90_000.0)),
        ("hedge(local, cloud, after=2)", Hedge(Local(), Cloud(), 2000.0)),
        ("hybrid", Hybrid()),
        ("hybrid()", Hybrid()),
        ("hybrid(threshold=40%)", Hybrid(threshold=0.4)),
        ("hybrid(local:m, cloud, threshold=0.4)", Hybrid(Local("m"), Cloud(), 0.4)),
        ("cascade", Cascade()),
        (
            "cascade(checks=finish+refusal+json, budget=10s, late=cloud)",
            Cascade(checks=("finish", "refusal", "json")),
        ),
        (
            "cascade(local:m, cloud:a, late=local, budget=1.5s)",
            Cascade(Local("m"), Cloud("a"), late="local", budget_ms=1500.0),
        ),
        ("shadow(cloud, local, share=5%)", Shadow(Cloud(), Local(), 0.05)),
        ("shadow(cloud, local, share=7%)", Shadow(Cloud(), Local(), 0.07)),
        (
            "shadow(split(local=10, cloud=90), cloud:other/gpt-4o, share=1%)",
            Shadow(Split((Arm(10, Local()), Arm(90, Cloud()))), Cloud("other", "gpt-4o"), 0.01),
        ),
        (
            "split(fallback(local, cloud)=10, cloud=90)",
            Split((Arm(10, Fallback((Local(), Cloud()))), Arm(90, Cloud()))),
        ),
    ],
)
def test_what_a_text_means(text: str, policy: Policy) -> None:
    assert parse_policy(text) == policy


def test_an_error_repeats_the_beginning_of_a_long_text_only() -> None:
    with pytest.raises(RouteError, match=r"^policy '(local,){33}lo…', character 6: expected"):
        parse_policy("local," * 1000)


def test_how_a_check_is_done_asks_for_the_check() -> None:
    assert parse_policy("cascade(agree_with=gemma2:9b)") == Cascade(
        checks=(*DEFAULT_CHECKS, "agreement"), agree_with="gemma2:9b"
    )
    assert parse_policy("cascade(checks=logprob, min_logprob=-0.5)") == Cascade(
        checks=("logprob",), min_logprob=-0.5
    )
    assert parse_policy("cascade(checks=finish, min_logprob=-1)") == Cascade(
        checks=("finish", "logprob")
    )


def test_a_check_named_twice_is_done_once() -> None:
    assert parse_policy("cascade(checks=json+finish+json)") == Cascade(checks=("json", "finish"))


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("", 1, "expected a policy, found the end"),
        ("  ", 3, "expected a policy, found the end"),
        (",", 1, "expected a policy, found ','"),
        ("locl", 1, "'locl' is no policy; expected one of local, cloud, .* Did you mean local"),
        ("locl:m", 1, "'locl:m' is no policy.* Did you mean local"),
        ("split(locl=10)", 7, "Did you mean local"),
        ("local cloud", 7, "expected the end, found 'cloud'"),
        ("local:", 1, "expected a name behind 'local:'"),
        ("cloud:", 1, "expected a name behind 'cloud:'"),
        ("cloud:openai/", 1, "expected a model behind 'cloud:openai/'"),
        ("local(m)", 1, "local takes no parentheses"),
        ("split(local=10", 15, r"expected ',' or '\)', found the end"),
        ("split(local=10))", 16, r"expected the end, found '\)'"),
        ("split(local=10 cloud=3)", 16, r"expected ',' or '\)', found 'cloud'"),
        ("split(local=)", 13, r"expected a value for local, found '\)'"),
        ("split(=3)", 7, "expected a policy, found '='"),
        ("split", 1, "split has no sides"),
        ("split()", 1, "split has no sides"),
        ("split(local, cloud)", 7, "expected a weight; write local=10"),
        ("split(local=ten)", 13, "expected a number, found 'ten'"),
        ("split(local=inf)", 13, "expected a number, found 'inf'"),
        ("split(local=-1)", 13, "expected a weight of 0 or more, found '-1'"),
        ("split(local=1e999)", 13, "expected a weight of 0 or more"),
        ("split(local=0, cloud=0)", 1, "no positive sum"),
        ("split(local=1e308, cloud=1e308)", 1, "no positive sum"),
        ("split(local=10, stiky=user)", 23, "expected a number, found 'user'.* mean sticky"),
        ("split(local=1, sticky=session)", 23, "sticky: expected conversation, user, header"),
        ("split(local=1, sticky=header:)", 23, "sticky: expected conversation, user, header"),
        ("fallback(local)", 1, "fallback takes at least 2 policies"),
        ("fallback(local, cloud, on=timeot)", 27, "on: expected error, .* mean timeout"),
        ("fallback(local, cloud, on=error, on=error)", 34, "on is set twice"),
        ("fallback(local, cloud, resume=maybe)", 31, "resume: expected yes or no"),
        ("fallback(local, on, cloud)", 17, "'on' is no policy"),
        ("hedge(local, cloud)", 1, "add after=800ms"),
        ("hedge(local, after=1s)", 1, "hedge takes 2 policies"),
        ("hedge(local, cloud, cloud, after=1s)", 21, "hedge takes 2 policies"),
        ("hedge(local, cloud, after=soon)", 27, "after: 'soon' is not a duration"),
        ("hedge(local, cloud, after=-1s)", 27, "after: expected a time of 0 or more"),
        ("hedge(local, cloud, aftr=1s)", 21, "no option of hedge; expected after=.* mean after"),
        ("hybrid(local)", 8, "hybrid takes both sides, or none"),
        ("hybrid(threshold=2)", 18, "threshold: expected a share between"),
        ("hybrid(threshold=x%)", 18, "threshold: expected a number"),
        ("cascade(cloud, local)", 1, "the first policy of a cascade is local"),
        ("cascade(checks=jsn)", 16, "checks: expected .* Did you mean json"),
        ("cascade(late=never)", 14, "late: expected local or cloud"),
        ("cascade(min_logprob=1)", 21, "min_logprob: expected a log-probability of 0 or less"),
        ("shadow(cloud, local)", 1, "add share=5%"),
        ("shadow(cloud, hybrid, share=1%)", 1, "the second policy of a shadow"),
        ("shadow(cloud, local, share=101%)", 28, "share: expected a share between"),
        ("hybrid(" * 14 + ")" * 14, 85, "nested more than 12 deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, at: int, problem: str) -> None:
    with pytest.raises(RouteError, match=rf"character {at}: .*{problem}"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("split", "local=10,cloud=90"), "split(local=10, cloud=90)"),
        (("split", "local=10", "cloud=90", "sticky=user"), "split(local=10,cloud=90,sticky=user)"),
        (("split", "local=10,", "cloud=90"), "split(local=10, cloud=90)"),
        (("local",), "local"),
        (("local", "llama3.2"), "local:llama3.2"),
        (("cloud", "openai/gpt-4o"), "cloud:openai/gpt-4o"),
        (("hybrid",), "hybrid"),
        (("hybrid", "threshold=0.4"), "hybrid(threshold=0.4)"),
        (("hedge(local,", "cloud,", "after=1s)"), "hedge(local, cloud, after=1s)"),
        (
            ("shadow", "split(local=1,cloud=2)", "local", "share=1%"),
            "shadow(split(local=1, cloud=2), local, share=1%)",
        ),
    ],
)
def test_words_of_a_shell_mean_the_same(words: tuple[str, ...], text: str) -> None:
    assert parse_policy_words(*words) == parse_policy(text)


def test_no_words_are_no_policy() -> None:
    with pytest.raises(RouteError, match="expected a policy"):
        parse_policy_words()


def test_defaults_are_left_out_of_the_text() -> None:
    assert str(Hybrid()) == "hybrid(threshold=0.5)"
    assert str(Cascade()) == "cascade(budget=10s, late=cloud)"
    assert str(Fallback((Local(), Cloud()))) == "fallback(local, cloud)"
    assert str(Split((Arm(10, Local()), Arm(90, Cloud())))) == "split(local=10, cloud=90)"


def test_reasons_are_written_in_one_order() -> None:
    policy = Fallback((Local(), Cloud()), frozenset({"overload", "error"}))
    assert str(policy) == "fallback(local, cloud, on=error+overload)"


def test_the_default_checks_are_the_cheap_ones() -> None:
    assert set(CHECKS) - set(DEFAULT_CHECKS) == {"language", "logprob", "agreement"}
