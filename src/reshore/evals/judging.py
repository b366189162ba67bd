"""Asks a model which of two answers is better, in both orders, within a budget."""

from __future__ import annotations

import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from reshore.clock import Clock
from reshore.errors import Overloaded, RequestError, ReshoreError, UpstreamStatus
from reshore.evals.deciding import NOBODY, Parties
from reshore.evals.families import bare, related
from reshore.evals.judge import (
    Better,
    Form,
    Ruling,
    has_images,
    heard,
    judge_name,
    question,
    ruled,
    silent,
)
from reshore.evals.scoring import Heard
from reshore.types import ChatRequest, Message

log = logging.getLogger("reshore.evals")

_HOUR_S = 3600.0
# A request that is refused as it stands; others (a full queue, no connection) pass.
_REFUSED = frozenset({400, 404, 415, 422, 501})


class Spoken(Struct, frozen=True, kw_only=True):
    """What came of a question.

    Attributes:
        by: who said it; "": the model that was asked. A routed name or an alias does not tell.
    """

    text: str
    by: str = ""


class AsksChat(Protocol):
    """Reaches the judge's model."""

    async def ask(self, messages: Sequence[Message], form: Form, *, request_id: str) -> Spoken:
        """What the model says to `messages`.

        Args:
            form: `json`: with `judge.FORMAT` as its response format.
            request_id: of the request whose answers are judged.

        Raises ReshoreError. Cancellation ends the generation.
        """
        ...


class Manner(Struct, frozen=True, kw_only=True):
    """How much a judge may be asked.

    Attributes:
        share: of the pairs that nothing else decides, 0..1.
        per_hour: pairs at most; None: no limit.
        own_family: let a judge grade models that are related to it.
    """

    share: float = 1.0
    per_hour: int | None = None
    own_family: bool = False


UNLIMITED = Manner()


class Judge:
    """A model as a judge. Implements `deciding.Rules`; belongs to one event loop.

    Args:
        asks: reaches its model.
        model: its name, as people write it; told in verdicts.
        manner: without limits by default.
        chance: gives numbers in [0, 1) for `share`.

    Attributes:
        counts: rulings by silence, "" for those that have a verdict.
    """

    def __init__(
        self,
        asks: AsksChat,
        model: str,
        *,
        clock: Clock,
        manner: Manner = UNLIMITED,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._asks = asks
        self._model = model
        self._clock = clock
        self._manner = manner
        self._chance = chance
        self._form: Form = "json"
        self._asked_s: deque[float] = deque()
        self.by = judge_name(bare(model))
        self.counts: Counter[str] = Counter()

    async def rule(
        self, request: ChatRequest, first: Heard, second: Heard, parties: Parties = NOBODY
    ) -> Ruling:
        """Which of both is better, or why the judge does not say. Raises nothing of its own;
        cancellation ends the generation."""
        ruling = self._may_not(request, parties)
        if ruling is None:
            try:
                ruling = await self._ask(request, first, second, parties)
            except Overloaded as error:
                ruling = silent("busy", str(error))
            except ReshoreError as error:
                extra = {"request_id": parties.request_id}
                log.warning("the judge %s failed: %s", self._model, error, extra=extra)
                ruling = silent("failed", f"the judge failed: {error}")
        self.counts[ruling.silence] += 1
        return ruling

    def told(self) -> dict[str, int]:
        """How often it ruled: `verdict`, or why it gave none."""
        return {silence or "verdict": count for silence, count in self.counts.most_common()}

    def relative(self, models: Iterable[str]) -> str:
        """Which of these models it does not grade, as it is one of its family; "" if it may."""
        return self._relative(self._model, models)

    def _relative(self, by: str, models: Iterable[str]) -> str:
        if self._manner.own_family:
            return ""
        families = ((model, related(by, model)) for model in models if model)
        own = ((model, family) for model, family in families if family)
        judge = "the judge" if by == self._model else f"the judge ({by})"
        return next((f"{judge} and {model} are both {family}" for model, family in own), "")

    def _may_not(self, request: ChatRequest, parties: Parties) -> Ruling | None:
        """Why it is not asked at all; a pair that it is asked about counts from here on."""
        relative = self.relative((parties.first, parties.second))
        if relative:
            return silent("own family", relative)
        if has_images(request):
            return silent("images", "the request has images, which the judge does not see")
        if self._manner.share < 1 and self._chance() >= self._manner.share:
            return silent("sampled", "not in the judge's share of the pairs")
        now_s, limit = self._clock.monotonic(), self._manner.per_hour
        while self._asked_s and self._asked_s[0] <= now_s - _HOUR_S:
            self._asked_s.popleft()
        if limit is not None and len(self._asked_s) >= limit:
            return silent("budget", f"the judge has ruled on {limit} pairs within an hour")
        self._asked_s.append(now_s)
        return None

    async def _ask(
        self, request: ChatRequest, first: Heard, second: Heard, parties: Parties
    ) -> Ruling:
        verdicts: list[Better] = []
        for one, other in ((first, second), (second, first)):
            verdict, by = await self._verdict(request, one, other, parties.request_id)
            relative = self._relative(by, (parties.first, parties.second))
            if relative:
                return silent("own family", relative)
            if verdict is None:
                return ruled(None, None, self.by)
            verdicts.append(verdict)
        return ruled(verdicts[0], verdicts[1], self.by)

    async def _verdict(
        self, request: ChatRequest, first: Heard, second: Heard, request_id: str
    ) -> tuple[Better | None, str]:
        """In one order, and whose it is."""
        form = self._form
        messages = question(request, first.said, second.said, form)
        try:
            said = await self._asks.ask(messages, form, request_id=request_id)
        except (UpstreamStatus, RequestError) as error:
            if form == "line" or not _is_refusal(error):
                raise
            # It may know no schema: from now on its last line is the verdict.
            self._form = "line"
            return await self._verdict(request, first, second, request_id)
        return heard(said.text, form), said.by or self._model


def _is_refusal(error: ReshoreError) -> bool:
    return not isinstance(error, UpstreamStatus) or error.status in _REFUSED
