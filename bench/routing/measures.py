"""What a router is worth: curve, shares of calls, dollars."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from bench.labels import Labelled, Worth, worth
from bench.routing.sets import strong_characters
from reshore.ledger.prices import NANO, Prices
from reshore.types import Usage

# Of English text; there are no token counts in the labels.
_CHARACTERS_PER_TOKEN = 4
_POINTS = 101


class Measured(Struct, frozen=True, kw_only=True):
    """One router on one set; means over the splits.

    Attributes:
        apgr: with the bootstrap interval of one split (means of its ends).
        splits: the APGR of each split.
        cpt50, cpt80: share of calls to the strong model that recovers so much of the gap.
        usd: per 1,000 prompts, by what is recovered: `50`, `80`, and `all` for all to the strong
            model. None where its price is not known.
        curve: the gap recovered, at each hundredth of the calls.
        outside: share of the prompts that a learned router leaves to the rules.
    """

    apgr: Worth
    splits: tuple[float, ...]
    cpt50: float
    cpt80: float
    usd: dict[str, float] | None
    curve: tuple[float, ...]
    outside: float | None = None


def measured(
    splits: Sequence[tuple[Labelled, Sequence[float]]], outside: float | None = None
) -> Measured:
    """The figures of a router from its scores on each split; the higher, the sooner to strong."""
    worths = [worth(scores, labelled) for labelled, scores in splits]
    sorted_ = [_Sorted(labelled, scores) for labelled, scores in splits]
    bills = [one.usd() for one in sorted_]
    return Measured(
        apgr=Worth(
            apgr=_mean([one.apgr for one in worths]),
            low=_mean([one.low for one in worths]),
            high=_mean([one.high for one in worths]),
        ),
        splits=tuple(one.apgr for one in worths),
        cpt50=_mean([one.share_for(0.5) for one in sorted_]),
        cpt80=_mean([one.share_for(0.8) for one in sorted_]),
        usd={
            name: _mean([bill[name] for bill in bills if bill is not None])
            for name in ("50", "80", "all")
        }
        if None not in bills
        else None,
        curve=tuple(float(at) for at in np.mean([one.curve() for one in sorted_], axis=0)),
        outside=outside,
    )


class _Sorted:
    """The lines of a set in the order in which a router sends them to the strong model."""

    def __init__(self, labelled: Labelled, scores: Sequence[float]) -> None:
        tie = list(range(len(scores)))
        random.Random(0).shuffle(tie)
        order = np.lexsort((tie, -np.asarray(scores, dtype=float)))
        gain = (np.asarray(labelled.strong) - np.asarray(labelled.weak))[order]
        self._recovered = np.concatenate(([0.0], np.cumsum(gain) / gain.sum()))
        self._labelled = labelled
        self._order = order

    def share_for(self, recovered: float) -> float:
        """The smallest share of calls that recovers so much."""
        return float(self._first(recovered) / len(self._order))

    def curve(self) -> Any:
        places = np.linspace(0, len(self._order), _POINTS)
        return np.interp(places, np.arange(len(self._recovered)), self._recovered)

    def usd(self) -> dict[str, float] | None:
        """Per 1,000 prompts. What is answered here costs nothing: it is a machine one has."""
        costs = _costs(self._labelled)
        if costs is None:
            return None
        spent = np.concatenate(([0.0], np.cumsum(costs[self._order]))) * 1000 / len(costs)
        return {
            "50": float(spent[self._first(0.5)]),
            "80": float(spent[self._first(0.8)]),
            "all": float(spent[-1]),
        }

    def _first(self, recovered: float) -> int:
        return int(np.argmax(self._recovered >= recovered))


def _costs(labelled: Labelled) -> Any | None:
    """Dollars that the strong model takes for each prompt, by today's list."""
    prices = Prices({}, {})
    found = []
    for prompt, characters in zip(labelled.prompts, strong_characters(labelled), strict=True):
        usage = Usage(
            prompt_tokens=-(-len(prompt) // _CHARACTERS_PER_TOKEN),
            completion_tokens=-(-characters // _CHARACTERS_PER_TOKEN),
        )
        price = prices.listed(labelled.strong_model, usage, time.time())
        if price is None:
            return None
        found.append(price.nano_usd / NANO)
    return np.asarray(found)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
