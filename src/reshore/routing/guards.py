"""What a rollout must not make worse, as text: `net_win>=-0.03`, `ttft_p95<=1.2x`. Pure.

net_win>=-0.03      (wins - losses) / pairs of the answers, at least this
error_rate<=+0.01   share of failed requests, at most this much above the other side's
ttft_p95<=1.2x      95th percentile of the time to first token, at most this many times the
                    other side's; p1 to p99
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Literal

from msgspec import Struct

from reshore.errors import RouteError

Metric = Literal["net_win", "error_rate", "ttft"]

_FORM = re.compile(r"\s*([a-z_]+?)(?:_p(\d+))?\s*(<=|>=|==|=|<|>)\s*([+-]?\d*\.?\d+)\s*(x|%)?\s*")
_EXAMPLES = "write one like 'error_rate<=+0.01', 'ttft_p95<=1.2x' or 'net_win>=-0.03'"


class Guard(Struct, frozen=True, kw_only=True):
    """A limit that the new side must keep.

    Attributes:
        limit: of `net_win` the least one, -1..1; of `error_rate` the most that it may be above the
            other side's, 0..1; of `ttft` the largest ratio to the other side's, 1 or more.
        percentile: of `ttft`, 1..99; 0 for the others.
    """

    metric: Metric
    limit: float
    percentile: int = 0

    @property
    def name(self) -> str:
        """The metric as it is written."""
        return f"{self.metric}_p{self.percentile}" if self.percentile else self.metric

    def __str__(self) -> str:
        limit = repr(float(self.limit)).removesuffix(".0")
        match self.metric:
            case "net_win":
                return f"{self.name}>={limit}"
            case "error_rate":
                return f"{self.name}<=+{limit}"
            case "ttft":
                return f"{self.name}<={limit}x"


DEFAULT_GUARDS = (
    Guard(metric="error_rate", limit=0.01),
    Guard(metric="ttft", limit=1.2, percentile=95),
    Guard(metric="net_win", limit=-0.03),
)


def parse_guard(text: str) -> Guard:
    """Read a guard; `str(guard)` writes it.

    Raises:
        RouteError: it is none; says what is wrong and shows one that works.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise _wrong(text, f"it is not METRIC<=LIMIT or METRIC>=LIMIT; {_EXAMPLES}")
    metric, percentile, relation, number, unit = found.groups()
    limit = float(number)
    match metric:
        case "net_win" if not percentile:
            return _net_win(text, relation, limit, unit)
        case "error_rate" if not percentile:
            return _error_rate(text, relation, limit, unit)
        case "ttft":
            return _ttft(text, relation, limit, unit, int(percentile or 0))
    name = metric + (f"_p{percentile}" if percentile else "")
    near = get_close_matches(name, ("net_win", "error_rate", "ttft_p95"), n=1)
    guess = (
        f"did you mean '{near[0]}'?"
        if near
        else f"there are net_win, error_rate, ttft_p95; {_EXAMPLES}"
    )
    raise _wrong(text, f"'{name}' is not measured; {guess}")


def _net_win(text: str, relation: str, limit: float, unit: str | None) -> Guard:
    if relation != ">=" or unit:
        raise _wrong(text, "a net win has a lower limit without a unit, as 'net_win>=-0.03'")
    if not -1 < limit < 1:
        raise _wrong(text, "(wins - losses) / pairs is between -1 and 1")
    return Guard(metric="net_win", limit=limit)


def _error_rate(text: str, relation: str, limit: float, unit: str | None) -> Guard:
    if relation != "<=" or unit == "x":
        raise _wrong(
            text, "an error rate may be at most so much above the other side's: 'error_rate<=+0.01'"
        )
    share = limit / 100 if unit == "%" else limit
    if not 0 <= share < 1:
        raise _wrong(text, "the error rate may rise by 0 or more, and by less than 1 (100 %)")
    return Guard(metric="error_rate", limit=share)


def _ttft(text: str, relation: str, limit: float, unit: str | None, percentile: int) -> Guard:
    if relation != "<=" or unit != "x" or limit < 1:
        raise _wrong(
            text,
            "a time to first token may be at most so many times the other side's, 1x or more: "
            "'ttft_p95<=1.2x'",
        )
    if not 1 <= percentile <= 99:
        raise _wrong(text, "name a percentile from 1 to 99: 'ttft_p95<=1.2x'")
    return Guard(metric="ttft", limit=limit, percentile=percentile)


def _wrong(text: str, why: str) -> RouteError:
    return RouteError(f"the guard '{text}' cannot be used: {why}")
