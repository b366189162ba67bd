"""From a request's answer and its copy's to a pair."""

from __future__ import annotations

import asyncio
import hashlib
from typing import get_args

import msgspec
from msgspec import Struct

from reshore.backends.answer import Question, Spoken
from reshore.checks.check import Said
from reshore.evals.deciding import Decider, Parties
from reshore.evals.expected import Expected
from reshore.evals.scoring import Heard, judged
from reshore.ledger.entry import PairTexts
from reshore.routing.asking import Asking
from reshore.routing.paired import Paired
from reshore.routing.shadow import ShadowResult
from reshore.types import FinishReason, Side, Target

# An upstream may have reasons of its own, of which checks know nothing.
_FINISHES: dict[str, FinishReason] = {each: each for each in get_args(FinishReason)}


class Contest(Struct, frozen=True, kw_only=True):
    """What was said by both sides.

    Attributes:
        answered: whose answer the client got.
    """

    question: Question
    local: Target
    cloud: Target
    local_heard: Heard
    cloud_heard: Heard
    answered: Side


def contest_of(question: Question, first: Spoken, result: ShadowResult) -> Contest:
    """Bring both answers into order.

    Args:
        first: what the client got; of the other side than the copy.
    """
    attempt = result.attempt
    said = _said(question, result.said)
    second = Heard(said=said, error="" if result.said else attempt.error or "no answer")
    heard = {
        first.target.side: (first.target, Heard(said=_said(question, first))),
        attempt.target.side: (attempt.target, second),
    }
    (local, local_heard), (cloud, cloud_heard) = heard["local"], heard["cloud"]
    return Contest(
        question=question,
        local=local,
        cloud=cloud,
        local_heard=local_heard,
        cloud_heard=cloud_heard,
        answered=first.target.side,
    )


async def paired_of(contest: Contest, result: ShadowResult, decider: Decider) -> Paired:
    """Have the contest decided. Raises what the decider raises."""
    expected, sample = Expected(), result.sample
    local, cloud = contest.local_heard, contest.cloud_heard
    parties = Parties(
        first=contest.cloud.model, second=contest.local.model, request_id=sample.request_id
    )
    compared = await decider.decide(contest.question.request, cloud, local, expected, parties)
    # Long answers take a millisecond each time, and clients wait for the same thread.
    await asyncio.sleep(0)
    local_quality = _quality(local, expected)
    await asyncio.sleep(0)
    return Paired(
        request_id=sample.request_id,
        source="shadow",
        route=sample.route,
        arrived_s=sample.wall_s,
        local=contest.local,
        cloud=contest.cloud,
        verdict=compared.result,
        by=compared.by,
        local_quality=local_quality,
        cloud_quality=_quality(cloud, expected),
        conversation=conversation_of(contest.question),
        propensity=sample.share,
        answered=contest.answered,
    )


def texts_of(contest: Contest) -> PairTexts:
    """What was said, for a ledger that keeps some of it."""
    return PairTexts(
        prompt=msgspec.json.encode(contest.question.body).decode(),
        local=contest.local_heard.said.text,
        cloud=contest.cloud_heard.said.text,
    )


def conversation_of(question: Question) -> str:
    """What a conversation is known by while it grows: as sticky splits know it, the messages up to
    the user's first one."""
    opening = Asking(name="", load=lambda: question.body).opening()
    return hashlib.sha256(opening).hexdigest()[:32]


def _quality(heard: Heard, expected: Expected) -> float | None:
    good = judged(heard, expected).good
    return None if good is None else float(good)


def _said(question: Question, spoken: Spoken | None) -> Said:
    if spoken is None:
        return Said(request=question.request)
    return Said(
        request=question.request,
        text=spoken.text,
        tool_calls=spoken.tool_calls,
        finish_reason=_FINISHES.get(spoken.finish_reason or ""),
    )
