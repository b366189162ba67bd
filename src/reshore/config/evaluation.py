"""`[evaluation]`: what is done with the answers of copies."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Count, Positive

Share = Annotated[float, Meta(ge=0, le=1)]
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
            "your traffic, as json or agreement"
        ),
    ] = ()
    check: Annotated[
        str,
        Meta(
            description="your own check of two answers: `file.py:function`, `module:function` or a "
            "command; empty: none"
        ),
    ] = ""
    check_timeout_s: Annotated[
        Seconds, Meta(description="how long your own check may take for a pair")
    ] = Seconds(10)
    judge: Annotated[
        str,
        Meta(
            description="model that rules on pairs which nothing else decides, as "
            "cloud:openai/gpt-4o or local:llama3.1:8b; empty: none"
        ),
    ] = ""
    judge_share: Annotated[
        Share, Meta(description="share of those pairs that the judge is asked about")
    ] = 1.0
    judge_per_hour: Annotated[
        Count,
        Meta(description="pairs that the judge rules on in an hour at most"),
    ] = 60
    judge_own_family: Annotated[
        bool, Meta(description="let the judge rule on models of its own family, which it favours")
    ] = False
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

    def __post_init__(self) -> None:
        if self.check_timeout_s <= 0:
            raise ValueError("check_timeout_s must be above 0: a check without a bound may hang")
