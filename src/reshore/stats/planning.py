"""How many pairs an answer takes, and how long that is at one's own traffic."""

from __future__ import annotations

import math
from statistics import NormalDist

from reshore.stats.wager import Wager


def required_pairs(
    discordance: float,
    margin: float,
    *,
    difference: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Pairs of a fixed sample that show non-inferiority, with one look at the end.

    (z_alpha + z_power)^2 * variance / (margin + difference)^2 with the variance of a paired
    difference of wins and losses, discordance - difference^2 (Miller, arXiv 2411.00640, section 5;
    Connor, Biometrics 43(1), 1987). One-sided level alpha. Looking at any time costs more, see
    `anytime_pairs`.

    Args:
        discordance: share of pairs that one side wins.
        margin: how much worse is still good enough, as 0.03.
        difference: the true net win that is planned for, above -margin.

    Raises:
        ValueError: no sample could show it, or the numbers contradict each other.
    """
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
    variance, room = _planned(discordance, margin, difference)
    return math.ceil(z * z * variance / (room * room))


def anytime_pairs(
    discordance: float, margin: float, *, difference: float = 0.0, alpha: float = 0.05
) -> int:
    """Pairs after which a `Wager` is expected to show non-inferiority, looked at all the time.

    Its capital then grows to 1/alpha at the mean rate; half of all runs are there before.

    Raises:
        ValueError: as `required_pairs`.
    """
    _planned(discordance, margin, difference)
    wins, losses = (discordance + difference) / 2, (discordance - difference) / 2
    shares = ((1.0, wins), (0.0, 1 - discordance), (-1.0, losses))
    return math.ceil(Wager(limit=-margin, low=-1, high=1).to_go(alpha, shares))


def hours(observations: float, per_hour: float) -> float:
    """How long so many observations take; infinite where none come."""
    return observations / per_hour if per_hour > 0 else math.inf


def hours_text(value: float) -> str:
    """A time to wait as people say it: seconds, minutes, hours, days."""
    if not math.isfinite(value):
        return "no end in sight"
    minutes = value * 60
    if minutes < 1:
        return f"{max(1, math.ceil(minutes * 60))} s"
    if minutes < 90:
        return f"{math.ceil(minutes)} min"
    return f"{value:.0f} h" if value < 48 else f"{value / 24:.0f} days"


def _planned(discordance: float, margin: float, difference: float) -> tuple[float, float]:
    """Variance of a pair, and the distance between what is true and what is to be ruled out."""
    if not 0 < discordance <= 1 or abs(difference) > discordance:
        raise ValueError(
            f"a net win of {difference} is not possible where {discordance} of the pairs differ"
        )
    if margin + difference <= 0:
        raise ValueError(
            f"no sample can show a net win above {-margin} where the true one is {difference}"
        )
    return discordance - difference * difference, margin + difference
