"""`[metrics]`: numbers for Prometheus."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class MetricsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether requests are counted and measured for `GET /metrics`."""

    enabled: Annotated[bool, Meta(description="count requests for `GET /metrics`")] = True
