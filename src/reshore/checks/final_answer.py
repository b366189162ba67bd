"""What an answer comes down to, where it comes down to something that can be compared."""

from __future__ import annotations

import ast
import math
import re
from contextlib import suppress
from fractions import Fraction
from typing import Any, Literal

import msgspec
from msgspec import Struct

Kind = Literal["number", "letter", "truth", "text", "json"]

# What is longer is prose: two of them are never equal, whatever they say.
_LONGEST_TEXT = 80
_LONGEST_LITERAL = 4000
# The end of a longer answer is looked at; and runs of blanks are cut, over which the patterns would
# try each length.
_LONGEST_ANSWER = 20_000
_LONG_BLANKS = re.compile(r"(\s{8})\s+")

_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```", re.DOTALL)
_ANSWER_KEYS = ("answer", "final_answer", "finalAnswer", "result")
_ANSWER_FIELD = re.compile(
    r'"(?:final_?answer|answer|result)"\s*:\s*("(?:[^"\\]|\\.)*"|[^,}\n]+)', re.IGNORECASE
)
_MARKS = (
    re.compile(r"####[ \t]*(?P<answer>[^\n]+)"),
    re.compile(r"\\boxed\{(?P<answer>(?:[^{}]|\{[^{}]*\})+)\}"),
    re.compile(
        r"\b(?:final\s+|correct\s+|right\s+)?(?:answer|antwort|réponse|respuesta|risposta|resposta)"
        r"(?:\s+is|\s+ist|\s+est|\s+es|\s+è|\s+é)?\s*[:=]?[*_\s]*:?\s*(?P<answer>[^\n]+?)"
        r"(?=[.!?]\s|[.!?]?$|\n)",
        re.IGNORECASE,
    ),
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
# The last sentence of a calculation: what it concludes with is its last number.
_CONCLUSION = re.compile(
    r"^(?:\W*)(?:so|therefore|thus|hence|in total|altogether|finally|in conclusion|total)\b",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"^(?:(?:option|choice)\s+)?[(\[]?([A-Ja-j])[)\]]?(?:[.):]\s.*|[.):]?\s*)$", re.DOTALL
)
_TRUTH = re.compile(
    r"^(yes|no|true|false|ja|nein|oui|non|sí|si)(?=\s*(?:$|[,.;:!(–—-]))", re.IGNORECASE
)
_YES = frozenset({"yes", "true", "ja", "oui", "sí", "si"})
_NUMBER = re.compile(
    r"(?<![\w.,])([-−]?)\s?[$€£¥]?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?!\w)"
)
# More digits fit into no float, with which rounded numbers are compared, and 4,300 into no integer.
_MOST_DIGITS = 300
# Numbers do not begin so; identifiers and the outputs of programs do.
_PADDED = re.compile(r"^0\d")
_EDGES = " \t\r\n.*_`\"'“”‘’"


class FinalAnswer(Struct, frozen=True):
    """What an answer comes down to: `value` is comparable with others of its kind."""

    kind: Kind
    value: Any


def final_answer(text: str) -> FinalAnswer | None:
    """The answer in `text`: JSON, or what stands after a mark of one (`####`, `\\boxed`, "the
    answer is"), or all of a short text, or the last number of a conclusion; None for prose."""
    text = _ending(text)
    fenced = _FENCE.match(text)
    body = fenced[1] if fenced else text.strip()
    if body[:1] in ("{", "["):
        return _of_json(body)
    marked = _marked(text)
    if marked is not None:
        return marked
    if len(body) <= _LONGEST_TEXT and "\n" not in body:
        return _of_value(body)
    return _concluded(body)


def is_marked(text: str) -> bool:
    """Whether `text` says of something that it is its final answer."""
    return _marked(_ending(text)) is not None


def last_numbers(text: str) -> list[FinalAnswer]:
    """The numbers of the last sentence that has any: of a calculation in prose, the last of them is
    most often its result."""
    found = (_numbers(sentence) for sentence in reversed(_SENTENCE.split(_ending(text))))
    return [FinalAnswer("number", number) for number in next(filter(None, found), [])]


