"""What the trained routers of a policy say of a request, for `reshore route explain`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from reshore.routing.complexity import Part
from reshore.routing.content import Content
from reshore.routing.learned import LearnedRouter, Reads
from reshore.routing.policy import Policy
from reshore.routing.sides import Use, uses


class Opinion(Struct, frozen=True, kw_only=True):
    """One router's.

    Attributes:
        found: its file is there and whole; without it nothing below is known.
        threshold: scores from here on go to the cloud.
        target: what the threshold was calibrated to, "" where it was not.
        score, gain: as `Judged` has them; None for a router that has to read an answer first.
        likeness: to the training, 0..1; below `least` the request is outside, where the rules
            decide in its stead, or, in a cascade, nobody.
        parts: what the gain is made of, the weightiest first.
    """

    router: str
    reads: Reads
    found: bool = True
    threshold: float | None = None
    target: str = ""
    score: float | None = None
    gain: float | None = None
    likeness: float | None = None
    least: float | None = None
    outside: bool = False
    parts: tuple[Part, ...] = ()


def opinions(
    policy: Policy, routers: Mapping[str, LearnedRouter], content: Content
) -> Iterator[Opinion]:
    """Of every router that a policy names, whether or not this request would get that far."""
    for use in dict.fromkeys(uses(policy)):
        router = routers.get(use.name)
        if router is None:
            yield Opinion(router=use.name, reads=use.reads, found=False)
        else:
            yield _opinion(use, router, content)


def _opinion(use: Use, router: LearnedRouter, content: Content) -> Opinion:
    judged = router.judge(content)
    known = use.reads == "prompt"
    calibration = router.model.calibration if use.threshold is None else None
    return Opinion(
        router=use.name,
        reads=use.reads,
        threshold=router.threshold if use.threshold is None else use.threshold,
        target=calibration.target if calibration else "",
        score=judged.score if known else None,
        gain=judged.gain if known else None,
        likeness=judged.likeness,
        least=router.model.likeness,
        outside=judged.outside,
        parts=judged.parts if known else (),
    )
