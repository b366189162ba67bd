"""Grammar of JSON itself: blanks, strings, and values of any shape."""

from __future__ import annotations

import json
from typing import Any

from reshore.engine.grammar.gbnf import (
    EMPTY,
    Chars,
    Expr,
    Lit,
    Ref,
    Rep,
    Rules,
    alt,
    opt,
    seq,
)
from reshore.engine.grammar.numbers import any_integer, any_number

# Values of any shape nest this deep at most: a model that only opens brackets must come to an end.
FREE_DEPTH = 12
# What may stand in a JSON string as it is: no quote, backslash, control character or surrogate.
PLAIN = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0xD7FF), (0xE000, 0x10FFFF))


def json_text(value: Any) -> str:
    """How one value is written where it is given as such."""
    return json.dumps(value, ensure_ascii=False)


def literal(value: Any) -> Expr:
    """The JSON text of one value."""
    return Lit(json_text(value))


class Json:
    """The rules that all schemas share, each written when it is first asked for."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def _once(self, name: str, body: Expr) -> Ref:
        return Ref(name) if name in self._rules else self._rules.fill(Ref(name), body)

    def blank(self) -> Ref:
        """Nothing, one blank, or a line break with indentation: bounded on purpose."""
        return self._once("ws", opt(alt(Lit(" "), seq(Lit("\n"), Rep(Chars(((32, 32),)), 0, 24)))))

    def char(self) -> Ref:
        """One code point of a string, as it is or escaped; surrogates only in pairs."""
        hexes = Chars(((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)))
        letter_d = Chars(((0x44, 0x44), (0x64, 0x64)))
        not_d = Chars(((0x30, 0x39), (0x41, 0x43), (0x45, 0x46), (0x61, 0x63), (0x65, 0x66)))
        high = seq(letter_d, Chars(((0x38, 0x39), (0x41, 0x42), (0x61, 0x62))), Rep(hexes, 2, 2))
        low = seq(letter_d, Chars(((0x43, 0x46), (0x63, 0x66))), Rep(hexes, 2, 2))
        unit = alt(
            seq(not_d, Rep(hexes, 3, 3)),
            seq(letter_d, Chars(((0x30, 0x37),)), Rep(hexes, 2, 2)),
            seq(high, Lit("\\u"), low),
        )
        short = Chars(tuple((ord(sign), ord(sign)) for sign in '"/\\bfnrt'))
        escaped = seq(Lit("\\"), alt(short, seq(Lit("u"), unit)))
        return self._once("char", alt(Chars(PLAIN), escaped))

    def string(self) -> Ref:
        """Any string."""
        return self._once("string", seq(Lit('"'), Rep(self.char(), 0, None), Lit('"')))

    def integer(self) -> Ref:
        """Any integer of bounded length."""
        return self._once("integer", any_integer())

    def number(self) -> Ref:
        """Any number of bounded length."""
        return self._once("number", any_number())

    def boolean(self) -> Expr:
        """True or false."""
        return alt(Lit("true"), Lit("false"))

    def value(self, level: int = 0) -> Ref:
        """Any value; `level` is how deep it stands inside values of any shape."""
        name = f"value{level}"
        if name in self._rules:
            return Ref(name)
        scalars = (self.string(), self.number(), self.boolean(), Lit("null"))
        if level == FREE_DEPTH:
            return self._once(name, alt(*scalars))
        return self._once(name, alt(self.object(level), self.array(level), *scalars))

    def object(self, level: int = 0) -> Ref:
        """Any object, with values one level deeper."""
        name = f"object{level}"
        if name in self._rules:
            return Ref(name)
        member = self.member(self.string(), self.value(level + 1))
        return self._once(name, self.braces(self.listing(self._once(f"member{level}", member))))

    def array(self, level: int = 0) -> Ref:
        """Any array, with values one level deeper."""
        name = f"array{level}"
        if name in self._rules:
            return Ref(name)
        return self._once(name, self.brackets(self.listing(self.value(level + 1))))

    def member(self, key: Expr, value: Expr) -> Expr:
        """`key: value`; the key with its quotes."""
        return seq(key, Lit(":"), self.blank(), value)

    def after_comma(self, body: Expr) -> Expr:
        """`, body`."""
        return seq(Lit(","), self.blank(), body)

    def listing(self, body: Expr) -> Expr:
        """One or more, between commas."""
        return seq(body, self._rules.repeat(self.after_comma(body), 0, None))

    def braces(self, body: Expr, *, may_be_empty: bool = True) -> Expr:
        """An object around members that are not nothing, `{}` for none."""
        return self._around("{", body, "}", may_be_empty)

    def brackets(self, body: Expr, *, may_be_empty: bool = True) -> Expr:
        """An array around items that are not nothing, `[]` for none."""
        return self._around("[", body, "]", may_be_empty)

    def _around(self, start: str, body: Expr, end: str, may_be_empty: bool) -> Expr:
        if body == EMPTY:
            return Lit(start + end)
        inside = seq(self.blank(), body, self.blank())
        if may_be_empty:
            # Under a name: the engine counts the repetitions inside an optional group as its own.
            inside = opt(self._rules.define(inside))
        return seq(Lit(start), inside, Lit(end))
