"""Arithmetic as it stands in prose: its tokens, and what an expression is worth.

    40 hours * $10/hour      (60% of 50) / 2      3 * (4 + 5)! is none: ! is not known

Values are intervals of exact fractions: a decimal with two places or more may have been rounded
where it was written down, so it stands for everything that it could be the rounding of.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

# Longer numbers and larger powers cost time and are no arithmetic that anybody writes out.
_DIGITS = 24
_POWER = 32
_NESTED = 12

_TOKEN = re.compile(
    r"(?P<blank>[ \t]+)"
    # Times, ratios, dates, versions, numbers with decimal commas: looks like numbers, is none.
    r"|(?P<odd>\d+(?::\d+)+|\d{4}-\d\d-\d\d|\d+(?:\.\d+){2,}|\d+,\d{1,2}(?!\d)|\d+,\d{4,}|\d+e[+-]?\d+)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<barrier>[=<>!:~]=+|=[=>]+|≈|≠|≡|≤|≥|=\s*(?:about|approximately|roughly|around)\b|=\s*~)"
    r"|(?P<equals>=)"
    r"|(?P<rate>/[ ]?(?:[A-Za-z]{2,}\b))"
    r"|(?P<operator>\*\*|[-+*/^]|[xX](?=[ \d($])(?<![\w][xX]))"
    r"|(?P<open>\()|(?P<close>\))|(?P<percent>%)"
    r"|(?P<currency>[$€£¥]+)"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*\.?(?=[ \t]*[-+*/=])|[^\W\d_]+(?:['’-][^\W\d_]+)*)"
    r"|(?P<end>[.,;:!?|\"“”]+)"
    r"|(?P<unknown>.)"
)


class Token(NamedTuple):
    """A piece of a line; `glued` to what stands before it, without a blank."""

    kind: str
    text: str
    glued: bool


class Number(NamedTuple):
    """Everything between two fractions; `places` after the point, as it was written."""

    low: Fraction
    high: Fraction
    places: int = 0


class Side(NamedTuple):
    """One side of a statement.

    Attributes:
        worth: its value.
        operators: those in it.
        first: the value of its first number alone.
        units: words and currencies beside its numbers.
        numbers: as they were written.
        percent: there is a percent sign in it.
    """

    worth: Number
    first: Number
    operators: frozenset[str]
    units: frozenset[str]
    numbers: tuple[str, ...]
    percent: bool


class Unclear(Exception):
    """It is no expression, or not one that can be judged."""


_SIGNS = {"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-", "–": "-", "＝": "="}
_LATEX = (
    (re.compile(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:times|cdot|ast)\b"), "*"),
    (re.compile(r"\\div\b"), "/"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf)\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\left|\\right|\\[,;! ]|\\[()\[\]]"), " "),
    (re.compile(r"\\([$%*])"), r"\1"),
)
_BOLD = re.compile(r"(?<![\d\w)])\*\*(?=\S)|(?<=\S)\*\*(?![\d\w(])")


def tokens(line: str) -> list[Token]:
    """The tokens of a line of prose, Markdown or LaTeX."""
    for pattern, plain in _LATEX:
        line = pattern.sub(plain, line)
    for sign, plain in _SIGNS.items():
        line = line.replace(sign, plain)
    found: list[Token] = []
    glued = False
    for match in _TOKEN.finditer(_BOLD.sub(" ", line)):
        kind = match.lastgroup or "unknown"
        if kind == "blank":
            glued = False
            continue
        found.append(Token(kind, match[0].strip(), glued))
        glued = True
    return found


class Reader:
    """Reads one expression from `tokens[at:stop]`; `at` then stands behind it.

    Args:
        plain_percent: 40 % is 40, and not 0.4.
        grouped: 1.234 is 1234, as much of Europe writes it.
    """

    def __init__(
        self,
        tokens: list[Token],
        at: int,
        stop: int,
        *,
        plain_percent: bool = False,
        grouped: bool = False,
    ) -> None:
        self.at = at
        self._tokens = tokens
        self._stop = stop
        self._plain_percent = plain_percent
        self._grouped = grouped
        self._depth = 0
        self._operators: set[str] = set()
        self._units: set[str] = set()
        self._numbers: list[str] = []
        self._first: Number | None = None
        self._percent = False

    def side(self) -> Side:
        """What stands here.

        Raises:
            Unclear: no expression, or one that goes on in a way that is not understood.
        """
        worth = self._sum()
        return Side(
            worth,
            self._first or worth,
            frozenset(self._operators),
            frozenset(self._units),
            tuple(self._numbers),
            self._percent,
        )

    def _peek(self) -> Token | None:
        return self._tokens[self.at] if self.at < self._stop else None

    def _take(self, kind: str, *texts: str) -> Token | None:
        token = self._peek()
        if token is None or token.kind != kind or (texts and token.text not in texts):
            return None
        self.at += 1
        return token

    def _sum(self) -> Number:
        value = self._product()
        while sign := self._take("operator", "+", "-"):
            self._operators.add(sign.text)
            other = self._product()
            value = _added(value, other if sign.text == "+" else _negated(other))
        return value

    def _product(self) -> Number:
        value = self._power()
        glued: bool | None = None
        while sign := self._take("operator", "*", "/", "x", "X"):
            if sign.text == "/":
                if glued not in (None, sign.glued):
                    raise Unclear  # 12 / 2/5 is meant as 12 / (2/5)
                glued = sign.glued
            self._operators.add("/" if sign.text == "/" else "*")
            other = self._power()
            value = _divided(value, other) if sign.text == "/" else _multiplied(value, other)
        return value

    def _power(self) -> Number:
        if self._take("operator", "-"):
            return _negated(self._power())
        base = self._operand()
        if not self._take("operator", "^", "**"):
            return base
        self._operators.add("^")
        return _raised(base, self._operand())

    def _operand(self) -> Number:
        self._currency()
        if self._take("open"):
            self._depth += 1
            if self._depth > _NESTED:
                raise Unclear
            value = self._sum()
            if not self._take("close"):
                raise Unclear
            self._depth -= 1
        else:
            value = self._number()
        value = self._percentage(value)
        self._unit()
        return value

    def _currency(self) -> None:
        if sign := self._take("currency"):
            self._units.add(sign.text[0])

    def _number(self) -> Number:
        token = self._take("number")
        if token is None or len(token.text) > _DIGITS:
            raise Unclear
        self._numbers.append(token.text)
        value = read_number(token.text, grouped=self._grouped)
        self._first = self._first or value
        return value

    def _percentage(self, value: Number) -> Number:
        if not self._take("percent"):
            self._currency()
            return value
        following = self._peek()
        if following is not None and following.kind in ("number", "open"):
            raise Unclear  # a remainder
        self._percent = True
        if not self._plain_percent:
            value = Number(value.low / 100, value.high / 100, value.places + 2)
        if following is not None and following.text.lower() == "of":
            after = self._tokens[self.at + 1] if self.at + 1 < self._stop else None
            if after is not None and after.kind in ("number", "open", "currency"):
                self.at += 1
                self._operators.add("*")
                return _multiplied(value, self._operand())
        return value

    def _unit(self) -> None:
        """Words behind a number, as in `3 cups per chicken` and `$10/hour`."""
        first = self._peek()
        if first is not None and first.kind == "word" and first.glued and _is_variable(first.text):
            raise Unclear
        words = 0
        while token := self._take("word") or self._take("rate"):
            if token.text.lower() in _SCALES:
                raise Unclear
            if words == 0:
                self._units.add(token.text.lower().rstrip(".").rstrip("s"))
            words += 1
            if words > _UNIT_WORDS:
                raise Unclear


def _is_variable(text: str) -> bool:
    """Whether a word right behind a number is a factor (2x, 4P), and no unit (60mph)."""
    return len(text) == 1 or not text.islower()


# A unit of more words is a sentence.
_UNIT_WORDS = 4
# Words that make another number of a number.
_SCALE_WORDS = """
    hundred hundreds thousand thousands million millions billion billions trillion dozen dozens
    squared cubed times plus minus over mod modulo percent half third thirds quarter quarters
    more less fewer and or to than by is was are be from into k bn"""
_SCALES = frozenset(_SCALE_WORDS.split())


def read_number(text: str, *, grouped: bool = False) -> Number:
    """A number as it was written, with everything that it may be the rounding of."""
    plain = text.replace(",", "")
    if grouped:
        plain = plain.replace(".", "")
    digits, _, decimals = plain.partition(".")
    places = len(decimals)
    value = int(digits + decimals)
    if places < 2:
        exact = Fraction(value, 10**places)
        return Number(exact, exact, places)
    return Number(Fraction(value - 1, 10**places), Fraction(value + 1, 10**places), places)


def _added(one: Number, other: Number) -> Number:
    return Number(one.low + other.low, one.high + other.high)


def _negated(one: Number) -> Number:
    return Number(-one.high, -one.low, one.places)


def _multiplied(one: Number, other: Number) -> Number:
    ends = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
    return Number(min(ends), max(ends))


def _divided(one: Number, other: Number) -> Number:
    if other.low <= 0 <= other.high:
        raise Unclear
    return _multiplied(one, Number(1 / other.high, 1 / other.low))


def _raised(base: Number, power: Number) -> Number:
    exponent = (power.low + power.high) / 2
    if exponent.denominator != 1 or not 0 <= exponent <= _POWER or max(map(abs, base[:2])) > 10**9:
        raise Unclear
    ends = [end ** int(exponent) for end in base[:2]]
    if base.low < 0 < base.high:
        ends.append(Fraction(0))
    return Number(min(ends), max(ends))
