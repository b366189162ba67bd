"""What answers come down to, and when two are the same."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.checks.agreement import agree
from reshore.checks.final_answer import FinalAnswer, final_answer, is_marked, same
from reshore.types import ToolCall
from tests.checks.saying import said

PROSE = "The history of the town begins in 1204, when the monks came. They built a mill in 1210."


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("He has 3 left.\n#### 1,234", "number", Fraction(1234)),
        ("#### -12.5 dollars", "number", Fraction(-25, 2)),
        (r"Thus \boxed{42}.", "number", Fraction(42)),
        (r"Thus \boxed{\text{B}}.", "letter", "B"),
        ("The answer is 12.", "number", Fraction(12)),
        ("The final answer is: **$12**", "number", Fraction(12)),
        ("Final Answer: (C)", "letter", "C"),
        ("The correct answer is B) Paris", "letter", "B"),
        ("Answer: yes, because it is.", "truth", True),
        ("Die Antwort ist 12", "number", Fraction(12)),
        ("The answer is 3 + 4 = 7", "number", Fraction(7)),
        ("The answer is 5. No: the answer is 6.", "number", Fraction(6)),
        ("So we add them up. So, the total is 3 + 4 = 7 dollars.", "number", Fraction(7)),
        ("One by one.\n\nTherefore, Ann has 12 apples.", "number", Fraction(12)),
        ("42", "number", Fraction(42)),
        ("B", "letter", "B"),
        ("(b)", "letter", "B"),
        ("True.", "truth", True),
        ("No", "truth", False),
        ("Paris", "text", "paris"),
        ('"Paris!"', "text", "paris"),
        ('{"reasoning": "…", "answer": "12"}', "number", Fraction(12)),
        ('```json\n{"reasoning": "a", "answer": 12.50}\n```', "number", Fraction(25, 2)),
        ('{"answer": true}', "truth", True),
        ('{"answer": {"a": 1}}', "json", {"a": 1}),
        ('{"answer": ""}', "text", ""),
        ('{"answer": "UppEr, it"}', "text", "UppEr, it"),
        ('{"answer": "80adas"}', "text", "80adas"),
        ('{"answer": "0080"}', "text", "0080"),
        ('{"answer": "[1, 2]"}', "json", [1, 2]),
        ('{"answer": "{\'a\': (1, 2)}"}', "json", {"a": (1, 2)}),
        ('{"answer": "[1, oops"}', "text", "[1,oops"),
        ('{"reasoning": "a\nb", "answer": "7"}', "number", Fraction(7)),
        ('Sure:\n```json\n{"answer": "7"}\n```\nDone.', "number", Fraction(7)),
        ('{"name": "Ann"}', "json", {"name": "Ann"}),
        ("[1, 2, 3]", "json", [1, 2, 3]),
    ],
)
def test_a_final_answer_is_found(text: str, kind: str, value: Any) -> None:
    assert final_answer(text) == FinalAnswer(kind, value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        PROSE,
        PROSE + "\nSo the story ends.",
        '{"reasoning": "cut off',
        "The answer is " + "a long story about many things " * 5,
        "{" * 5000,
    ],
)
def test_prose_comes_down_to_nothing(text: str) -> None:
    assert final_answer(text) is None


def test_a_mark_is_known_from_a_conclusion() -> None:
    assert is_marked("#### 12")
    assert is_marked('{"answer": "12')
    assert not is_marked("Therefore, Ann has 12 apples.")


def number(value: str) -> FinalAnswer:
    return FinalAnswer("number", Fraction(value))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (number("12"), number("12"), True),
        (number("12"), number("13"), False),
        (number("13.33"), number("13.333"), True),
        (number("13.33"), number("13.5"), False),
        (number("100000"), number("100001"), False),
        (number("12"), FinalAnswer("text", "12"), False),
        (FinalAnswer("json", {"a": 1, "b": 2}), FinalAnswer("json", {"b": 2.0, "a": 1}), True),
        (FinalAnswer("json", [1]), FinalAnswer("json", [True]), False),
        (FinalAnswer("json", (1, 2)), FinalAnswer("json", [1, 2]), False),
        (FinalAnswer("json", [1, 2]), FinalAnswer("json", [2, 1]), False),
    ],
)
def test_answers_are_the_same(one: FinalAnswer, other: FinalAnswer, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_two_answers_agree_or_differ() -> None:
    assert agree(said("#### 12"), said("The answer is 12.")).ok is True
    differ = agree(said("#### 12"), said("#### 13"))
    assert differ.ok is False
    assert "12" not in differ.detail


@pytest.mark.parametrize("texts", [(PROSE, "#### 12"), ("#### 12", PROSE), (PROSE, PROSE)])
def test_without_two_final_answers_nobody_can_say(texts: tuple[str, str]) -> None:
    assert agree(said(texts[0]), said(texts[1])).ok is None


def call(name: str, arguments: str) -> ToolCall:
    return ToolCall(id="x", name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("one", "other", "agreed"),
    [
        ([call("f", '{"a": 1, "b": 2}')], [call("f", '{"b":2,"a":1}')], True),
        ([call("f", '{"a": 1}')], [call("f", '{"a": 2}')], False),
        ([call("f", '{"a": 5, "b": true}')], [call("f", '{"a": "5", "b": "true"}')], True),
        ([call("f", '{"a": "5"}')], [call("f", '{"a": "6"}')], False),
        ([call("f", "{}")], [call("g", "{}")], False),
        ([call("f", "{}"), call("g", "{}")], [call("g", "{}"), call("f", "{}")], True),
        ([call("f", "{}")], [call("f", "{}"), call("f", "{}")], False),
        ([call("f", "{}")], [], False),
        ([call("f", "{oops")], [call("f", "{oops")], True),
    ],
)
def test_calls_agree_in_any_order(one: list[ToolCall], other: list[ToolCall], agreed: bool) -> None:
    first, second = said(tool_calls=tuple(one)), said(tool_calls=tuple(other))
    assert agree(first, second).ok is agreed
    assert agree(second, first).ok is agreed


@pytest.mark.parametrize(
    "text",
    ["answer" + "\n" * 9000, "the answer is " * 1500, "```\n" + "\n" * 9000, "\\boxed{" * 3000],
)
def test_a_loop_cannot_keep_the_check_busy(text: str) -> None:
    began = time.process_time()
    final_answer(text)
    is_marked(text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("digits", [350, 5000])
@pytest.mark.parametrize(
    "text", ["The answer is {}", "One by one.\nSo it is {}", '{{"answer": {}}}']
)
def test_a_number_of_endless_digits_breaks_nothing(text: str, digits: int) -> None:
    endless = text.format("1" * digits)
    assert agree(said(endless), said("The answer is 5.5")).ok is not True


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    found = final_answer(text)
    assert found is None or same(found, found)
    assert agree(said(text), said(text)).ok in (True, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, min_size=1), st.randoms())
def test_json_is_the_same_in_any_order_and_spacing(value: dict[str, Any], random: Any) -> None:
    names = list(value)
    random.shuffle(names)
    shuffled = json.dumps({name: value[name] for name in names}, indent=1)
    assert agree(said(json.dumps(value)), said(shuffled)).ok is True
