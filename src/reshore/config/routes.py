"""`[routes]`: who answers a name, and `[privacy]`: what never leaves this machine.

The policies are texts here; `routing/` reads them, for settings know nothing of routing.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class RouteConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A route with more than its policy, `[routes."name or glob"]`.

    Attributes:
        policy: in the text form (`split(local=10, cloud=90)`).
        local: the model of a bare `local` in it.
        cloud: `upstream` or `upstream/model`, for a bare `cloud` in it.
        pins: clients may choose the side with the header `x-reshore-route`.
        mix_embeddings: embeddings of different models may share the name.
    """

    policy: str
    local: str = ""
    cloud: str = ""
    pins: bool = True
    mix_embeddings: bool = False


class PrivacyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests are answered on this machine or not at all, whatever their routes say."""

    names: Annotated[
        tuple[str, ...], Meta(description="names or globs that clients send, in any case")
    ] = ()
    keys: Annotated[
        tuple[str, ...],
        Meta(description="API keys, each as the first 8 hex digits of its SHA-256"),
    ] = ()
    patterns: Annotated[
        tuple[str, ...],
        Meta(
            description="regular expressions that are searched in every text of a request; "
            "the variable holds one"
        ),
    ] = ()
