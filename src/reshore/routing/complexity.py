"""How much a request asks of a model: a score in 0..1 that can be explained. Pure.

Each feature of a request adds points, and `score = points / (points + 1)`: nothing found scores 0,
one point is the default threshold of 0.5, and no request reaches 1. Counts go in by their
logarithm: the tenth constraint says less than the second. What the points were chosen by, and what
they are worth, is in docs/performance.md ("Complexity rules").
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Set
from typing import Protocol

from msgspec import Struct

from reshore.routing.content import Content
from reshore.routing.vocabulary import ENGLISH, KINDS, OTHER_LANGUAGES


class Part(Struct, frozen=True):
    """What one feature added. `value` is what was seen, in words (`3 constraints`)."""

    feature: str
    value: str
    points: float


class Explanation(Struct, frozen=True, kw_only=True):
    """A score with its reasons, the weightiest first.

    Attributes:
        outside: a learned router was asked, which knows nothing like the request; these are the
            score and the reasons of the rules.
    """

    score: float
    parts: tuple[Part, ...] = ()
    outside: bool = False

    def why(self, most: int = 3) -> str:
        """The weightiest reasons in a few words (`code, 3 constraints`)."""
        return ", ".join(part.value for part in self.parts[:most]) or "nothing in it"


class Scorer(Protocol):
    """Judges how likely a request needs the stronger model.

    The rules below are one; a router that was trained on a user's own traffic is another.
    """

    def explain(self, content: Content) -> Explanation:
        """The score and where it comes from; costs well under a millisecond, does no I/O."""
        ...


class Rules:
    """The default scorer: rules that need no training."""

    def explain(self, content: Content) -> Explanation:
        """Read what is asked now closely, and what stands around it for its size."""
        found = [*_asked(shortened(content.asked())), *_around(content)]
        parts = sorted((part for part in found if part.points), key=lambda part: -part.points)
        points = sum(part.points for part in parts)
        return Explanation(score=points / (points + 1), parts=tuple(parts))


# A pasted book is not read to its end: its length says enough.
_HEAD, _TAIL = 2000, 1000

# ASCII in lower case, without what is neither letter nor digit: one pass in C.
_PLAIN = str.maketrans({chr(i): chr(i).lower() if chr(i).isalnum() else " " for i in range(128)})
_WORD = re.compile(r"[^\W_]+")
_BEYOND_LATIN = re.compile(r"[^\W\d_\u0000-\u024f]")
_SYMBOL = re.compile(r"[=+*/^<>√∑∫≤≥≠∈∀∃→⊃∨∧~\\]")
_FORMULA = re.compile(r"\\[a-z]{2,}|\$[^$\n]{1,200}[\\^_=][^$\n]{0,200}\$|[∑∫√∀∃∂∇]")
# Where a line begins or ends as no prose does; the marks spare most prose the search.
_CODE_MARKS = ("```", "{", ";\n", "):", "()", " = ", "SELECT ", "#include", "Traceback")
_CODE = re.compile(
    r"```|^\s*(?:def|class|async|func|fn|public|private|const|let|import|from|return|assert|for"
    r"|while|if|SELECT|INSERT|UPDATE|CREATE)\b.*[:;{(=]\s*$|[;{]\s*$|^\s*}\s*$|^\s*#include"
    r"|Traceback \(",
    re.MULTILINE,
)

# Points by feature. Those of the first group were weighed against each other by labelled prompts;
# about the others the labels say nothing, and none of them decides alone. In other languages, other
# scripts above all, small models are weaker.
_LENGTH = 0.14
_CLAUSES = 0.07
_NEGATIONS = 0.17
_CONSTRAINTS = 0.06
_COMPARISONS = 0.08
_QUANTITIES = 0.04
_NUMBERS = 0.04
_SYMBOLS = 0.06

_CODE_GIVEN = 0.45
_CODE_MEANT = 0.35
_MATHEMATICS = 0.25
_REASONING = 0.20
_NON_LATIN = 0.60
_OTHER_LANGUAGE = 0.25
_TURNS = 0.10
_CONTEXT = 0.12
_TOOLS = 0.30
_IMAGES = 0.50
_FORMS = {"text": "words", "json": "JSON", "schema": "a JSON Schema"}
_ANSWERS = {"text": 0.0, "json": 0.15, "schema": 0.3}
_EFFORTS = {"medium": 0.2, "high": 0.5, "xhigh": 0.8, "max": 0.8}
_LONG_ANSWER = 0.20


def shortened(text: str) -> str:
    """What is read of a long text: its beginning and its end."""
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"


def _asked(text: str) -> Iterator[Part]:
    """The features of the message that is to be answered."""
    words = Counter(_words(text))
    kinds = Counter[str]()
    for word in words.keys() & KINDS.keys():
        kinds[KINDS[word]] += words[word]
    if _is_code(text):
        kinds["constraint"] = kinds["negation"] = 0  # `if`, `not` and `assert` are syntax there
        yield Part("code", "code", _CODE_GIVEN)
    elif kinds["code"]:
        yield Part("code", "about code", _CODE_MEANT)
    if kinds["mathematics"] or _has_formula(text):
        yield Part("mathematics", "mathematics", _MATHEMATICS)
    yield from _wording(kinds)
    yield from _spelling(text, words)


def _wording(kinds: Counter[str]) -> Iterator[Part]:
    yield _counted(kinds["negation"], "negation", _NEGATIONS)
    yield _counted(kinds["constraint"], "constraint", _CONSTRAINTS)
    yield _counted(kinds["comparison"], "comparison", _COMPARISONS)
    yield _counted(kinds["quantity"], "quantity", _QUANTITIES, "quantities")
    yield _counted(kinds["reasoning"], "reasoning task", _REASONING)


def _spelling(text: str, words: Counter[str]) -> Iterator[Part]:
    foreign = 0 if text.isascii() else len(_BEYOND_LATIN.findall(text))
    # Scripts without spaces have no words to count; two characters of Chinese make about one.
    yield _counted(max(words.total(), foreign // 2), "word", _LENGTH)
    yield _counted(text.count(",") + text.count(";") + text.count(". "), "clause", _CLAUSES)
    numbers = sum(count for word, count in words.items() if word[0].isdigit())
    yield _counted(numbers, "number", _NUMBERS)
    yield _counted(len(_SYMBOL.findall(text)), "symbol", _SYMBOLS)
    if foreign * 5 > len(text) - text.count(" "):
        yield Part("language", "not in Latin script", _NON_LATIN)
    elif not _is_english(words.keys()):
        yield Part("language", "not in English", _OTHER_LANGUAGE)


def _around(content: Content) -> Iterator[Part]:
    """The features of the conversation and of the answer that is wanted."""
    turns = sum(turn.role == "user" for turn in content.turns)
    before = sum(len(turn.text) for turn in content.turns) - len(content.asked())
    images = sum(turn.images for turn in content.turns)
    yield Part("turns", f"{turns} turns", _TURNS * math.log(max(turns, 1)))
    yield Part("context", f"{before} characters before it", _CONTEXT * math.log1p(before / 1000))
    yield _counted(content.tools, "tool", _TOOLS)
    yield _counted(images, "image", _IMAGES)
    yield Part("answer", f"an answer in {_FORMS[content.answer]}", _ANSWERS[content.answer])
    yield Part("effort", f"effort {content.effort}", _EFFORTS.get(content.effort, 0.0))
    tokens = content.max_tokens or 0
    yield Part(
        "answer length", f"up to {tokens} tokens", _LONG_ANSWER * math.log(max(tokens / 1000, 1))
    )


def _counted(count: int, one: str, weight: float, many: str = "") -> Part:
    name = many or f"{one}s"
    return Part(name, f"{count} {one if count == 1 else name}", weight * math.log1p(count))


def _is_english(words: Set[str]) -> bool:
    """Whether no other language's small words outnumber those of English."""
    english = max(len(words & ENGLISH), 1)
    return all(len(words & known) <= english for known in OTHER_LANGUAGES)


def _is_code(text: str) -> bool:
    return any(mark in text for mark in _CODE_MARKS) and _CODE.search(text) is not None


def _has_formula(text: str) -> bool:
    marked = "\\" in text or "$" in text or not text.isascii()
    return marked and _FORMULA.search(text) is not None


def _words(text: str) -> list[str]:
    return text.translate(_PLAIN).split() if text.isascii() else _WORD.findall(text.lower())
