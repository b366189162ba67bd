"""Text up to a tag: what a grammar needs to let a model write freely first. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from reshore.engine.grammar.gbnf import EMPTY, Chars, Expr, Lit, Ref, Rules, alt, seq

# All characters but the controls that no text has.
_TEXT = ((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0xD7FF), (0xE000, 0x10FFFF))


def text_until(rules: Rules, tag: str, then: Expr, *, may_end: bool = False) -> Ref:
    """Any text without `tag`, the first `tag`, and `then`.

    One state for each beginning of the tag that the text may just have matched (the automaton of
    Knuth, Morris and Pratt), so the engine follows one path whatever is written.

    Args:
        may_end: the text may also be all there is.
    """
    states = [rules.reserve() for _ in tag]
    for matched, state in enumerate(states):
        # What each character of the tag makes of what has been matched; any other undoes it.
        steps = {char: _matched(tag, tag[:matched] + char) for char in dict.fromkeys(tag)}
        options: list[Expr] = [EMPTY] if may_end else []
        options.append(seq(Chars(_without(char for char in steps if steps[char])), states[0]))
        for char, size in steps.items():
            if size:
                options.append(seq(Lit(char), states[size] if size < len(tag) else then))
        rules.fill(state, alt(*options))
    return states[0]


def _matched(tag: str, text: str) -> int:
    """Length of the longest beginning of `tag` with which `text` ends."""
    return next(
        size for size in range(len(text), -1, -1) if tag.startswith(text[len(text) - size :])
    )


def _without(characters: Iterable[str]) -> tuple[tuple[int, int], ...]:
    """The ranges of text but for some characters."""
    ranges = list(_TEXT)
    for code in map(ord, characters):
        at = next(i for i, (low, high) in enumerate(ranges) if low <= code <= high)
        low, high = ranges[at]
        halves = ((low, code - 1), (code + 1, high))
        ranges[at : at + 1] = [(first, last) for first, last in halves if first <= last]
    return tuple(ranges)
