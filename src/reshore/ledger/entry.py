"""From what happened to rows: an Outcome, a late attempt, the texts of a request, a pair. Pure.

Rows are tuples in the order of the tables' columns (`schema.py`; a test compares them). Texts that
came from outside are cut to their columns and freed of what a database refuses, so that one odd
name cannot spoil a batch.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from reshore.ledger.prices import Price, Prices
from reshore.routing.paired import Paired
from reshore.types import Attempt, Outcome, Usage

Row = tuple[Any, ...]

_ID = 64
_NAME = 256
_LINE = 2000
_NO_USAGE = (None, None, None, None)

# Numbers of late attempts begin here; no request waits for that many.
LATE = 2**16


class Ended(Struct, frozen=True, tag=True):
    """A request ended."""

    outcome: Outcome


class Late(Struct, frozen=True, tag=True):
    """An attempt for a request that nobody waited for (shadow, judge).

    Attributes:
        number: what tells it from the request's other attempts.
        wall_s: when it ended, seconds since the epoch.
        asked: the name that the client sent.
    """

    request_id: str
    number: int
    attempt: Attempt
    wall_s: float
    asked: str


class Texts(Struct, frozen=True, tag=True):
    """What was said in a request, where `[ledger] texts` keeps it.

    Attributes:
        prompt: the request as text or JSON.
        answer: the reply that the client got.
        wall_s: when the request arrived, seconds since the epoch.
        cut: it is not whole.
    """

    request_id: str
    prompt: str
    answer: str
    wall_s: float
    cut: bool = False


class PairTexts(Struct, frozen=True, kw_only=True):
    """What was said in a pair, where `[ledger] texts` keeps it.

    Attributes:
        prompt: the request as text or JSON.
        local, cloud: the answers.
        cut: one of them is not whole.
    """

    prompt: str
    local: str
    cloud: str
    cut: bool = False


class Pairing(Struct, frozen=True, tag=True):
    """Two answers to one request were compared.

    Attributes:
        key: which API key asked, as in `Outcome.key`.
        texts: None where they are not kept.
    """

    paired: Paired
    key: str | None = None
    texts: PairTexts | None = None


Entry = Ended | Late | Texts | Pairing
# What an entry is made of, as it is told.
Item = Outcome | Late | Texts | Pairing

_API = ("/v1/", "/api/")


def worth_keeping(outcome: Outcome) -> bool:
    """Whether it concerns a model, or went wrong: probes and listings would bury the rest."""
    concerns = outcome.attempts or outcome.asked_model or outcome.decision
    return outcome.path.startswith(_API) and bool(concerns or outcome.status >= 400)


def request_row(outcome: Outcome, attempts: list[Row], listed: Price | None) -> Row:
    """The row of a request, with the sums over the rows of its attempts."""
    decision = outcome.decision
    answered = next((each for each in outcome.attempts if each.answered), None)
    costs = [row[COST] for row in attempts]
    known = [cost for cost in costs if cost is not None]
    return (
        outcome.request_id,
        round(outcome.wall_s * 1000),
        clean(outcome.method, 16),
        clean(outcome.path, _NAME),
        outcome.key,
        clean(outcome.asked_model, _NAME),
        clean(_model(outcome, answered), _NAME),
        outcome.side,
        answered.target.backend if answered else None,
        clean(decision.route, _NAME) if decision else None,
        clean(decision.policy, _LINE) if decision else None,
        clean(decision.why, _LINE) if decision else None,
        decision.version if decision else None,
        decision.score if decision else None,
        bool(decision and decision.private),
        outcome.status,
        outcome.error,
        outcome.stream,
        outcome.ttft_ms,
        outcome.tpot_ms,
        outcome.total_ms,
        *_usage(outcome.usage),
        len(attempts),
        sum(each.role == "retry" for each in outcome.attempts),
        sum(known),
        len(costs) - len(known),
        listed.nano_usd if listed else None,
        clean(listed.source, 128) if listed else None,
    )


def attempt_rows(outcome: Outcome, prices: Prices) -> list[Row]:
    """The rows of a request's attempts."""
    asked = outcome.asked_model or ""
    return [
        attempt_row(
            outcome.request_id,
            number,
            attempt,
            prices.of(attempt, asked, outcome.wall_s),
            asked=asked,
            at_ms=round(outcome.wall_s * 1000),
        )
        for number, attempt in enumerate(outcome.attempts)
    ]


