"""Digits within bounds: which texts are integers or decimals between two numbers."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from reshore.engine.grammar.gbnf import EMPTY, NOTHING, Chars, Expr, Lit, Rep, alt, opt, seq

DIGIT = Chars(((0x30, 0x39),))
# Doubles carry 15 decimal digits exactly; longer bounds could be crossed by rounding.
MAX_DIGITS = 15
# Longest integer written without bounds: a model must not run away in digits.
FREE_DIGITS = 16
MAX_BOUND_DIGITS = 64


class Bounds(Struct, frozen=True):
    """A range of numbers; None: no bound on that side. `*_open`: the bound itself is outside."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_open: bool = False
    high_open: bool = False

    @property
    def free(self) -> bool:
        """Whether there is no bound at all."""
        return self.low is None and self.high is None


def integers(bounds: Bounds) -> Expr:
    """All integers within `bounds`, without a plus sign or leading zeros.

    A side without a bound ends at `FREE_DIGITS` digits, or at those of the other bound.
    """
    low, high = _whole(bounds)
    widest = max(FREE_DIGITS, *(len(str(abs(end))) for end in (low, high) if end is not None), 0)
    free = 10**widest - 1
    low = -free if low is None else low
    high = free if high is None else high
    options: list[Expr] = []
    if low < 0:
        options.append(seq(Lit("-"), _magnitudes(max(1, -high), -low)))
    if high >= 0:
        options.append(_magnitudes(max(0, low), high))
    return alt(*options) if low <= high else NOTHING


def whole_count(bounds: Bounds) -> int | None:
    """How many integers lie within `bounds`; None without an end."""
    low, high = _whole(bounds)
    return None if low is None or high is None else max(0, high - low + 1)


def whole_range(bounds: Bounds) -> range:
    """The integers within `bounds`, which must have both ends."""
    low, high = _whole(bounds)
    assert low is not None
    assert high is not None
    return range(low, high + 1)


def _whole(bounds: Bounds) -> tuple[int | None, int | None]:
    low = high = None
    if bounds.low is not None:
        low = int(bounds.low.to_integral_value("ROUND_CEILING"))
        low += bounds.low_open and low == bounds.low
    if bounds.high is not None:
        high = int(bounds.high.to_integral_value("ROUND_FLOOR"))
        high -= bounds.high_open and high == bounds.high
    return low, high


def _magnitudes(low: int, high: int) -> Expr:
    """Decimal digits of all integers in `low..high`, both at least 0."""
    if low > high:
        return NOTHING
    first, last = str(low), str(high)
    if len(first) == len(last):
        return _same_length(first, last)
    options: list[Expr] = []
    if low == 0:
        options.append(Lit("0"))
        first = "1"
    if len(first) == len(last):
        options.append(_same_length(first, last))
        return alt(*options)
    # Whole lengths join into one repetition: 1..9999 is one digit and up to three more.
    shortest = len(first) if first == "1" + "0" * (len(first) - 1) else len(first) + 1
    longest = len(last) if last == "9" * len(last) else len(last) - 1
    if shortest > len(first):
        options.append(_same_length(first, "9" * len(first)))
    if shortest <= longest:
        options.append(seq(Chars(((0x31, 0x39),)), _digits(shortest - 1, longest - 1)))
    if longest < len(last):
        options.append(_same_length("1" + "0" * (len(last) - 1), last))
    return alt(*options)


def _same_length(low: str, high: str) -> Expr:
    """Digit strings between two of the same length; its size grows with the length squared."""
    if low == high:
        return Lit(low)
    if not low.strip("0") and not high.strip("9"):
        return _digits(len(low), len(low))
    if low[0] == high[0]:
        return seq(Lit(low[0]), _same_length(low[1:], high[1:]))
    zeros, nines = "0" * (len(low) - 1), "9" * (len(low) - 1)
    first, last = int(low[0]), int(high[0])
    options: list[Expr] = []
    if low[1:] != zeros:
        options.append(seq(Lit(low[0]), _same_length(low[1:], nines)))
        first += 1
    tail: list[Expr] = []
    if high[1:] != nines:
        tail.append(seq(Lit(high[0]), _same_length(zeros, high[1:])))
        last -= 1
    if first <= last:
        options.append(seq(_digit(first, last), _digits(len(zeros), len(zeros))))
    return alt(*options, *tail)


def _digit(low: int, high: int) -> Expr:
    return Chars(((0x30 + low, 0x30 + high),))


def _digits(low: int, high: int) -> Expr:
    if high == 0:
        return EMPTY
    return DIGIT if low == high == 1 else Rep(DIGIT, low, high)


