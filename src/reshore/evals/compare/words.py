"""Numbers of a report as people read them: the same words in the terminal and on the page. Pure."""

from __future__ import annotations

from collections.abc import Callable

from reshore.evals.compare.report import Contest, Estimate, Side

Written = Callable[[float], str]


def percent(share: float) -> str:
    """`87.5 %`"""
    return f"{100 * share:.1f} %"


def span(milliseconds: float) -> str:
    """`340 ms`, `12.3 s`"""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def tokens(count: float) -> str:
    """`118`, `7.4`: three digits are enough of a mean."""
    return f"{count:.0f}" if count >= 10 else f"{count:.1f}"


def dollars(usd: float) -> str:
    """`$0.42`, `$0.00015`: two digits at least that say something."""
    if usd == 0 or usd >= 0.1:
        return f"${usd:,.2f}"
    return f"${usd:.2g}" if usd >= 1e-4 else f"${usd:.6f}"


def between(estimate: Estimate | None, write: Written) -> str:
    """`340 ms (310 to 420)`; `?` for a bound that is not known, `-` without a number."""
    if estimate is None:
        return "-"
    value = write(estimate.value)
    if estimate.low is None and estimate.high is None:
        return value
    ends = ["?" if end is None else write(end) for end in (estimate.low, estimate.high)]
    if ends == [value, value]:
        return value
    unit = value.partition(" ")[2]
    if unit and all(end == "?" or end.endswith(f" {unit}") for end in ends):
        ends = [end.removesuffix(f" {unit}") for end in ends]
    return f"{value} ({' to '.join(ends)})"


def alone(estimate: Estimate | None, write: Written) -> str:
    """The same without its interval."""
    return "-" if estimate is None else write(estimate.value)


def quality(side: Side) -> str:
    """`87.5 % (80.1 % to 92.3 %)`, and how many answers nobody could tell right from wrong."""
    unknown = f", {side.unknown} of {side.checked} unknown" if side.unknown else ""
    return between(side.quality, percent) + unknown


def net_win(contest: Contest) -> str:
    """`+0.020 (-0.051 to +0.093)`"""
    verdict = contest.verdict
    if verdict.net_win is None:
        return "-"
    return f"{verdict.net_win:+.3f} ({verdict.interval.low:+.3f} to {verdict.interval.high:+.3f})"


def decided(contest: Contest) -> str:
    """`reference 60, agreement 12`: what decided, the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in contest.by.items())
