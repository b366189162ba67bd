"""What a learned router looks at in a prompt and in an answer: terms and numbers. Pure.

Training and deciding read texts with these functions alike, so that they cannot see different
things. The numbers of a prompt are the points of the complexity rules, those of an answer are what
the checks find in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from reshore.checks.arithmetic import statements
from reshore.checks.check import Said
from reshore.checks.final_answer import FinalAnswer, final_answer, is_marked
from reshore.checks.refusal import check_refusal
from reshore.checks.repetition import check_repetition
from reshore.routing.complexity import Explanation, shortened
from reshore.types import ChatRequest, Message

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# Of an answer the checks look at more; where it is longer than this, its length says enough.
_ANSWER = 20_000


def terms(text: str) -> set[str]:
    """The words and marks of a text in lower case, and the pairs of neighbours.

    Of a long text the beginning and the end are read, as the complexity rules do.
    """
    tokens = _TOKEN.findall(shortened(text).lower())
    return {*tokens, *map(" ".join, pairwise(tokens))}


def prompt_signs(asked: str, rules: Explanation) -> dict[str, float]:
    """The points of the rules by feature, and the logarithm of the length."""
    signs = {"length": math.log1p(len(asked))}
    for part in rules.parts:
        signs[part.feature] = signs.get(part.feature, 0.0) + part.points
    return signs


def answer_signs(asked: str, answer: str) -> dict[str, float]:
    """What the checks find in an answer, and its shape; counts by their logarithm.

    A few hundred microseconds for an answer of 500 characters, most of them for its arithmetic.
    """
    text = answer[:_ANSWER]
    found = {
        **_arithmetic_signs(text),
        **_final_signs(final_answer(text), marked=is_marked(text)),
        **_shape_signs(asked, text),
        **_failure_signs(asked, text),
    }
    return {f"answer {name}": float(value) for name, value in found.items()}


def _arithmetic_signs(text: str) -> dict[str, float]:
    judged = list(statements(text))
    wrong = judged.count(False)
    return {
        "statements": math.log1p(len(judged)),
        "wrong statements": math.log1p(wrong),
        "wrong share": wrong / max(len(judged), 1),
    }


def _final_signs(final: FinalAnswer | None, *, marked: bool) -> dict[str, float]:
    number = final.value if final is not None and final.kind == "number" else None
    return {
        "marked": marked,
        "no final": final is None,
        "number": number is not None,
        "fraction": number is not None and number.denominator != 1,
        "negative": number is not None and number < 0,
        "size": -1.0 if number is None else _magnitude(abs(number)),
    }


def _magnitude(number: float) -> float:
    """The logarithm of 1 + number, for fractions of any size too."""
    return math.log1p(min(float(min(number, 10**18)), 1e18))


def _shape_signs(asked: str, text: str) -> dict[str, float]:
    words = _TOKEN.findall(text.lower())
    given, used = set(_NUMBER.findall(asked)), _NUMBER.findall(text)
    return {
        "length": math.log1p(len(text)),
        "ratio": math.log1p(len(asked)) - math.log1p(len(text)),
        "lines": math.log1p(sum(not line.isspace() for line in text.splitlines())),
        "numbers": math.log1p(len(used)),
        "given numbers": math.log1p(len(given)),
        "used numbers": len(given.intersection(used)) / max(len(given), 1),
        "variety": len(set(words)) / max(len(words), 1),
        **{name: math.log1p(_count(text, marks)) for name, marks in _MARKS},
    }


_MARKS = (
    ("equals", "="),
    ("parentheses", "("),
    ("ends", ".?"),
    ("products", "*/"),
    ("percent", "%"),
)


def _count(text: str, marks: Sequence[str]) -> int:
    return sum(text.count(mark) for mark in marks)


def _failure_signs(asked: str, text: str) -> dict[str, float]:
    request = ChatRequest(model="", messages=(Message(role="user", content=asked),))
    said = Said(request=request, text=text)
    return {
        "refusal": check_refusal(said).ok is False,
        "repetition": check_repetition(said).ok is False,
    }
