"""Prompts out of what clients asked: the texts that the ledger keeps. Pure."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from reshore.errors import CompareError, ReshoreError
from reshore.evals.compare.prompts import Prompt, asked_of, decoded
from reshore.ledger.samples import Sample
from reshore.routing.content import read_content

_CHAT = "/v1/chat/completions"


class Sampled(Struct, frozen=True, kw_only=True):
    """What is asked, and what is not.

    Attributes:
        left_out: how many stored requests, by the reason in words.
    """

    prompts: tuple[Prompt, ...]
    left_out: dict[str, int]


def sampled(stored: Iterable[Sample], *, limit: int, away: bool) -> Sampled:
    """Chats that were asked, each once, in no order that means anything.

    The choice is at random, and the same each time: another look at the same ledger finds the
    answers that it has got already.

    Args:
        limit: how many prompts at most.
        away: some target is not on this machine: what is private is left out.

    Raises:
        CompareError: nothing is left.
    """
    left_out: Counter[str] = Counter()
    prompts: dict[bytes, Prompt] = {}
    for sample in stored:
        reason = _unfit(sample, away=away)
        prompt = None if reason else _prompt(sample)
        if prompt is None:
            left_out[reason or "no chat that can be read"] += 1
            continue
        place = _digest(prompt.body)
        if place in prompts:
            left_out["asked before"] += 1
            continue
        prompts[place] = prompt
    if not prompts:
        raise CompareError(_nothing(left_out))
    chosen = heapq.nsmallest(limit, prompts)
    if len(chosen) < len(prompts):
        left_out["more than --limit"] = len(prompts) - len(chosen)
    return Sampled(prompts=tuple(prompts[place] for place in chosen), left_out=dict(left_out))


def _unfit(sample: Sample, *, away: bool) -> str:
    if sample.path != _CHAT:
        return f"not of {_CHAT}"
    if sample.cut:
        return "not stored whole (ledger.text_bytes)"
    return "private" if away and sample.private else ""


def _prompt(sample: Sample) -> Prompt | None:
    """None for what is no chat any more, as after words were blacked out."""
    try:
        body = asked_of(msgspec.json.decode(sample.prompt, type=dict[str, Any]))
        request = decoded(body)
    except (msgspec.DecodeError, RecursionError, ReshoreError):
        return None
    opening = [[turn.role, turn.text, turn.links] for turn in read_content(body).opening()]
    return Prompt(
        id=sample.request_id,
        body=body,
        request=request,
        group=sample.route or sample.asked or "",
        conversation=_digest(opening).hex()[:16],
    )


def _digest(value: Any) -> bytes:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).digest()


def _nothing(left_out: Counter[str]) -> str:
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        return f"no stored request can be asked again: {reasons}"
    return (
        "the ledger keeps no texts of such requests; set `ledger.texts = 0.1` in reshore.toml to "
        "keep those of every tenth request from now on"
    )
