"""Arithmetic in prose: what is right, what is wrong, and what nobody can say."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reshore.checks.arithmetic import check_arithmetic, statements
from tests.checks.saying import begun, said

RIGHT = [
    "3*4 = 12",
    "3 * 4 + 2 = 14",
    "3 × 4 = 12",
    "3 x 4 = 12",
    "12 ÷ 4 = 3",
    "5 − 7 = −2",
    "(-5) + 3 = -2",
    "-5 + 3 = -2",
    "2^10 = 1024",
    "2**3 = 8",
    "(1 + 2) * (3 + 4) = 21",
    "1,234 + 1 = 1,235",
    "$93 - $10.5 = $82.5",
    "15 cups + 25 cups = 40 cups. The rest is for later.",
    "He earns 40 hours * $10/hour = $400.",
    "3 hours * 60 mph = 180 miles",
    "20% of 50 = 10",
    "20 % of $50 = $10",
    "12/20 = 60%",
    "(12 / 20) x 100 = 60%",
    "0.6 * 5 = 3",
    "50 * 20% = 10",
    "The sum is 60 + 180 + 126 = 366 downloads.",
    "**Total:** 3 + 4 = **7**",
    r"\frac{1}{2} \times 8 = 4",
    r"\(3 \cdot 4 = 12\)",
    r"$\$3 \times 4 = \$12$",
    "17 \\* 4 = 68",
    "5 * 3 = 15 = 7 + 8",
    "6 x 6 = 36 / 12 = 3 pizzas",
    "123456 * 1000 = 123,000,000",
    "- 3 * 4 = 12",
    "1. 3 * 4 = 12",
    "(3 * 4 = 12)",
    '"3 * 4 = 12"',
    "2 nickels = 2 * 5 = 10 cents",
    "Well, so 3 + 4 = 7",
    "0.00^2 + 1 = 1",
    "so that is 7 - 2 = 5, and we are done",
]

ROUNDED = [
    "40 / 3 = 13.33",
    "40 / 3 = 13.3",
    "40 / 3 = 13",
    "2/3 = 0.67",
    "2/3 = 0.66",
    "7 / 2 = 4",
    "0.33 * 300 = 100",
    "13.33 * 3 = 40",
    "9.99 * 3 = 30",
    "140/3=46.666666666666664",
    "1/3 * 100 = 33.3%",
]

CONVERTED = [
    "2 kg * 3 = 6000 g",
    "50 cents * 4 = $2",
    "2 hours * 3 = 360 minutes",
    "1.500 + 500 = 2.000",
]

WRONG = [
    "3 * 4 = 13",
    "3*4+2=20",
    "5 * 3 = 15 = 7 + 9",
    "(12 / 20) x 100 = 55%",
    "20% of 50 = 12",
    "12/20 = 55%",
    "1,234 + 1 = 1,236",
    "15 cups + 25 cups = 41 cups",
    "40 hours * $10/hour = $450",
    "9.99*3 = 30.5",
    "40 / 3 = 14.33",
    "3150 + 1300 + 48 + 2 = 4490",
    "That makes 2 * 27 - 5 = 52 years.",
    "**Total:** 3 + 4 = **8**",
    r"\frac{1}{2} \times 8 = 5",
    "12.50 + 3.25 = 15.85",
    "5 - 7 = 2",
    "2^10 = 1000",
]

UNCLEAR = [
    "x = 5",
    "2x + 3 = 13",
    "x + 5 = 12",
    "M - 2 = 28 / 2 + 5",
    "a - 2 = 10 - 3",
    "4Pa - 20 = 100",
    "52 = 2A - 8 = 12",
    "60 - 8 = 2(A - 4)",
    "f(3 + 1) = 16",
    "sqrt(16 + 9) = 5",
    "half of 20 + 4 = 14",
    "3 less than 10 - 2 = 5",
    "the average of 4 + 6 = 5",
    "2 hours + 30 minutes = 150 minutes",
    "2 nickels = 2 * 6",
    "100 + 20% = 120",
    "10:30 + 2 = 12:30",
    "2024-01-05 + 1 = 2024-01-06",
    "1.2.3 + 1 = 2",
    "5! + 1 = 121",
    "3² + 1 = 10",
    "17 % 5 = 2",
    "12 + 5 = 5 (mod 12)",
    "101 + 11 = 1000",
    "5 million * 3 = 16",
    "a dozen 12 + 1 = 14 eggs",
    "3 5 + 4 = 12",
    "12 / 2/5 = 30",
    "2 + 2 == 5",
    "2 + 2 != 5",
    "2 + 2 >= 5",
    "2 + 2 ≈ 5",
    "2 + 2 = about 5",
    "2 + 2 = 5 is wrong",
    "It is not true that 2 + 2 = 5",
    "10 - x = 3",
    "10 / 0 = 3",
    "3,5 + 1 = 4,5",
    "1e5 + 1 = 7",
    "5 boxes and 3 + 4 = 12",
    "= 3 + 4",
    "3 + 4 = 7 8",
    "20% of everything = 5",
    "3 big red round shiny apples + 1 = 5",
    "3 + 4 =",
    "3 + 4 = seven",
    "2 ^ 99 = 5",
    "((((((((((((((1 + 1)))))))))))))) = 3",
    "1" * 30 + " + 1 = 2",
    "a=1&b=2",
    'width="5" height="3"',
]


@pytest.mark.parametrize("text", RIGHT + ROUNDED + CONVERTED)
def test_what_is_right_passes(text: str) -> None:
    assert check_arithmetic(said(text)).ok is True


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_fails(text: str) -> None:
    assert check_arithmetic(said(text)).ok is False


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_nobody_can_say_is_passed_by(text: str) -> None:
    assert check_arithmetic(said(text)).ok is None


def test_a_wrong_statement_among_right_ones_is_counted() -> None:
    text = "First 3 * 4 = 12. Then 12 + 5 = 18. Then 18 - 1 = 17."
    assert list(statements(text)) == [True, False, True]
    assert check_arithmetic(said(text)).detail == "1 of 3 statements wrong"
    assert check_arithmetic(said("3 + 4 = 8")).detail == "the only statement wrong"


def test_calculator_notes_are_statements_too() -> None:
    assert list(statements("3 * 4 = <<3*4=12>>12 miles")) == [True, True]
    assert list(statements("3 * 4 = <<3*4=13>>13 miles")) == [False, False]


def test_code_is_passed_by_and_its_comments_as_well() -> None:
    assert list(statements("```python\nassert 2 + 2 == 5  # 2 + 2 = 5\n2 + 2 = 5\n```")) == []
    assert list(statements("```\n2 + 2 = 5\n```")) == [False]


def test_the_texts_in_a_json_answer_are_read() -> None:
    text = '```json\n{"reasoning": "3 * 4 = 12\\nso 12 + 1 = 14", "steps": ["1 + 1 = 2"]}\n```'
    assert sorted(statements(text)) == [False, True, True]
    broken = '{"reasoning": "3 * 4 = 12\\n2. so 12 + 1 = 14'
    assert list(statements(broken)) == [True, False]


def test_the_last_line_of_a_part_is_not_judged() -> None:
    assert check_arithmetic(begun("Well,\n3 * 4 = 1")).ok is None
    assert check_arithmetic(begun("3 * 4 = 1\nand")).ok is False
    assert check_arithmetic(begun("3 * 4 = 12\nand")).ok is None


def test_a_text_without_end_is_not_read_to_its_end() -> None:
    assert len(list(statements("3 + 4 = 7\n" * 10_000))) == 400


NUMBERS = st.integers(1, 9999)


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from("+-*"), st.sampled_from("+-*"))
def test_whole_numbers_are_judged_exactly(a: int, b: int, c: int, one: str, two: str) -> None:
    value = eval(f"{a}{one}{b}{two}{c}")
    assert check_arithmetic(said(f"So {a} {one} {b} {two} {c} = {value}.")).ok is not False
    assume(not f"{value + 1}".endswith("000"))
    grouped = f"{a:,} {one} {b:,} {two} {c:,} = {value + 1:,}"
    assert check_arithmetic(said(grouped)).ok is not True


@given(st.integers(2, 999), st.integers(2, 999), st.integers(0, 4))
def test_quotients_may_be_rounded_to_any_place(a: int, b: int, places: int) -> None:
    result = f"{a / b:.{places}f}" if places else a // b
    assert check_arithmetic(said(f"{a} / {b} = {result}")).ok is not False


@given(st.text(alphabet="0123456789 +-*/=().,%$xX^<>:abc\n", max_size=120))
def test_any_text_can_be_judged(text: str) -> None:
    assert check_arithmetic(said(text)).ok in (True, False, None)
    assert check_arithmetic(begun(text)).ok in (False, None)


@given(st.text(max_size=200))
def test_whatever_stands_there_can_be_judged(text: str) -> None:
    list(statements(text + "\n1 + 1 = 2"))
