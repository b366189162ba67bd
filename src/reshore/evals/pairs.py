"""One request that both sides answered, and how good each was. Pure."""

from __future__ import annotations

from msgspec import Struct


class Pair(Struct, frozen=True, kw_only=True):
    """What a router learns from.

    Attributes:
        prompt: what was asked, as `Content.asked()` gives it.
        weak, strong: the quality of either answer, 0..1: right or wrong, or what checks and judges
            made of it.
        answer: the weak side's; for a router that reads it.
        key: pairs of one key (one question, one conversation) are never parted between training
            and calibration, and count as one thing in what is promised; "" for a pair of its own.
        weight: how many requests it stands for, above 0: one over the probability with which such
            a request became a pair.
        group: a topic or class of traffic, as far as known. It helps the training, for the gain
            varies between groups more than within them, and is never needed for a decision.
    """

    prompt: str
    weak: float
    strong: float
    answer: str = ""
    key: str = ""
    weight: float = 1.0
    group: str = ""

    @property
    def gain(self) -> float:
        return self.strong - self.weak
