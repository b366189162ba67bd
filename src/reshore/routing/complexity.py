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
from collections.abc import Iterator
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
    """A score with its reasons, the weightiest first."""

    score: float
    parts: tuple[Part, ...] = ()

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
        found = [*_asked(_shortened(content.asked())), *_around(content)]
        parts = sorted((part for part in found if part.points), key=lambda part: -part.points)
        points = sum(part.points for part in parts)
        return Explanation(score=points / (points + 1), parts=tuple(parts))


# A pasted book is not read to its end: its length says enough.
_HEAD, _TAIL = 6000, 2000

_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+")
_SYMBOL = re.compile(r"[=+*/^<>√∑∫≤≥≠∈∀∃→⊃∨∧~\\]")
_FORMULA = re.compile(r"\\[a-z]{2,}|\$[^$\n]{1,200}[\\^_=][^$\n]{0,200}\$|[∑∫√∀∃∂∇]")
# Where a line begins or ends as no prose does.
_CODE = re.compile(
    r"```|^\s*(?:def|class|async|func|fn|public|private|const|let|import|from|return|assert|for"
    r"|while|if|SELECT|INSERT|UPDATE|CREATE)\b.*[:;{(=]\s*$|[;{}]\s*$|^\s*#include|Traceback \(",
    re.MULTILINE,
)

# Points by feature. Those of the first group were weighed against each other by labelled prompts,
# the others are set so that one of them alone rarely decides.
_LENGTH = 0.10
_CLAUSES = 0.05
_CONSTRAINTS = 0.07
_COMPARISONS = 0.05
_QUANTITIES = 0.03
_NUMBERS = 0.04
_SYMBOLS = 0.04

_CODE_GIVEN = 0.35
_CODE_MEANT = 0.25
_MATHEMATICS = 0.25
_REASONING = 0.15
_NON_LATIN = 0.5
_OTHER_LANGUAGE = 0.2
_TURNS = 0.08
_CONTEXT = 0.1
_TOOLS = 0.25
_IMAGES = 0.35
_ANSWERS = {"text": 0.0, "json": 0.1, "schema": 0.2}
_EFFORTS = {"medium": 0.15, "high": 0.4, "xhigh": 0.6, "max": 0.6}
_LONG_ANSWER = 0.15


def _asked(text: str) -> Iterator[Part]:
    """The features of the message that is to be answered."""
    words = _WORD.findall(text.lower())
    kinds = Counter(KINDS[word] for word in words if word in KINDS)
    clauses = text.count(",") + text.count(";") + text.count(". ")
    yield _counted("length", len(words), "word", _LENGTH)
    yield _counted("clauses", clauses, "clause", _CLAUSES)
    yield _counted("constraints", kinds["constraint"], "constraint", _CONSTRAINTS)
    yield _counted("comparisons", kinds["comparison"], "comparison", _COMPARISONS)
    yield _counted("quantities", kinds["quantity"], "quantity", _QUANTITIES, "quantities")
    yield _counted("numbers", len(_NUMBER.findall(text)), "number", _NUMBERS)
    yield _counted("symbols", len(_SYMBOL.findall(text)), "symbol", _SYMBOLS)
    yield _counted("reasoning", kinds["reasoning"], "task of reasoning", _REASONING, "tasks of it")
    if _CODE.search(text):
        yield Part("code", "code", _CODE_GIVEN)
    elif kinds["code"]:
        yield Part("code", "about code", _CODE_MEANT)
    if kinds["mathematics"] or _FORMULA.search(text):
        yield Part("mathematics", "mathematics", _MATHEMATICS)
    yield _language(text, words)


def _around(content: Content) -> Iterator[Part]:
    """The features of the conversation and of the answer that is wanted."""
    turns = sum(turn.role == "user" for turn in content.turns)
    before = sum(len(turn.text) for turn in content.turns) - len(content.asked())
    images = sum(turn.images for turn in content.turns)
    yield Part("turns", f"{turns} turns", _TURNS * math.log(max(turns, 1)))
    yield Part("context", f"{before} characters before it", _CONTEXT * math.log1p(before / 1000))
    yield _counted("tools", content.tools, "tool", _TOOLS)
    yield _counted("images", images, "image", _IMAGES)
    yield Part("answer", f"an answer in {content.answer}", _ANSWERS[content.answer])
    yield Part("effort", f"effort {content.effort}", _EFFORTS.get(content.effort, 0.0))
    tokens = content.max_tokens or 0
    yield Part("answer", f"up to {tokens} tokens", _LONG_ANSWER * math.log(max(tokens / 1000, 1)))


def _counted(feature: str, count: int, one: str, weight: float, many: str = "") -> Part:
    value = f"1 {one}" if count == 1 else f"{count} {many or one + 's'}"
    return Part(feature, value, weight * math.log1p(count))


def _language(text: str, words: list[str]) -> Part:
    """Small models are weaker outside of English, and most in other scripts."""
    if not text.isascii():
        letters = sum(map(str.isalpha, text))
        foreign = sum(ch > "\u024f" and ch.isalpha() for ch in text)  # beyond Latin Extended-B
        if foreign * 5 > letters:
            return Part("language", "not in Latin script", _NON_LATIN)
    counts = Counter(words)
    english = sum(counts[word] for word in ENGLISH)
    other = max(sum(counts[word] for word in known) for known in OTHER_LANGUAGES)
    if other > max(english, 1):
        return Part("language", "not in English", _OTHER_LANGUAGE)
    return Part("language", "English", 0.0)


def _shortened(text: str) -> str:
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"
