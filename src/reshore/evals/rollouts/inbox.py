"""What requests hand over to the rollouts: a look at a name, and an append; nobody waits."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from msgspec import Struct

from reshore.evals.answered import Answered, answers, copied
from reshore.routing.paired import Paired
from reshore.types import Attempt, Outcome

log = logging.getLogger("reshore.rollout")

T = TypeVar("T")

# Requests that wait to be looked at. More than that and the event loop is far behind.
_WAITING = 20_000
# Requests whose copies may still come. A copy has some minutes.
_REMEMBERED = 50_000
# Copies that ended before their requests did, which is rare.
_EARLY = 1_000
# Forwarded endpoints have one side alone: nothing is to be compared there.
_PATHS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/api/chat",
        "/api/generate",
        "/api/embed",
        "/api/embeddings",
    }
)


class Seen(Struct, frozen=True, kw_only=True):
    """One side heard in a request of a route.

    Attributes:
        version: of the routes by which the request was decided.
        arrived_s: when it arrived, seconds since the epoch.
    """

    route: str
    version: int
    arrived_s: float
    answered: Answered


class _Late(NamedTuple):
    request_id: str
    attempt: Attempt


class _Request(NamedTuple):
    route: str
    version: int
    arrived_s: float


class Inbox:
    """Takes what is told of requests, and gives it on in its order.

    Is filled and emptied in the event loop's thread. Implements `server.recording.Keeper`.

    Args:
        wake: is called when there is something.
        waiting, remembered, early: how much is kept at most, of what the constants tell.

    Attributes:
        watched: the routes of which anything is wanted; of all others nothing is kept.
        lost: what found no room. It is logged when the inbox has been emptied again.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        waiting: int = _WAITING,
        remembered: int = _REMEMBERED,
        early: int = _EARLY,
    ) -> None:
        self.watched: frozenset[str] = frozenset()
        self.lost = 0
        self._lost_before = 0
        self._wake = wake
        self._most = waiting, remembered, early
        self._waiting: deque[Outcome | _Late | Paired] = deque()
        self._requests: OrderedDict[str, _Request] = OrderedDict()
        self._early: OrderedDict[str, list[Attempt]] = OrderedDict()

    def record(self, outcome: Outcome) -> None:
        """A request ended."""
        decision = outcome.decision
        if decision is not None and decision.route in self.watched:
            self._put(outcome)

    def record_late(self, request_id: str, attempt: Attempt, *, asked: str = "") -> None:
        """An attempt ended that no client waited for: a copy, for one."""
        if self.watched and attempt.role == "shadow":
            self._put(_Late(request_id, attempt))

    def pair(self, pair: Paired) -> None:
        """A request that both sides answered was compared."""
        if pair.route in self.watched and pair.source == "shadow":
            self._put(pair)

    def watch(self, routes: frozenset[str]) -> None:
        """From now on these."""
        self.watched = routes
        if not routes:
            self._waiting.clear()
            self._requests.clear()
            self._early.clear()

    def take(self) -> Iterator[Seen | Paired]:
        """What has come since, oldest first."""
        while self._waiting:
            item = self._waiting.popleft()
            match item:
                case Paired():
                    yield item
                case _Late(request_id=request_id, attempt=attempt):
                    yield from self._copied(request_id, attempt)
                case Outcome():
                    yield from self._ended(item)
        if self.lost > self._lost_before:
            lost, self._lost_before = self.lost - self._lost_before, self.lost
            log.warning("%d requests ended faster than they were looked at: no evidence", lost)

    def _put(self, item: Outcome | _Late | Paired) -> None:
        if len(self._waiting) >= self._most[0]:
            self.lost += 1
            return
        self._waiting.append(item)
        self._wake()

    def _ended(self, outcome: Outcome) -> Iterator[Seen]:
        decision = outcome.decision
        # What a privacy rule keeps here is another traffic than what is compared.
        if decision is None or decision.private or outcome.path not in _PATHS:
            return
        request = _Request(decision.route, decision.version, outcome.wall_s)
        for answered in answers(outcome.attempts):
            yield _seen(request, answered)
        _remember(self._requests, outcome.request_id, request, self._most[1])
        for attempt in self._early.pop(outcome.request_id, ()):
            yield from self._copied(outcome.request_id, attempt)

    def _copied(self, request_id: str, attempt: Attempt) -> Iterator[Seen]:
        request = self._requests.get(request_id)
        if request is None:
            early = [*self._early.get(request_id, ()), attempt]
            _remember(self._early, request_id, early, self._most[2])
            return
        answered = copied(attempt)
        if answered is not None:
            yield _seen(request, answered)


def _seen(request: _Request, answered: Answered) -> Seen:
    return Seen(
        route=request.route,
        version=request.version,
        arrived_s=request.arrived_s,
        answered=answered,
    )


def _remember(known: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    known[key] = value
    if len(known) > most:
        known.popitem(last=False)
