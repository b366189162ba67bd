"""Policies for hypothesis: every kind, nested, with words as names have them."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from reshore.routing.plan import REASONS
from reshore.routing.policy import (
    CHECKS,
    Arm,
    Cascade,
    Cloud,
    Fallback,
    Hedge,
    Hybrid,
    Local,
    Policy,
    Shadow,
    Split,
)

names = st.text("abcXYZ019.:_-/@~+%", min_size=1, max_size=12)
upstreams = st.text("abcxyz019_-", min_size=1, max_size=8)
shares = st.floats(0, 1)
milliseconds = st.integers(0, 10**7).map(lambda microseconds: microseconds / 1000)
stickiness = st.sampled_from(["conversation", "user", "none", "header:X-Session"])

local = st.builds(Local, st.just("") | names)
cloud = st.one_of(
    st.just(Cloud()),
    st.builds(Cloud, upstreams),
    st.builds(Cloud, st.just("") | upstreams, names),
)
leaves = local | cloud


@st.composite
def splits(draw: st.DrawFn, depth: int = 1) -> Split:
    weights = st.floats(0, 1e6) | st.integers(1, 100).map(float)
    arms = draw(st.lists(st.builds(Arm, weights, policies(depth - 1)), min_size=1, max_size=4))
    assume(sum(arm.weight for arm in arms) > 0)
    return Split(tuple(arms), draw(stickiness))


@st.composite
def cascades(draw: st.DrawFn, depth: int = 1) -> Cascade:
    checks = draw(st.lists(st.sampled_from(CHECKS), min_size=1, unique=True))
    agree_with, min_logprob = "", -1.0
    if "agreement" in checks:
        agree_with = draw(st.just("") | names)
    if "logprob" in checks:
        min_logprob = draw(st.floats(-10, 0))
    return Cascade(
        draw(local),
        draw(policies(depth - 1)),
        tuple(checks),
        agree_with,
        min_logprob,
        draw(milliseconds),
        draw(st.sampled_from(["local", "cloud"])),
        *draw(st.just(("", None)) | st.tuples(st.just("r-2"), st.none() | shares)),
    )


@st.composite
def policies(draw: st.DrawFn, depth: int = 3) -> Policy:
    """Any policy, nested at most `depth` deep."""
    if depth <= 0 or draw(st.booleans()):
        return draw(leaves)
    inner = policies(depth - 1)
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    reasons = st.frozensets(st.sampled_from(REASONS), min_size=1)
    return draw(
        st.one_of(
            splits(depth),
            st.builds(Fallback, several, reasons, st.booleans()),
            st.builds(Hedge, inner, inner, milliseconds),
            st.builds(Hybrid, inner, inner, shares),
            st.builds(Hybrid, inner, inner, st.none() | shares, st.sampled_from(["r", "a.b-2"])),
            cascades(depth),
            st.builds(Shadow, inner, leaves, shares),
        )
    )
