"""The complexity rules: explainable, in bounds, and sane."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.routing.complexity import Explanation, Part, Rules
from reshore.routing.content import Content, Turn, read_content
from reshore.routing.vocabulary import KINDS, OTHER_LANGUAGES

turns = st.builds(
    Turn, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=80), st.integers(0, 9)
)
contents = st.builds(
    Content,
    turns=st.lists(turns, max_size=4).map(tuple),
    tools=st.integers(0, 200),
    answer=st.sampled_from(["text", "json", "schema"]),
    max_tokens=st.none() | st.integers(0, 10**6),
    effort=st.sampled_from(["", "low", "medium", "high", "none", "odd"]),
)


def explain(text: str, **more: Any) -> Explanation:
    return Rules().explain(Content(turns=(Turn("user", text),), **more))


def features(text: str, **more: Any) -> dict[str, str]:
    return {part.feature: part.value for part in explain(text, **more).parts}


@given(contents)
def test_a_score_is_below_1_and_its_parts_add_up(content: Content) -> None:
    explanation = Rules().explain(content)
    points = sum(part.points for part in explanation.parts)
    assert 0 <= explanation.score < 1
    assert explanation.score == pytest.approx(points / (points + 1))
    assert all(part.points > 0 for part in explanation.parts)


@given(contents)
def test_the_weightiest_reason_comes_first(content: Content) -> None:
    points = [part.points for part in Rules().explain(content).parts]
    assert points == sorted(points, reverse=True)


@given(contents, st.integers(1, 5))
def test_more_tools_are_never_easier(content: Content, more: int) -> None:
    few = Rules().explain(Content(turns=content.turns, tools=content.tools))
    many = Rules().explain(Content(turns=content.turns, tools=content.tools + more))
    assert few.score < many.score


def test_nothing_scores_nothing() -> None:
    assert Rules().explain(Content()) == Explanation(score=0.0)
    assert Explanation(score=0.0).why() == "nothing in it"


def test_why_names_the_weightiest() -> None:
    parts = tuple(Part(str(i), f"{i} things", 9.0 - i) for i in range(5))
    assert Explanation(score=0.9, parts=parts).why() == "0 things, 1 things, 2 things"
    assert Explanation(score=0.9, parts=parts).why(1) == "0 things"


@pytest.mark.parametrize(
    ("text", "feature", "value"),
    [
        ("one two three", "words", "3 words"),
        ("hi", "words", "1 word"),
        ("do this, and that; then. Stop", "clauses", "3 clauses"),
        ("It must only be short", "constraints", "2 constraints"),
        ("Do not lie, never", "negations", "2 negations"),
        ("more than twice", "comparisons", "3 comparisons"),
        ("the total ratio", "quantities", "2 quantities"),
        ("Explain and justify", "reasoning tasks", "2 reasoning tasks"),
        ("12 of 30, or 4", "numbers", "3 numbers"),
        ("a = b + c", "symbols", "2 symbols"),
        ("a python function", "code", "about code"),
        ("```\nx\n```", "code", "code"),
        ("def f(x):\n    return (\n", "code", "code"),
        ("int main() {\n  f();\n}", "code", "code"),
        ("#include <a.h>", "code", "code"),
        ("Traceback (most recent call last):", "code", "code"),
        ("the eigenvalue of A", "mathematics", "mathematics"),
        (r"what is \frac{1}{2}", "mathematics", "mathematics"),
        ("solve $x^2 = 4$ now", "mathematics", "mathematics"),
        ("∑ of all", "mathematics", "mathematics"),
        ("Warum ist der Himmel blau, und was ist das für ein Licht?", "language", "not in English"),
        (
            "¿Cuál es la capital de Francia y qué se come en la ciudad?",
            "language",
            "not in English",
        ),
        ("请解释一下量子纠缠的原理", "language", "not in Latin script"),
        ("Почему небо голубое", "language", "not in Latin script"),
    ],
)
def test_what_is_seen_in_a_text(text: str, feature: str, value: str) -> None:
    assert features(text)[feature] == value


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("It cost $5 and then $10, all in all", "mathematics"),
        ("First, (see above) buy milk; then bread.\nThen rest.", "code"),
        ("The classes import many goods from abroad, for the market = us", "code"),
        ("The naïve café owner is in the résumé of what you read", "language"),
        ("OK", "language"),
    ],
)
def test_what_is_not_seen_in_a_text(text: str, feature: str) -> None:
    assert feature not in features(text)


def test_the_syntax_of_code_is_no_constraint() -> None:
    code = "def f(x):\n    if not x:\n        return None\n"
    assert not {"constraints", "negations"} & features(code).keys()


def test_scripts_without_spaces_have_length() -> None:
    assert features("请解释一下量子纠缠的原理")["words"] == "6 words"


def test_what_stands_around_the_question_counts() -> None:
    content = read_content(
        {
            "messages": [
                {"role": "user", "content": "a" * 3000},
                {"role": "assistant", "content": "b" * 2000},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "and this?"},
                        {"type": "image_url", "image_url": {"url": "u"}},
                    ],
                },
            ],
            "tools": [{}, {}],
            "response_format": {"type": "json_schema"},
            "reasoning_effort": "high",
            "max_tokens": 4000,
        }
    )
    seen = {part.feature: part.value for part in Rules().explain(content).parts}
    assert seen == {
        "words": "2 words",
        "turns": "2 turns",
        "context": "5000 characters before it",
        "tools": "2 tools",
        "images": "1 image",
        "answer": "an answer in a JSON Schema",
        "effort": "effort high",
        "answer length": "up to 4000 tokens",
    }


def test_a_short_limit_and_a_low_effort_are_no_reason() -> None:
    assert features("hi", max_tokens=100, effort="low").keys() == {"words"}


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    middle = "word " * 100_000
    seen = features(f"Prove it. {middle} never")
    assert seen["reasoning tasks"] == "1 reasoning task"
    assert seen["negations"] == "1 negation"
    assert "prove" not in middle


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "What is the capital of France?",
        "Translate 'good morning' into French.",
        "Write a haiku about autumn.",
        "Classify this review as positive or negative: The food was great, the service slow.",
    ],
)
def test_simple_requests_are_below_the_default_threshold(text: str) -> None:
    assert explain(text).score < 0.4


@pytest.mark.parametrize(
    "text",
    [
        "Write a Python function that parses RFC 3339 timestamps without using any library. It "
        "must handle leap seconds, offsets and fractional digits, raise ValueError for everything "
        "else, and include unit tests.",
        "Design a distributed rate limiter. Compare token bucket and sliding window, discuss "
        "consistency versus latency, and justify your choice. Include pseudo code and a migration "
        "plan; avoid any single point of failure, and assume at most 3 regions.",
    ],
)
def test_hard_requests_are_above_it(text: str) -> None:
    assert explain(text).score >= 0.5


def test_words_are_as_texts_are_cut_into_them() -> None:
    known = set(KINDS).union(*OTHER_LANGUAGES)
    assert all(word.isalpha() and word == word.lower() for word in known)
