"""`[pool]`: which models are in memory, and who waits."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Count


class PoolConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models are in memory, and who waits."""

    keep_alive: Annotated[
        Seconds, Meta(description="how long an idle model stays loaded; -1: forever, 0: not at all")
    ] = Seconds(300)
    max_loaded_models: Annotated[
        Count, Meta(description="engines in memory (models of one file share one); 0: what fits")
    ] = 0
    max_queue: Annotated[
        Count, Meta(description="requests that may wait per engine; beyond it: 503")
    ] = 512
    memory_fraction: Annotated[
        float, Meta(gt=0, le=1, description="share of the free memory that models may take")
    ] = 0.9
    preload: Annotated[tuple[str, ...], Meta(description="models to load at start")] = ()
