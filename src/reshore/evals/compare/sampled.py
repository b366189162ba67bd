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
from reshore.routing.asking import Asking
from reshore.routing.content import read_content
from reshore.routing.privacy import Privacy

_CHAT = "/v1/chat/completions"


class Sampled(Struct, frozen=True, kw_only=True):
    """What is asked, and what is not.

    Attributes:
        left_out: how many stored requests, by the reason in words.
    """

    prompts: tuple[Prompt, ...]
    left_out: dict[str, int]


def sampled(stored: Iterable[Sample], *, limit: int, away: bool, privacy: Privacy) -> Sampled:
    """Chats that were asked, each once, in no order that means anything.

    The choice is at random, and the same each time: another look at the same ledger finds the
    answers that it has got already.

    Args:
        limit: how many prompts at most.
        away: some target is not on this machine: what is private is left out.
        privacy: the rules that tell; a request that was answered here anyway was never held
            against them, and under another name they would not know it.

    Raises:
        CompareError: nothing is left.
    """
    left_out: Counter[str] = Counter()
    prompts: dict[bytes, Prompt] = {}
    for sample in stored:
        reason = _unfit(sample)
        prompt = None if reason else _prompt(sample)
        if prompt is None:
            left_out[reason or "no chat that can be read"] += 1
            continue
        if away and (sample.private or _is_private(sample, prompt, privacy)):
            left_out["private"] += 1
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


def _unfit(sample: Sample) -> str:
    if sample.path != _CHAT:
        return f"not of {_CHAT}"
    return "not stored whole (ledger.text_bytes)" if sample.cut else ""


def _is_private(sample: Sample, prompt: Prompt, privacy: Privacy) -> bool:
    asking = Asking(name=sample.asked or "", kind="chat", key=sample.key, load=lambda: prompt.body)
    return next(privacy.reasons(asking), None) is not None


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
