"""Who answers a name: policies, and the one text form they have everywhere.

    local · local:llama3.2 · cloud · cloud:openai · cloud:openai/gpt-4o
    split(local=10, cloud=90, sticky=user)
    fallback(local, cloud, on=timeout+overload, resume=yes)
    hedge(local, cloud, after=800ms)
    hybrid(threshold=0.5) · hybrid(local:qwen2.5:7b, cloud, threshold=0.4)
    hybrid(by=support-3) · hybrid(by=support-3, threshold=0.8)
    cascade(checks=finish+refusal+json, budget=10s, late=cloud)
    shadow(cloud, local, share=5%)

Policies nest: `shadow(split(local=10, cloud=90), cloud:other, share=1%)`. `str(policy)` writes this
form, `parsing.parse_policy` reads it; `reshore.toml`, the command line, headers and the history
use it. Pure.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Literal, get_args

from msgspec import Struct

from reshore.routing.plan import REASONS, Reason
from reshore.types import Side

# The checks that a cascade may put a local answer to, in the order of their cost; `json` is the
# schema too where one was asked for, `tools` the arguments of tool calls. What each does, and why
# the first ones are the default: docs/cascade.md.
Check = Literal[
    "finish",
    "empty",
    "refusal",
    "repetition",
    "json",
    "tools",
    "arithmetic",
    "language",
    "logprob",
    "agreement",
]
CHECKS: tuple[Check, ...] = get_args(Check)
DEFAULT_CHECKS: tuple[Check, ...] = CHECKS[:7]


# One point of the complexity rules.
RULES_THRESHOLD = 0.5


class Local(Struct, frozen=True, tag=True):
    """A model on this machine. An empty `model` is the route's, or what the name stands for."""

    model: str = ""

    def __str__(self) -> str:
        return f"local:{self.model}" if self.model else "local"


class Cloud(Struct, frozen=True, tag=True):
    """A model of an upstream.

    Empty names are the route's; then the default upstream, and the name the client asked for.
    """

    upstream: str = ""
    model: str = ""

    def __str__(self) -> str:
        if self.model:
            return f"cloud:{self.upstream}/{self.model}"
        return f"cloud:{self.upstream}" if self.upstream else "cloud"


class Arm(Struct, frozen=True):
    """One side of a split. Weights are relative to the sum of all."""

    weight: float
    policy: Policy

    def __str__(self) -> str:
        return f"{self.policy}={_number(self.weight)}"


class Split(Struct, frozen=True, tag=True):
    """Each request goes to one arm, by weight.

    Attributes:
        sticky: what keeps a client on its arm: `conversation` (system prompt and first user
            message), `user`, `header:NAME`, or `none` (drawn for each request).
    """

    arms: tuple[Arm, ...]
    sticky: str = "conversation"

    def __str__(self) -> str:
        parts = [str(arm) for arm in self.arms]
        if self.sticky != "conversation":
            parts.append(f"sticky={self.sticky}")
        return f"split({', '.join(parts)})"


class Fallback(Struct, frozen=True, tag=True):
    """One after the other, until one begins to answer; `on` and `resume` as in `FallbackPlan`."""

    policies: tuple[Policy, ...]
    on: frozenset[Reason] = frozenset(REASONS)
    resume: bool = False

    def __str__(self) -> str:
        parts = [str(policy) for policy in self.policies]
        if self.on != frozenset(REASONS):
            parts.append(f"on={'+'.join(reason for reason in REASONS if reason in self.on)}")
        if self.resume:
            parts.append("resume=yes")
        return f"fallback({', '.join(parts)})"


class Hedge(Struct, frozen=True, tag=True):
    """`second` is started beside `first` when that has not begun after `after_ms`."""

    first: Policy
    second: Policy
    after_ms: float

    def __str__(self) -> str:
        return f"hedge({self.first}, {self.second}, after={_duration(self.after_ms)})"


