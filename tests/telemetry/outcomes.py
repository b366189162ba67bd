"""Outcomes as requests leave them."""

from __future__ import annotations

from typing import Any

from reshore.types import (
    Attempt,
    AttemptRole,
    Decision,
    Outcome,
    Side,
    Target,
    Timings,
    Usage,
)

USAGE = Usage(prompt_tokens=100, completion_tokens=51, cached_tokens=10, reasoning_tokens=7)


def attempt(
    side: Side = "cloud",
    model: str = "gpt-4o",
    *,
    backend: str = "",
    role: AttemptRole = "primary",
    **fields: Any,
) -> Attempt:
    target = Target(
        side=side, backend=backend or ("local" if side == "local" else "openai"), model=model
    )
    return Attempt(role=role, target=target, **fields)


def answered(side: Side = "cloud", model: str = "gpt-4o", **fields: Any) -> Attempt:
    """An attempt whose answer the client got: 0.8 s, 0.1 s of them before its first token."""
    timings = Timings(load_ms=50, prefill_ms=100, decode_ms=700) if side == "local" else None
    given = {"total_ms": 800.0, "ttft_ms": 100.0, "usage": USAGE, "timings": timings} | fields
    return attempt(side, model, answered=True, **given)


def outcome(*attempts: Attempt, **fields: Any) -> Outcome:
    """A request that was answered by `attempts`; a second, 0.25 s of it before its first token."""
    done = attempts and attempts[-1].answered
    given: dict[str, Any] = {
        "request_id": "req_1",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200 if done else 502,
        "total_ms": 1000.0,
        "asked_model": "gpt-4o",
        "attempts": attempts,
    }
    if attempts:
        given["decision"] = Decision(side=attempts[0].target.side, route="gpt-4o")
    if done:
        given |= {"ttft_ms": 250.0, "usage": USAGE}
    return Outcome(**given | fields)
