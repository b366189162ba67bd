"""Where two answers differ, word by word. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from reshore.evals.compare.page.markup import Markup, joined, tag

_WORDS = re.compile(r"\S+\s*|\s+")
_LINES = re.compile(r"[^\n]*\n?")
# The comparison takes the square of the length, and nobody reads marks in a text of this size.
_MOST_WORDS = 1200
_MOST_LINES = 2000
# Of two answers that share less than this, every other word would be marked.
_ALIKE = 0.3


def marked(first: str, second: str) -> tuple[Markup, Markup]:
    """Both texts, with `<del>` around what only the first has and `<ins>` around the second's.

    Texts that are hardly alike, or too long to be compared, are left as they are.
    """
    one, other = _pieces(first, second)
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if first == second or max(len(one), len(other)) > _MOST_LINES or matcher.quick_ratio() < _ALIKE:
        return joined(first), joined(second)
    left, right = [], []
    for kind, i, j, k, m in matcher.get_opcodes():
        alike = kind == "equal"
        left.append(_piece("del", one[i:j], alike))
        right.append(_piece("ins", other[k:m], alike))
    return joined(*left), joined(*right)


def _pieces(first: str, second: str) -> tuple[list[str], list[str]]:
    words = _split(first, _WORDS.findall), _split(second, _WORDS.findall)
    if max(map(len, words)) <= _MOST_WORDS:
        return words
    return _split(first, _LINES.findall), _split(second, _LINES.findall)


def _split(text: str, split: Callable[[str], list[str]]) -> list[str]:
    return [piece for piece in split(text) if piece]


def _piece(name: str, pieces: Sequence[str], alike: bool) -> Markup:
    text = "".join(pieces)
    return joined(text) if alike or not text else tag(name, text)
