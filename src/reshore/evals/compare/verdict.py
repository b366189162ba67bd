"""What wins, ties and losses say about a margin, however often one looks. Pure.

Whoever is told "needs 200 more pairs" asks 200 more and looks again, so bounds for a fixed sample
would not hold: these are bounds by betting, which do at every look (`stats/wager.py`). Turns of one
conversation are no independent evidence: each conversation counts once, with its mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from reshore.stats.interval import Interval, non_inferior
from reshore.stats.wager import Wager, bounds

Word = Literal["ready", "not ready", "open"]

# Each of both bounds misses that often, ever: together they are an interval of 95 %.
ALPHA = 0.025


class Pair(Struct, frozen=True, kw_only=True):
    """One pair of answers: 1 the second one is better, -1 worse; None: nobody knows."""

    value: int | None
    conversation: str


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether the second target may take over from the first one.

    Attributes:
        word: `ready`: certainly less than `margin` worse; `not ready`: certainly more.
        text: the same in one line, with what is missing.
        net_win: (wins - losses) / decided pairs, conversations counting alike; None without any.
        interval: of the net win.
        more: pairs that are missing for an answer, if things go on like this; None where more pairs
            of this kind would not help.
    """

    word: Word
    text: str
    margin: float
    net_win: float | None
    interval: Interval
    more: int | None = None


def verdict(pairs: Sequence[Pair], margin: float) -> Verdict:
    """Judge the pairs of one class.

    Undecided pairs are no evidence, and may hide any: an answer must be the same if the second
    target had lost all of them, or won them all.

    Args:
        margin: by how much more losses than wins there may be, as a part of all pairs: 0.05.
    """
    known = _means([pair for pair in pairs if pair.value is not None])
    interval = _interval(known)
    undecided = sum(pair.value is None for pair in pairs)
    net_win = math.fsum(known) / len(known) if known else None
    lost, won = (_interval(_means(_filled(pairs, value))) for value in (-1, 1))
    say, m = f"margin {margin:.3g}", margin
    if non_inferior(lost, m) == "passed":
        word: Word = "ready"
    elif non_inferior(won, m) == "failed":
        word = "not ready"
    else:
        more = _more(known, len(pairs) - undecided, m)
        if non_inferior(interval, m) != "open" or (more is None and undecided):
            text = f"open: {undecided} pairs that no check could decide ({say})"
            return Verdict(word="open", text=text, margin=m, net_win=net_win, interval=interval)
        text = f"needs {_count(more)} more pairs ({say})"
        return Verdict(
            word="open", text=text, margin=m, net_win=net_win, interval=interval, more=more
        )
    return Verdict(word=word, text=f"{word} ({say})", margin=m, net_win=net_win, interval=interval)


def _filled(pairs: Sequence[Pair], value: int) -> list[Pair]:
    return [
        Pair(value=value if pair.value is None else pair.value, conversation=pair.conversation)
        for pair in pairs
    ]


def _means(pairs: Sequence[Pair]) -> list[float]:
    """The mean of each conversation; a pair without one is one of its own."""
    found: dict[str | int, list[int]] = {}
    for place, pair in enumerate(pairs):
        if pair.value is not None:
            found.setdefault(pair.conversation or place, []).append(pair.value)
    return [sum(values) / len(values) for values in found.values()]


def _interval(means: Sequence[float]) -> Interval:
    return bounds(Counter(means).items(), -1.0, 1.0, alpha=ALPHA)


def _more(means: Sequence[float], pairs: int, margin: float) -> int | None:
    """Pairs until one of the two claims holds, if the next ones are like these.

    A few pairs that agree promise too much: two more of which one wins and one loses are assumed.
    """
    wagers = [Wager(limit=-margin, low=-1.0, high=1.0, claim=claim) for claim in ("above", "below")]
    for mean in means:
        for wager in wagers:
            wager.update(mean)
    shares = Counter(means)
    shares.update({1.0: 0.5, -1.0: 0.5})
    total = len(means) + 1
    parts = [(value, count / total) for value, count in shares.items()]
    least = min(wager.to_go(ALPHA, parts) for wager in wagers)
    if not math.isfinite(least):
        return None
    return math.ceil(max(1.0, least) * (pairs / len(means) if means else 1.0))


def _count(more: int | None) -> str:
    if more is None:
        return "many"
    return f"about {more}" if more < 100 else f"about {round(more, -len(str(more)) + 2)}"
