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

    @property
    def brief(self) -> str:
        """`text` without the margin."""
        return self.text.removesuffix(f" {with_margin(self.margin)}")


def with_margin(margin: float) -> str:
    """How a margin stands behind what is said of it."""
    return f"(margin {margin:.3g})"


def verdict(pairs: Sequence[Pair], margin: float) -> Verdict:
    """Judge the pairs of one class.

    Undecided pairs are no evidence, and may hide any: an answer must be the same if the second
    target had lost all of them, or won them all.

    Args:
        margin: by how much more losses than wins there may be, as a part of all pairs: 0.05.
    """
    word: Word
    known = _means([pair for pair in pairs if pair.value is not None])
    undecided = sum(pair.value is None for pair in pairs)
    lost, won = (_means(_filled(pairs, value)) for value in (-1, 1))
    more = None
    if non_inferior(_interval(lost), margin) == "passed":
        word, text = "ready", "ready"
    elif non_inferior(_interval(won), margin) == "failed":
        word, text = "not ready", "not ready"
    else:
        word, more = "open", _more(lost, won, len(pairs), margin)
        text = f"needs {_count(more)} more pairs"
        if more is None and undecided:
            text = f"open: {undecided} pair{'s' * (undecided != 1)} that no check could decide"
    return Verdict(
        word=word,
        text=f"{text} {with_margin(margin)}",
        margin=margin,
        net_win=math.fsum(known) / len(known) if known else None,
        interval=_interval(known),
        more=more,
    )


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


def _more(lost: Sequence[float], won: Sequence[float], pairs: int, margin: float) -> int | None:
    """Pairs until one of the two claims holds, if the next ones are like these.

    Args:
        lost, won: means of all conversations, if all undecided pairs are lost, or won: `ready` must
            hold for the former, `not ready` for the latter.
    """
    above = _to_go(Wager(limit=-margin, low=-1.0, high=1.0), lost)
    below = _to_go(Wager(limit=-margin, low=-1.0, high=1.0, claim="below"), won)
    least = min(above, below)
    if not math.isfinite(least):
        return None
    return math.ceil(max(1.0, least) * (pairs / len(lost) if lost else 1.0))


def _to_go(wager: Wager, means: Sequence[float]) -> float:
    """A few pairs that agree promise too much: of two more, one wins and one loses, by half."""
    for mean in means:
        wager.update(mean)
    shares = Counter(means)
    shares.update({1.0: 0.5, -1.0: 0.5})
    total = len(means) + 1
    return wager.to_go(ALPHA, [(value, count / total) for value, count in shares.items()])


def _count(more: int | None) -> str:
    if more is None:
        return "many"
    return f"about {more}" if more < 100 else f"about {round(more, -len(str(more)) + 2)}"
