"""Small pictures of numbers with their intervals, as SVG. Pure.

Colours are classes of the style sheet, so that dark and light are one place's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from reshore.evals.compare.page.markup import Markup, tag
from reshore.evals.compare.report import Estimate

_WIDTH, _HEIGHT = 130.0, 16.0
_EDGE = 5.0
_BAR_HEIGHT = 12.0


class Scale(Struct, frozen=True):
    """From a number to a place in a picture; numbers outside are at its edge."""

    low: float
    high: float
    width: float = _WIDTH

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low or 1.0)
        return _EDGE + min(max(share, 0.0), 1.0) * (self.width - 2 * _EDGE)


def scale_of(estimates: Iterable[Estimate | None]) -> Scale:
    """From 0 to the highest bound there is."""
    known = [each for each in estimates if each is not None]
    highest = max((max(each.value, each.high or 0.0) for each in known), default=1.0)
    return Scale(0.0, highest or 1.0)


def interval(estimate: Estimate, scale: Scale, says: str) -> Markup:
    """A point with its interval; without a bound the line runs on to the edge, dashed."""
    low, high = estimate.low, estimate.high
    return _picture(
        says,
        scale.width,
        _HEIGHT,
        tag("line", x1=_EDGE, x2=scale.width - _EDGE, y1=8, y2=8, class_="axis"),
        _span(scale, estimate),
        *(_end(scale(bound)) for bound in (low, high) if bound is not None),
        tag("circle", cx=scale(estimate.value), cy=8, r=4, class_="point"),
    )


def net_win(value: float, low: float, high: float, margin: float, reach: float) -> Markup:
    """Wins minus losses with its interval, beside what is just not good enough.

    Args:
        reach: the picture shows -reach to reach.
    """
    scale = Scale(-reach, reach, 240.0)
    return _picture(
        f"net win {value:+.3f}, between {low:+.3f} and {high:+.3f}; the margin is {-margin:+.3g}",
        scale.width,
        _HEIGHT,
        tag("rect", x=_EDGE, y=0, width=scale(-margin) - _EDGE, height=_HEIGHT, class_="bad"),
        tag("line", x1=scale(0), x2=scale(0), y1=0, y2=_HEIGHT, class_="axis"),
        tag("line", x1=scale(-margin), x2=scale(-margin), y1=0, y2=_HEIGHT, class_="margin"),
        _span(scale, Estimate(value=value, low=low, high=high)),
        _end(scale(low)),
        _end(scale(high)),
        tag("circle", cx=scale(value), cy=8, r=4, class_="point"),
    )


def shares(counts: Sequence[tuple[str, int]]) -> Markup:
    """A bar of parts, each in the colour of its name."""
    total, width = sum(count for _, count in counts) or 1, 240.0
    parts, x = [], 0.0
    for name, count in counts:
        length = width * count / total
        says = tag("title", f"{count} {name}")
        parts.append(tag("rect", says, x=x, y=0, width=length, height=_BAR_HEIGHT, class_=name))
        x += length
    said = ", ".join(f"{count} {name}" for name, count in counts)
    return _picture(said, width, _BAR_HEIGHT, *parts)


def _span(scale: Scale, estimate: Estimate) -> Markup:
    low = scale.low if estimate.low is None else estimate.low
    high = scale.high if estimate.high is None else estimate.high
    unknown = estimate.low is None or estimate.high is None
    kind = "span unknown" if unknown else "span"
    return tag("line", x1=scale(low), x2=scale(high), y1=8, y2=8, class_=kind)


def _end(x: float) -> Markup:
    return tag("line", x1=x, x2=x, y1=4, y2=12, class_="span")


def _picture(says: str, width: float, height: float, *inside: Markup) -> Markup:
    return tag(
        "svg",
        tag("title", says),
        *inside,
        width=width,
        height=height,
        viewBox=f"0 0 {width:.5g} {height:.5g}",
        role="img",
        aria_label=says,
    )
