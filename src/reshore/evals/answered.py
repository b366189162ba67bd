"""What the attempts of requests say about either side: whether it failed, how soon it began. Pure.

A side is heard in a request where it was asked for an answer, and in a copy that it was sent. It
failed where it gave none for a reason of its own. What the client did wrong is nobody's failure,
and what was cancelled says nothing: a hedge that lost, a client that left, a copy that gave way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from reshore import errors
from reshore.types import Attempt, Side

_SIDES: tuple[Side, ...] = ("local", "cloud")
# Nobody's answer: further samples that a cascade compares, copies, judges.
BESIDE = frozenset({"check", "shadow", "judge"})
_NOBODYS = frozenset({"Cancelled", "CancelledError", "ClientGone", "ShuttingDown"})
# What an upstream says of the request rather than of itself.
_CLIENTS = frozenset({400, 409, 411, 415, 422})
# Refusals of a request that the other side may well answer.
_CANNOT = (errors.UnknownModel, errors.UnfitModel, errors.ContextTooLong, errors.Unsupported)


class Answered(Struct, frozen=True, kw_only=True):
    """One side, heard once.

    Attributes:
        ttft_ms: from the first try on this side to the first token; None where that is not known.
    """

    side: Side
    failed: bool
    ttft_ms: float | None = None


def answers(attempts: Sequence[Attempt]) -> Iterator[Answered]:
    """The sides that were heard in a request: retries of one side are one answer."""
    for side in _SIDES:
        tries = [one for one in attempts if one.target.side == side and one.role not in BESIDE]
        answer = _answer(side, tries)
        if answer is not None:
            yield answer


def copied(attempt: Attempt) -> Answered | None:
    """The side that a mirrored copy was sent to; None where it says nothing."""
    return _answer(attempt.target.side, [attempt]) if attempt.role == "shadow" else None


def _answer(side: Side, tries: Sequence[Attempt]) -> Answered | None:
    one = telling(tries)
    if one is None:
        return None
    if fault(one):
        return Answered(side=side, failed=True)
    waited_ms = one.started_ms - tries[0].started_ms
    ttft_ms = None if one.ttft_ms is None else waited_ms + one.ttft_ms
    return Answered(side=side, failed=False, ttft_ms=ttft_ms)


def telling(tries: Sequence[Attempt]) -> Attempt | None:
    """Of the tries of one side, the one that says how it did: the first that was answered, or else
    the last that failed; None where none says anything."""
    failed = None
    for one in tries:
        match fault(one):
            case False:
                return one
            case True:
                failed = one
    return failed


def fault(attempt: Attempt) -> bool | None:
    """Whether its target failed for a reason of its own; None: it says nothing about it."""
    name, status = attempt.error, attempt.status
    if name in _NOBODYS:
        return None
    if name is None or name == errors.UpstreamStatus.__name__:
        if status is None or status < 400:
            return name is not None
        return None if status in _CLIENTS else True
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, errors.RequestError):
        return True if issubclass(kind, _CANNOT) else None
    return True