def decimals(bounds: Bounds) -> Expr | None:
    """Numbers without exponent within `bounds`; None if the bounds have too many digits."""
    shown = [_plain(end) for end in (bounds.low, bounds.high) if end is not None]
    if any(len(text.strip("-0").replace(".", "")) > MAX_DIGITS for text in shown):
        return None
    wide = max((len(text.lstrip("-").partition(".")[0]) for text in shown), default=1)
    spare = max(0, MAX_DIGITS - wide)
    options: list[Expr] = []
    if bounds.low is None or bounds.low < 0:
        mirrored = Bounds(
            None if bounds.high is None or bounds.high > 0 else -bounds.high,
            None if bounds.low is None else -bounds.low,
            bounds.high_open and bounds.high is not None and bounds.high <= 0,
            bounds.low_open,
        )
        options.append(seq(Lit("-"), _positive(mirrored, wide, spare)))
    if bounds.high is None or bounds.high >= 0:
        floor = Bounds(bounds.low, bounds.high, bounds.low_open, bounds.high_open)
        if bounds.low is not None and bounds.low < 0:
            floor = Bounds(None, bounds.high, False, bounds.high_open)
        options.append(_positive(floor, wide, spare))
    return alt(*options)


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _positive(bounds: Bounds, wide: int, spare: int) -> Expr:
    """Decimals from `bounds.low` (None: 0) to `bounds.high` (None: as wide as the bounds)."""
    low, _, low_fraction = _plain(bounds.low or Decimal(0)).partition(".")
    high, _, high_fraction = _plain(bounds.high or Decimal(0)).partition(".")
    first, last = int(low), int(high) if bounds.high is not None else None
    if last is None:
        top = 10 ** max(wide, 9) - 1
        above = seq(_magnitudes(first + 1, top), _fraction_after(_any(spare), True))
        return alt(_with_fraction(low, _at_least(low_fraction, bounds.low_open, spare)), above)
    if first > last:
        return NOTHING
    if first == last:
        ends = (low_fraction, bounds.low_open), (high_fraction, bounds.high_open)
        return _with_fraction(low, _between(*ends, spare))
    return alt(
        _with_fraction(low, _at_least(low_fraction, bounds.low_open, spare)),
        seq(_magnitudes(first + 1, last - 1), _fraction_after(_any(spare), True)),
        _with_fraction(high, _at_most(high_fraction, bounds.high_open, spare)),
    )


# A set of digit strings behind the decimal point: whether the empty one is in it, and the rest.
Fraction = tuple[bool, Expr]


def _any(spare: int) -> Expr:
    return _digits(1, max(1, spare))


def _fraction_after(body: Expr, may_end: bool) -> Expr:
    point = NOTHING if body == NOTHING else seq(Lit("."), body)
    if not may_end:
        return point
    return EMPTY if point == NOTHING else opt(point)


def _with_fraction(whole: str, fraction: Fraction) -> Expr:
    may_end, body = fraction
    after = _fraction_after(body, may_end)
    return NOTHING if after == NOTHING else seq(Lit(whole), after)


def _tail(digit: Expr, rest: Fraction) -> Expr:
    may_end, body = rest
    if body == NOTHING:
        return digit if may_end else NOTHING
    return seq(digit, opt(body) if may_end else body)


def _at_least(fraction: str, is_open: bool, spare: int) -> Fraction:
    if not fraction:
        if not is_open:
            return True, _any(spare)
        some = seq(_digits(0, max(0, spare - 2)), Chars(((0x31, 0x39),)), _digits(0, 1))
        return False, some
    digit = int(fraction[0])
    same = _tail(Lit(fraction[0]), _at_least(fraction[1:], is_open, spare - 1))
    if digit == 9:
        return False, same
    above = seq(_digit(digit + 1, 9), _digits(0, max(0, spare - 1)))
    return False, alt(same, above)


def _at_most(fraction: str, is_open: bool, spare: int) -> Fraction:
    if not fraction:
        return (False, NOTHING) if is_open else (True, Rep(Lit("0"), 1, max(1, spare)))
    digit = int(fraction[0])
    same = _tail(Lit(fraction[0]), _at_most(fraction[1:], is_open, spare - 1))
    below = seq(_digit(0, digit - 1), _digits(0, max(0, spare - 1))) if digit else NOTHING
    return True, alt(same, below)


def _between(low: tuple[str, bool], high: tuple[str, bool], spare: int) -> Fraction:
    """Fractions between two; both are cut digit by digit where they agree."""
    (floor, floor_open), (ceiling, ceiling_open) = low, high
    if not floor and not floor_open:
        return _at_most(ceiling, ceiling_open, spare)
    if not ceiling:
        exact = not floor and not floor_open and not ceiling_open
        return exact, NOTHING
    first, last = int(floor[0]) if floor else 0, int(ceiling[0])
    if first > last:
        return False, NOTHING
    rest = (floor[1:], floor_open)
    if first == last:
        inner = _between(rest, (ceiling[1:], ceiling_open), spare - 1)
        return False, _tail(Lit(ceiling[0]), inner)
    middle: Expr = NOTHING
    if last - first > 1:
        middle = seq(_digit(first + 1, last - 1), _digits(0, max(0, spare - 1)))
    return False, alt(
        _tail(Lit(str(first)), _at_least(rest[0], floor_open, spare - 1)),
        middle,
        _tail(Lit(ceiling[0]), _at_most(ceiling[1:], ceiling_open, spare - 1)),
    )


def any_integer() -> Expr:
    """Every integer of up to `FREE_DIGITS` digits."""
    body = alt(Lit("0"), seq(Chars(((0x31, 0x39),)), _digits(0, FREE_DIGITS - 1)))
    return seq(opt(Lit("-")), body)


def any_number() -> Expr:
    """Every JSON number of bounded length; exponents of at most two digits stay finite."""
    sign = Chars(((0x2B, 0x2B), (0x2D, 0x2D)))
    exponent = seq(Chars(((0x45, 0x45), (0x65, 0x65))), opt(sign), _digits(1, 2))
    return seq(any_integer(), opt(seq(Lit("."), _digits(1, FREE_DIGITS))), opt(exponent))
