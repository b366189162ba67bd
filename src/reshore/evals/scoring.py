"""How good an answer is, and which of two is better, as far as checks can tell. Pure.

The same for a comparison that somebody asked for and for pairs of live traffic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from reshore.checks.agreement import agree
from reshore.checks.answers import judge
from reshore.checks.check import Check, Said
from reshore.checks.json_schema import violations
from reshore.checks.reference import check_reference
from reshore.checks.tool_calls import check_calls
from reshore.evals.expected import Expected

# Of `CHECKS`, those that find what nobody wants, whatever was asked.
STRUCTURAL = ("finish", "empty", "json", "tools", "refusal", "repetition", "language")

# What a pair is for the second one of two answers.
Result = Literal["win", "tie", "loss", "undecided"]
_VALUES = {"win": 1, "tie": 0, "loss": -1}


class Heard(Struct, frozen=True, kw_only=True):
    """An answer, or why there is none.

    Attributes:
        said: the answer beside what was asked; empty where there is none.
        error: what went wrong; "" where nothing did.
    """

    said: Said
    error: str = ""


class Judged(Struct, frozen=True, kw_only=True):
    """One answer after all checks.

    Attributes:
        good: None where nothing is known to be wrong, and nothing to be right.
        by: the check that decided it.
        detail: what it found.
    """

    good: bool | None
    by: str = ""
    detail: str = ""


class Compared(Struct, frozen=True, kw_only=True):
    """Two answers to one request.

    Attributes:
        result: of the second one.
        by: what decided it, "" where nothing did: a check, `agreement`, `same text`, `error`.
        detail: why nobody could tell, or who failed to.
    """

    result: Result
    by: str = ""
    detail: str = ""

    @property
    def value(self) -> int | None:
        """1, 0 or -1; None where nobody knows."""
        return _VALUES.get(self.result)


def judged(heard: Heard, expected: Expected) -> Judged:
    """What is known of one answer.

    What is expected decides where it can; then what is certainly wrong (empty, cut off, refused,
    repeating itself, in another language, not of the shape that was asked for). That an answer fits
    a schema does not make it right.
    """
    if heard.error:
        return Judged(good=False, by="error", detail=heard.error)
    found = list(_expected(heard.said, expected))
    failed = next((check for check in found if check.ok is False), None)
    if failed is None and found and all(check.ok for check in found) and expected.proves:
        return Judged(good=True, by=found[0].name)
    failed = failed or next(_structural(heard.said), None)
    if failed is not None:
        return Judged(good=False, by=failed.name, detail=failed.detail)
    return Judged(good=None)


def compared(first: Heard, second: Heard, expected: Expected) -> Compared:
    """Which of two answers is better; a win is one of the second.

    Where the first one failed with an error nothing can be said: a wrong key of the cloud's makes
    no local model better. Where the second one alone did, it loses, as its clients would.
    """
    if first.error:
        return Compared(result="undecided", by="error")
    one, other = judged(first, expected), judged(second, expected)
    if one.good is not None and other.good is not None:
        by = (other if other.good is False else one).by
        return _result(int(other.good) - int(one.good), by)
    if (one.good is False or other.good is False) and not _unsure(one, other, expected):
        # Nothing is wrong with the one, and something is with the other.
        return _result(1 if one.good is False else -1, (one if one.good is False else other).by)
    if agree(first.said, second.said).ok:
        return _result(0, "agreement")
    if first.said.text == second.said.text and first.said.text:
        return _result(0, "same text")
    return Compared(result="undecided")


def _unsure(one: Judged, other: Judged, expected: Expected) -> bool:
    """Whether the better of both may be as wrong as the worse one: it was held against what is
    right, and nobody could tell. One that failed altogether loses even so."""
    return expected.proves and "error" not in (one.by, other.by)


def _result(difference: int, by: str) -> Compared:
    results: tuple[Result, ...] = ("tie", "win", "loss")
    return Compared(result=results[difference], by=by)


def _expected(given: Said, expected: Expected) -> Iterator[Check]:
    """Strongest first."""
    if expected.references:
        yield check_reference(given, expected.references, expected.match)
    if expected.calls is not None:
        yield check_calls(given, expected.calls)
    if expected.schema is not None:
        fits = not violations(expected.schema, given.text)
        detail = "" if fits else "does not fit the schema"
        yield Check(name="schema", ok=fits, detail=detail)
    if expected.pattern is not None:
        matches = re.search(expected.pattern, given.text) is not None
        yield Check(name="pattern", ok=matches, detail="" if matches else "pattern not found")


def _structural(given: Said) -> Iterator[Check]:
    # No log-probabilities are looked at here.
    checks = (judge(name, given, min_logprob=0.0) for name in STRUCTURAL)
    return (check for check in checks if check.ok is False)
