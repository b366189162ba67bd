"""An interval for an unknown number, and what it says of a margin."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# `passed`: certainly beyond the margin; `failed`: certainly not; `open`: not known yet.
Verdict = Literal["passed", "failed", "open"]


class Interval(Struct, frozen=True):
    """Where a number lies, with the confidence of whoever made the interval."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}]"


def non_inferior(difference: Interval, margin: float) -> Verdict:
    """Whether the new side is at most `margin` worse: the gate of a non-inferiority trial.

    Passed when the lower bound of (new - old) is above -margin, failed when the upper bound is
    below it. One-sided error is half of what the interval leaves out; with an interval out of a
    confidence sequence the gate may be looked at after every observation, with one out of a fixed
    sample once. (Piaggio et al., JAMA 308(24), 2012: the CONSORT extension.)

    Args:
        difference: of new minus old, higher being better.
        margin: how much worse is still good enough, in the unit of the difference; below 0 the new
            side has to be so much better.
    """
    if difference.low > -margin:
        return "passed"
    return "failed" if difference.high < -margin else "open"
