"""How differently long two answers are: a sign for whoever reviews them, and no more. Pure."""

from __future__ import annotations

from reshore.checks.check import Check

# Where one is so many times as long as the other, somebody should look.
STRIKING = 3.0
# Shorter ones are: "42" is no worse an answer than "The answer is 42".
_SHORT_CHARACTERS = 200


def length_ratio(one: str, other: str) -> float:
    """How many times as long the longer text is: 1 or more.

    Short texts count as if they had 200 characters, between which no ratio says anything.
    """
    sizes = sorted(max(len(text.strip()), _SHORT_CHARACTERS) for text in (one, other))
    return sizes[1] / sizes[0]


def check_length_ratio(one: str, other: str) -> Check:
    """Tells a striking ratio, and decides nothing: neither long nor short is better by itself."""
    ratio = length_ratio(one, other)
    if ratio < STRIKING:
        return Check(name="length ratio")
    longer = "first" if len(one.strip()) > len(other.strip()) else "second"
    return Check(name="length ratio", detail=f"the {longer} is {ratio:.1f} times as long")
