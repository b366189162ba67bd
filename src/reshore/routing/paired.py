"""One request that both sides answered, compared: what evaluation makes, and others go by. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from reshore.routing.watches import PairVerdict
from reshore.types import Side, Target

Source = Literal["shadow", "compare"]


class Paired(Struct, frozen=True, kw_only=True):
    """Two answers to one request, from the local side's view.

    Attributes:
        source: a copy of live traffic, or a comparison that somebody asked for.
        route: the pattern that the request fell under; "" for a comparison without a server's.
        arrived_s: when the request arrived, seconds since the epoch.
        verdict: what the local answer did against the cloud's.
        by: the check or judge that decided; "" where none did.
        local_quality, cloud_quality: 0..1 where something is known of the answer by itself.
        conversation: pairs of one conversation are no independent evidence; "" for one of its own.
        propensity: with which probability (0..1] such a request became a pair.
        answered: whose answer the client got; None where no client was.
    """

    request_id: str
    source: Source
    route: str
    arrived_s: float
    local: Target
    cloud: Target
    verdict: PairVerdict
    by: str = ""
    local_quality: float | None = None
    cloud_quality: float | None = None
    conversation: str = ""
    propensity: float = 1.0
    answered: Side | None = None