def same(one: FinalAnswer, other: FinalAnswer) -> bool:
    """Whether two answers come down to the same; numbers may be rounded differently."""
    if one.kind != other.kind:
        return False
    if one.kind == "number":
        tolerance = 1e-3 if _rounded(one, other) else 1e-9
        return math.isclose(one.value, other.value, rel_tol=tolerance)
    return bool(_canonical(one.value) == _canonical(other.value))


def _ending(text: str) -> str:
    return _LONG_BLANKS.sub(r"\1", text[-_LONGEST_ANSWER:])


def _rounded(one: FinalAnswer, other: FinalAnswer) -> bool:
    return not (float(one.value).is_integer() and float(other.value).is_integer())


def _canonical(value: Any) -> Any:
    """Such that equal JSON is equal: 1 is 1.0 but not true."""
    if isinstance(value, bool):
        return ("truth", value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [type(value).__name__, *map(_canonical, value)]
    return value


def _of_json(body: str) -> FinalAnswer | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _marked(body)
    if isinstance(value, dict):
        for key in _ANSWER_KEYS:
            if key in value:
                return _of_field(value[key])
    return FinalAnswer("json", value)


def _of_field(value: Any) -> FinalAnswer | None:
    if isinstance(value, bool):
        return FinalAnswer("truth", value)
    if isinstance(value, str | int | float):
        return _of_value(str(value), exact=True)
    return FinalAnswer("json", value)


def _marked(text: str) -> FinalAnswer | None:
    if fields := _ANSWER_FIELD.findall(text):
        return _of_value(fields[-1], exact=True)
    for mark in _MARKS:
        for match in reversed(list(mark.finditer(text))):
            answer = _of_value(match["answer"])
            if answer is not None:
                return answer
    return None


def _concluded(body: str) -> FinalAnswer | None:
    sentences = [s for s in _SENTENCE.split(body) if s.strip()]
    if not sentences or not _CONCLUSION.match(sentences[-1]):
        return None
    numbers = _numbers(sentences[-1])
    return FinalAnswer("number", numbers[-1]) if numbers else None


def _of_value(value: str, *, exact: bool = False) -> FinalAnswer | None:
    """What stands at the place of an answer.

    Args:
        exact: it is a field of its own, in which every character counts.
    """
    text = value.strip().strip("\"'").strip()
    value = re.sub(r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}|\\[()\[\],;!$%]", r"\1", value)
    value = value.replace("$", "").strip(_EDGES)
    if not value:
        return FinalAnswer("text", text) if exact else None
    if letter := _LETTER.match(value):
        return FinalAnswer("letter", letter[1].upper())
    if truth := _TRUTH.match(value):
        return FinalAnswer("truth", truth[1].lower() in _YES)
    if value[:1] in ("[", "{", "("):
        return _literal(value)
    numbers = _numbers(value)
    if not _PADDED.match(value) and (len(numbers) == 1 or (numbers and "=" in value)):
        return FinalAnswer("number", numbers[-1])
    if len(value) > _LONGEST_TEXT:
        return None
    if exact:
        return FinalAnswer("text", text)
    return FinalAnswer("text", " ".join(re.sub(r"[^\w\s]", " ", value.casefold()).split()))


def _literal(value: str) -> FinalAnswer | None:
    """JSON, or a literal of Python, which models write instead."""
    for read in (msgspec.json.decode, ast.literal_eval):
        # Nested deeply enough, a literal overwhelms either reader.
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return FinalAnswer("json", read(value[:_LONGEST_LITERAL]))
    spaced = "".join(value.split())
    return FinalAnswer("text", spaced) if len(spaced) <= _LONGEST_TEXT else None


def _numbers(text: str) -> list[Fraction]:
    return [
        Fraction(digits.replace(",", "")) * (-1 if sign else 1)
        for sign, digits in _NUMBER.findall(text)
        if len(digits) <= _MOST_DIGITS
    ]
