"""Whether the arithmetic that an answer writes out is right: `3 * 4 = 12`, chains, percentages.

Computed exactly, judged with care: a statement counts as wrong only when no reading of it is right.
Rounded results, rounded factors, units that are converted, percent signs that are meant as numbers
and numbers in European notation are allowed for; what has variables, words between its numbers or
signs that are not known is passed by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import msgspec

from reshore.checks.check import Check, Said
from reshore.checks.expression import Number, Reader, Side, Token, Unclear, tokens

# Bounds of the work: what is beyond is not looked at.
_CHARACTERS = 20_000
_LINE = 4_000
_STATEMENTS = 400

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
_PROSE = frozenset({"", "json", "text", "txt", "markdown", "md", "latex", "math"})
_SENTENCE = re.compile(r"\n+|(?<=[a-zA-Z)\d%])[.;?!]\s+(?=[^\s\d]|\d+[ \t]*[-+*/x×÷$€£(])")
# The calculator notes of GSM8K's solutions.
_NOTE = re.compile(r"<<([^<>\n]{1,200})>>")
# Sentences about wrong arithmetic contain it.
_ABOUT_MISTAKES = re.compile(
    r"\b(?:wrong|incorrect|mistak\w*|error\w*|not|isn't|false|instead|suppose|if|mod|modulo|base)\b",
    re.IGNORECASE,
)
# Words before an expression that are a part of what is computed.
_PART_WORDS = """
    than times by minus plus half twice double triple thrice squared cubed root sqrt log ln average
    mean median product ratio remainder mod modulo gcd lcm percent quarter third fourth fifth sixth
    dozen over per between hundred thousand million billion less more fewer power negative
    quotient difference sin cos tan max min"""
_PARTS = frozenset(_PART_WORDS.split())
# Numbers so long are often rounded to thousands where they stand in a sentence.
_ROUND_DIGITS = 7
# What a computer's own numbers lose on the way.
_FLOAT = Fraction(1, 10**14)
# Ratios of units: statements may convert on the way.
_CONVERSIONS = (
    *(Fraction(10) ** power for power in (*range(-9, 0), *range(1, 10))),
    *(
        ratio
        for each in (7, 12, 16, 24, 30, 52, 60, 365, 1440, 3600)
        for ratio in (Fraction(each), Fraction(1, each))
    ),
)


def check_arithmetic(said: Said) -> Check:
    """Fails for a wrong statement; None without statements that can be judged.

    Of an answer that has not ended the last line is left out, as its numbers may go on.
    """
    text = said.text if said.ended else said.text.rpartition("\n")[0]
    judged = list(statements(text))
    wrong = judged.count(False)
    if wrong:
        of = f"{wrong} of {len(judged)} statements" if len(judged) > 1 else "the only statement"
        return Check(name="arithmetic", ok=False, detail=f"{of} wrong")
    return Check(name="arithmetic", ok=True if judged and said.ended else None)


def statements(text: str) -> Iterator[bool]:
    """For each statement of the text that can be judged, whether it is right."""
    count = 0
    for line in _lines(text[:_CHARACTERS]):
        if "=" not in line or _ABOUT_MISTAKES.search(line):
            continue
        for verdict in _line_statements(tokens(line[:_LINE])):
            yield verdict
            count += 1
            if count == _STATEMENTS:
                return


def _lines(text: str) -> Iterator[str]:
    for block in _unwrapped(_FENCE.sub(_prose_only, text)):
        for sentence in _SENTENCE.split(block):
            yield _NOTE.sub(" ", sentence)
            yield from _NOTE.findall(sentence)


def _prose_only(fenced: re.Match[str]) -> str:
    return fenced[2] if fenced[1].lower() in _PROSE else "\n"


def _unwrapped(text: str) -> Iterator[str]:
    """The texts in a JSON answer, or `text` itself."""
    body = text.strip()
    if body[:1] != "{":
        yield text
        return
    try:
        todo = [msgspec.json.decode(body)]
    except (msgspec.DecodeError, RecursionError):
        # Small models forget to escape; what they have escaped is a line's end and a quote.
        yield re.sub(r"\\n(?![a-z])", "\n", text).replace('\\"', '"')
        return
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            todo.extend(value.values() if isinstance(value, dict) else value)


def _line_statements(line: list[Token]) -> Iterator[bool]:
    borders = [place for place, token in enumerate(line) if token.kind in ("equals", "barrier")]
    marks = [-1, *borders, len(line)]
    for before, here, after in zip(marks, marks[1:], marks[2:], strict=False):
        if line[here].kind == "equals":
            verdict = _judged(line, before + 1, here, after)
            if verdict is not None:
                yield verdict


def _judged(line: list[Token], begin: int, here: int, end: int) -> bool | None:
    """Whether what stands around the `=` at `here` is right; None where nobody can say."""
    start = _start(line, begin, here)
    if start is None:
        return None
    # Percent signs may be meant as numbers, on each side by itself: 12 / 20 * 100 = 60%.
    for plain_left, plain_right, grouped in product((False, True), repeat=3):
        try:
            left = Reader(line, start, here, plain_percent=plain_left, grouped=grouped).side()
            right = _right(line, here + 1, end, plain_percent=plain_right, grouped=grouped)
        except Unclear:
            return None
        if not _can_tell(left, right):
            return None
        if _is_right(left, right):
            return True
        if not (left.percent or right.percent or _may_be_grouped(left, right)):
            break
    return False


def _start(line: list[Token], begin: int, here: int) -> int | None:
    """Where the expression begins that ends at `here`: the longest one; None for none."""
    for start in range(max(begin, here - 60), here):
        if line[start].kind not in ("number", "open", "currency", "operator"):
            continue
        if line[start].kind == "operator" and not _is_sign(line, begin, start):
            continue
        reader = Reader(line, start, here)
        try:
            reader.side()
        except Unclear:
            continue
        if reader.at == here:
            return start if _may_begin(line, begin, start) else None
    return None


def _is_sign(line: list[Token], begin: int, place: int) -> bool:
    """Whether the operator there is the sign of a number: neither a dash nor `M - 2`."""
    before = line[place - 1].kind if place > begin else "end"
    return line[place].text == "-" and line[place + 1].glued and before in ("end", "open")


def _may_begin(line: list[Token], begin: int, start: int) -> bool:
    """Whether nothing before it belongs to the expression."""
    before = line[start - 1] if start > begin else None
    if before is None or before.kind == "end":
        return True
    if before.text == "-" and start - 1 == begin:
        return not line[start].glued  # an item of a list
    if before.kind != "word" or line[start].glued:
        return before.kind == "open"
    words = [before.text.lower()]
    for token in reversed(line[max(begin, start - 4) : start - 1]):
        if token.kind in ("number", "percent", "odd", "operator", "close"):
            return False
        if token.kind != "word":
            break
        words.append(token.text.lower())
    return not _PARTS.intersection(words)


def _right(line: list[Token], start: int, end: int, *, plain_percent: bool, grouped: bool) -> Side:
    """The expression that begins at `start`; it must not go on in an unknown way."""
    reader = Reader(line, start, end, plain_percent=plain_percent, grouped=grouped)
    side = reader.side()
    if reader.at < end:
        following = line[reader.at]
        about = line[reader.at + 1].text.lower() if reader.at + 1 < end else ""
        if following.kind in ("number", "operator", "odd", "percent") or about in ("mod", "base"):
            raise Unclear
        if following.kind in ("unknown", "open") and following.glued:
            raise Unclear
    return side


def _can_tell(left: Side, right: Side) -> bool:
    operators = left.operators | right.operators
    if not operators or (left.units and not left.operators):
        return False  # 2 nickels = 2 * 5
    if left.percent and left.operators & {"+", "-"}:
        return False  # 100 + 20% may be 120
    for side in (left, right):
        if side.operators & {"+", "-"} and len(side.units) > 1:
            return False  # 2 hours + 30 minutes
    return not _may_be_binary(left.numbers + right.numbers)


def _may_be_binary(numbers: Sequence[str]) -> bool:
    long = sum(len(number) > 1 for number in numbers)
    return long > 1 and all(set(number) <= {"0", "1"} for number in numbers)


def _is_right(left: Side, right: Side) -> bool:
    if _equal(left, right):
        return True
    if right.operators and _meets(left, right.first):
        return True  # 6 * 6 = 36 / 12 = 3, as one writes while thinking
    if left.units == right.units and len(left.units) < 2:
        return False
    return any(_equal(left, right, ratio) for ratio in _CONVERSIONS)


def _equal(left: Side, right: Side, ratio: Fraction = Fraction(1)) -> bool:
    """Whether the sides meet, within what the rounding of the right one allows."""
    low, high = left.worth.low * ratio, left.worth.high * ratio
    step = _step(right)
    if low == high and (low / step).denominator != 1:
        slack = step + abs(low) * _FLOAT
        low, high = low - slack, high + slack
        return low < right.worth.high and right.worth.low < high
    if low != high:
        low, high = low - step, high + step
    if right.operators or low != high:
        return low <= right.worth.high and right.worth.low <= high
    written = _written(right)
    return abs(low - written) <= abs(written) * _FLOAT


def _meets(left: Side, number: Number) -> bool:
    return left.worth.low <= number.high and number.low <= left.worth.high


def _written(right: Side) -> Fraction:
    return (right.worth.low + right.worth.high) / 2


def _step(right: Side) -> Fraction:
    """What the last digit of the result counts; of a round number, its last digit but zeros."""
    number = right.numbers[-1].replace(",", "")
    places = right.worth.places
    if places == 0 and not right.operators:
        zeros = len(number) - len(number.rstrip("0"))
        places = -zeros if zeros >= 3 and len(number) >= _ROUND_DIGITS else 0
    return Fraction(10) ** -places


def _may_be_grouped(left: Side, right: Side) -> bool:
    """Whether there are numbers that in Europe would have dots between their thousands."""
    dotted = [number for number in left.numbers + right.numbers if "." in number]
    return bool(dotted) and all(re.fullmatch(r"\d{1,3}\.\d{3}", number) for number in dotted)
