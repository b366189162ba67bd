"""Where two answers differ, word by word."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from reshore.evals.compare.page.differences import marked
from tests.evals.compare.page.test_markup import Seen


def test_words_that_differ_are_marked_on_both_sides() -> None:
    first, second = marked("The answer is 4 apples.", "The answer is 5 apples.")
    assert first == "The answer is <del>4 </del>apples."
    assert second == "The answer is <ins>5 </ins>apples."


def test_what_only_one_of_them_says_is_marked_there() -> None:
    first, second = marked("It is red.", "It is bright red.")
    assert first == "It is red."
    assert second == "It is <ins>bright </ins>red."


def test_equal_texts_and_texts_that_are_hardly_alike_have_no_marks() -> None:
    assert marked("a b c", "a b c") == ("a b c", "a b c")
    one, other = "one two three four five", "un deux trois quatre cinq"
    assert marked(one, other) == (one, other)


@given(st.text(alphabet=" \nab<&"), st.text(alphabet=" \nab<&"))
def test_no_word_is_lost(first: str, second: str) -> None:
    left, right = marked(first, second)
    assert (Seen(left).data, Seen(right).data) == (first, second)


def test_long_answers_take_no_long_time() -> None:
    """A thousand prompts are marked while somebody waits."""
    one = " ".join(f"word{n % 50}" for n in range(50_000))
    began = time.perf_counter()
    marked(one, one.replace("word7 ", "other "))
    marked(one.replace(" ", "\n"), one.replace("word7 ", "other\n").replace(" ", "\n"))
    assert time.perf_counter() - began < 1.0