def attempt_row(
    request_id: str, number: int, attempt: Attempt, price: Price | None, *, asked: str, at_ms: int
) -> Row:
    """The row of one attempt; `at_ms` is when the request arrived, or a late attempt ended."""
    target, timings = attempt.target, attempt.timings
    return (
        request_id,
        number,
        at_ms,
        attempt.role,
        target.side,
        target.backend,
        clean(target.model or asked, _NAME),
        attempt.answered,
        attempt.status,
        attempt.error,
        clean(attempt.finish_reason, 32),
        attempt.started_ms,
        attempt.ttft_ms,
        attempt.total_ms,
        timings.load_ms if timings else None,
        *_usage(attempt.usage),
        price.nano_usd if price else None,
        clean(price.source, 128) if price else None,
    )


# Where an attempt's row has its cost.
COST = -2


def late_row(late: Late, prices: Prices) -> Row:
    """The row of an attempt that came after its request."""
    return attempt_row(
        late.request_id,
        late.number,
        late.attempt,
        prices.of(late.attempt, late.asked, late.wall_s),
        asked=late.asked,
        at_ms=round(late.wall_s * 1000),
    )


def texts_row(texts: Texts) -> Row:
    """The row of kept texts, which have been cut and blacked out already."""
    return (
        texts.request_id,
        round(texts.wall_s * 1000),
        clean(texts.prompt),
        clean(texts.answer),
        texts.cut,
    )


def pair_row(pairing: Pairing) -> Row:
    """The row of a pair, whose texts have been cut and blacked out already."""
    paired, texts = pairing.paired, pairing.texts
    return (
        clean(paired.request_id, _ID),
        round(paired.arrived_s * 1000),
        paired.source,
        clean(paired.route, _NAME),
        clean(pairing.key, _ID),
        clean(paired.conversation, _ID),
        paired.answered,
        clean(paired.local.model, _NAME),
        clean(paired.cloud.backend, _ID),
        clean(paired.cloud.model, _NAME),
        paired.verdict,
        clean(paired.by, _ID),
        paired.local_quality,
        paired.cloud_quality,
        paired.propensity,
        clean(texts.prompt) if texts else None,
        clean(texts.local) if texts else None,
        clean(texts.cloud) if texts else None,
        bool(texts and texts.cut),
    )


def listed_price(outcome: Outcome, prices: Prices) -> Price | None:
    """What the model that was asked for would have cost for the answer's tokens; None: not known.

    If it is the one that answered, from wherever: what it cost there.
    """
    if outcome.usage is None or not outcome.asked_model:
        return None
    if outcome.model in (outcome.asked_model, f"{outcome.asked_model}:latest"):
        local = all(each.target.side == "local" for each in outcome.attempts if each.answered)
        if local:
            return None  # a model of this machine, which has no list
    for attempt in outcome.attempts:
        target = attempt.target
        is_it = target.model in ("", outcome.asked_model)
        if attempt.answered and target.side == "cloud" and is_it:
            return prices.of(attempt, outcome.asked_model, outcome.wall_s)
    return prices.listed(outcome.asked_model, outcome.usage, outcome.wall_s)


def clean(text: str | None, most: int | None = None) -> str | None:
    """A text that every database takes: no NUL, no half of a surrogate pair, not too long."""
    if text is None:
        return None
    if most is not None and len(text) > most:
        text = text[: most - 1] + "…"
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "�").encode("utf-8", "replace").decode()


def _model(outcome: Outcome, answered: Attempt | None) -> str | None:
    if outcome.model is not None or answered is None:
        return outcome.model
    return answered.target.model or outcome.asked_model


def _usage(usage: Usage | None) -> Row:
    if usage is None:
        return _NO_USAGE
    return (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    )
