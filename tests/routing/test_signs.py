"""What a learned router reads in prompts and answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.routing.complexity import Explanation, Part
from reshore.routing.signs import answer_signs, prompt_signs, terms


def test_terms_are_words_marks_and_neighbours() -> None:
    assert terms("Which IS it?") == {"which", "is", "it", "?", "which is", "is it", "it ?"}
    assert terms("") == set()


def test_of_a_long_text_beginning_and_end_are_read() -> None:
    found = terms("begin " + "middle " * 2000 + "end")
    assert {"begin", "middle", "end"} <= found
    assert "rare" not in terms("begin " * 500 + "rare " + "end " * 500)


def test_the_points_of_one_feature_are_added() -> None:
    rules = Explanation(score=0.5, parts=(Part("code", "a", 0.5), Part("code", "b", 0.25)))
    assert prompt_signs("four", rules) == {"length": math.log1p(4), "code": 0.75}


def test_wrong_arithmetic_shows() -> None:
    right = answer_signs("How many?", "3 * 4 = 12\n#### 12")
    wrong = answer_signs("How many?", "3 * 4 = 13\n2 + 2 = 4\n#### 13")
    assert right["answer wrong statements"] == 0
    assert wrong["answer wrong share"] == 0.5
    assert right["answer marked"] == wrong["answer marked"] == 1


@pytest.mark.parametrize(
    ("answer", "signs"),
    [
        ("The answer is -3", {"number": 1, "negative": 1, "fraction": 0, "no final": 0}),
        ("The answer is 2.5", {"number": 1, "negative": 0, "fraction": 1}),
        ("It depends on many things.\nOne is time.", {"number": 0, "no final": 1, "size": -1}),
        ("I'm sorry, but I can't help with that request.", {"refusal": 1}),
        ("and so on and on " * 60, {"repetition": 1}),
    ],
)
def test_final_answers_and_failures_show(answer: str, signs: dict[str, float]) -> None:
    found = answer_signs("Say.", answer)
    assert {name: found[f"answer {name}"] for name in signs} == signs


def test_numbers_of_the_question_that_are_used_show() -> None:
    found = answer_signs("5 apples and 7 pears", "5 are apples, and 9 more")
    assert found["answer used numbers"] == 0.5


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_gives_the_same_finite_numbers(asked: str, answer: str) -> None:
    found = answer_signs(asked, answer)
    assert found.keys() == answer_signs("", "").keys()
    assert all(math.isfinite(value) for value in found.values())


def test_a_final_number_of_any_size_is_finite() -> None:
    assert math.isfinite(answer_signs("q", "#### " + "9" * 500)["answer size"])
