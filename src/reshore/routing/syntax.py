"""The syntax of policies: words, calls and `=`, before anybody asks what they mean.

    call  := word [ "(" [ item { "," item } ] ")" ]
    item  := call [ "=" word ]
    word  := one or more characters other than white space , ( ) =

Model names (`hf.co/owner/repo:Q4_K_M`, `ft:gpt-4o-mini:acme::1`) are words. Pure.
"""

from __future__ import annotations

import re

from msgspec import Struct

from reshore.errors import RouteError

# Deeper than anybody means; the recursion here and in what walks a policy stays shallow.
_DEPTH = 12
# How much of a text an error repeats.
_SHOWN = 200

_TOKEN = re.compile(r"\s*(?:(?P<word>[^\s,()=]+)|(?P<mark>[,()=]))")


class Call(Struct, frozen=True, kw_only=True):
    """A word with what stands in parentheses behind it.

    Attributes:
        at: where the word begins, counted from 0.
        items: None without parentheses.
        value: the word behind `=`, "" without one, and where that begins.
    """

    word: str
    at: int
    items: tuple[Call, ...] | None = None
    value: str = ""
    value_at: int = 0


def read_call(text: str) -> Call:
    """Read a whole text as one call.

    Raises:
        RouteError: it is none; says where and what was expected.
    """
    reader = _Reader(text)
    call = reader.call(0)
    reader.end()
    return call


def wrong(text: str, at: int, problem: str) -> RouteError:
    """An error about the character `at` of a policy, counted from 1 for people."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return RouteError(f"policy '{shown}', character {at + 1}: {problem}")


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def call(self, depth: int) -> Call:
        at, word = self._word("a policy")
        if not self._take("("):
            return Call(word=word, at=at)
        if depth == _DEPTH:
            raise wrong(self._text, at, f"nested more than {_DEPTH} deep")
        items: list[Call] = []
        while not self._take(")"):
            if items and not self._take(","):
                raise self._expected("',' or ')'")
            items.append(self._item(depth + 1))
        return Call(word=word, at=at, items=tuple(items))

    def end(self) -> None:
        if self._text[self._at :].strip():
            raise self._expected("the end")

    def _item(self, depth: int) -> Call:
        call = self.call(depth)
        if not self._take("="):
            return call
        at, value = self._word(f"a value for {call.word}")
        return Call(word=call.word, at=call.at, items=call.items, value=value, value_at=at)

    def _word(self, what: str) -> tuple[int, str]:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["word"] is None:
            raise self._expected(what)
        self._at = match.end()
        return match.start("word"), match["word"]

    def _take(self, mark: str) -> bool:
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["mark"] != mark:
            return False
        self._at = match.end()
        return True

    def _expected(self, what: str) -> RouteError:
        rest = self._text[self._at :]
        at = self._at + len(rest) - len(rest.lstrip())
        match = _TOKEN.match(self._text, at)
        found = f"'{match[0]}'" if match else "the end"
        return wrong(self._text, at, f"expected {what}, found {found}")
