"""`[shadow]`: what copies of requests may cost."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Count, Positive


class ShadowConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What copies of requests may cost. What is beyond these bounds is dropped and counted."""

    concurrency: Annotated[Positive, Meta(description="copies that are answered at once")] = 2
    queue: Annotated[Count, Meta(description="copies that may wait")] = 64
    queue_bytes: Annotated[
        Count, Meta(description="bytes of request bodies that may be held for copies")
    ] = 16 * 1024 * 1024
    timeout_s: Annotated[
        Seconds, Meta(description="how long a copy may wait, and again how long it may be answered")
    ] = Seconds(120)

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError("timeout_s must be above 0: a copy without a bound could stay forever")
