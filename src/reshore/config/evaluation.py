"""`[evaluation]`: what is done with the answers of copies."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from reshore.config.numbers import Count, Positive

NetWin = Annotated[float, Meta(gt=-1, lt=1)]


class EvaluationConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the answers of both sides to one request are compared. It costs where routes shadow."""

    enabled: Annotated[
        bool, Meta(description="compare the answers of copies with those that clients got")
    ] = True
    sufficient: Annotated[
        tuple[str, ...],
        Meta(
            description="checks that alone may decide whether local answers are good enough for "
            "your traffic, as json or agreement; the variable holds one"
        ),
    ] = ()
    concurrency: Annotated[Positive, Meta(description="pairs that are compared at once")] = 2
    queue: Annotated[Positive, Meta(description="pairs that may wait")] = 64
    queue_bytes: Annotated[
        Count, Meta(description="bytes of answers that may be held to be compared")
    ] = 16 * 1024 * 1024
    net_win: Annotated[
        NetWin,
        Meta(
            description="net win of local answers below which it is drift, where clients get "
            "local answers and no rollout has said otherwise"
        ),
    ] = -0.05
    run_length: Annotated[
        Positive, Meta(description="pairs between two false alarms of drift, on average at least")
    ] = 10_000