class Hybrid(Struct, frozen=True, tag=True):
    """A request whose score reaches `threshold` (0..1) goes to `cloud`.

    Attributes:
        threshold: None for the one that the trained router was calibrated to.
        by: name of a trained router; "" for the complexity rules.
    """

    local: Policy = Local()
    cloud: Policy = Cloud()
    threshold: float | None = RULES_THRESHOLD
    by: str = ""

    def __str__(self) -> str:
        parts = _pair(self.local, self.cloud)
        if self.by:
            parts.append(f"by={self.by}")
        if self.threshold is not None:
            parts.append(f"threshold={_number(self.threshold)}")
        return f"hybrid({', '.join(parts)})"


class Cascade(Struct, frozen=True, tag=True):
    """`local` answers first; its answer is kept, or `cloud` is asked, after `checks`.

    The fields are those of `CascadePlan`; `agree_with` is a second local model, "" for a second
    sample of the first. `by` names a trained router that reads answers, "" for none; its
    `threshold` is None for the one that it was calibrated to.
    """

    local: Local = Local()
    cloud: Policy = Cloud()
    checks: tuple[Check, ...] = DEFAULT_CHECKS
    agree_with: str = ""
    min_logprob: float = -1.0
    budget_ms: float = 10_000.0
    late: Side = "cloud"
    by: str = ""
    threshold: float | None = None

    def __str__(self) -> str:
        parts = _pair(self.local, self.cloud)
        if self.checks != DEFAULT_CHECKS:
            parts.append(f"checks={'+'.join(self.checks)}")
        if self.agree_with:
            parts.append(f"agree_with={self.agree_with}")
        if self.by:
            parts.append(f"by={self.by}")
        if self.threshold is not None:
            parts.append(f"threshold={_number(self.threshold)}")
        if self.min_logprob != -1.0:
            parts.append(f"min_logprob={_number(self.min_logprob)}")
        parts.append(f"budget={_duration(self.budget_ms)}")
        parts.append(f"late={self.late}")
        return f"cascade({', '.join(parts)})"


class Shadow(Struct, frozen=True, tag=True):
    """`primary` answers; a copy of a `share` (0..1) of the requests goes to `mirror`."""

    primary: Policy
    mirror: Local | Cloud
    share: float

    def __str__(self) -> str:
        return f"shadow({self.primary}, {self.mirror}, share={_percent(self.share)})"


Policy = Local | Cloud | Split | Fallback | Hedge | Hybrid | Cascade | Shadow


class Route(Struct, frozen=True, kw_only=True, dict=True):
    """What is done with the names that `pattern` matches.

    Attributes:
        pattern: a name, or a glob (`ft:gpt-4o-mini:*`).
        local: the model of a bare `local` in the policy.
        cloud: `upstream` or `upstream/model`, for a bare `cloud` in the policy.
        pins: clients may choose the side with the header `x-reshore-route`.
        mix_embeddings: embeddings of different models may share this name, although their vectors
            cannot be compared.
    """

    pattern: str
    policy: Policy
    local: str = ""
    cloud: str = ""
    pins: bool = True
    mix_embeddings: bool = False

    @cached_property
    def text(self) -> str:
        """The policy as text, written once."""
        return str(self.policy)


def _pair(local: Policy, cloud: Policy) -> list[str]:
    """Both sides as text; nothing where they are what they are when they are left out."""
    return [] if (local, cloud) == (Local(), Cloud()) else [str(local), str(cloud)]


def _number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return repr(float(value)).removesuffix(".0")


def _duration(milliseconds: float) -> str:
    if milliseconds and milliseconds % 1000 == 0:
        return f"{_number(milliseconds / 1000)}s"
    return f"{_number(milliseconds)}ms"


def _percent(share: float) -> str:
    # Decimal, for 0.07 * 100 is not 7.
    return f"{(Decimal(repr(share)) * 100).normalize():f}%"
