"""`[routing]`: how hard is tried before a request fails."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Count, Positive


class RoutingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How hard is tried before a request fails.

    The delays are those of OpenAI's own SDKs (two retries, from half a second up to eight), so
    that an application which leaves retrying to us notices no difference.
    """

    retries: Annotated[
        Count, Meta(description="further tries of one upstream after a failure that may pass")
    ] = 2
    retry_base_s: Annotated[
        Seconds, Meta(description="longest pause before the first retry; it doubles")
    ] = Seconds(0.5)
    retry_cap_s: Annotated[Seconds, Meta(description="longest pause before any retry")] = Seconds(8)
    retry_after_max_s: Annotated[
        Seconds,
        Meta(description="an upstream that asks to wait longer (Retry-After) is not retried"),
    ] = Seconds(10)
    retry_total_s: Annotated[
        Seconds, Meta(description="no retry begins later than this after the first try")
    ] = Seconds(30)
    retry_budget: Annotated[
        float, Meta(ge=0, le=1, description="retries an upstream may get, per request to it")
    ] = 0.2
    breaker_failures: Annotated[
        Count,
        Meta(description="failures in a row after which an upstream's model rests; 0: never"),
    ] = 5
    breaker_ratio: Annotated[
        float, Meta(gt=0, le=1, description="share of failures after which it rests as well")
    ] = 0.5
    breaker_requests: Annotated[
        Positive, Meta(description="requests that the share is taken of, at least")
    ] = 10
    breaker_window_s: Annotated[Seconds, Meta(description="what is older is forgotten")] = Seconds(
        60
    )
    breaker_rest_s: Annotated[
        Seconds,
        Meta(description="the first rest; each that follows at once is twice as long"),
    ] = Seconds(10)
    breaker_rest_max_s: Annotated[Seconds, Meta(description="the longest rest")] = Seconds(120)

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if name.endswith("_s") and getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: a wait without an end helps nobody")
