"""Which of two answers is better, by whatever can tell: checks, the user's own check, a judge."""

from __future__ import annotations

import logging
from typing import Protocol

from msgspec import Struct

from reshore.errors import ReshoreError
from reshore.evals.expected import Expected
from reshore.evals.judge import Ruling
from reshore.evals.program import Program
from reshore.evals.scoring import Compared, Heard, compared
from reshore.types import ChatRequest

log = logging.getLogger("reshore.evals")

# What is known for certain: nobody else is asked after these.
_PROVEN = frozenset({"reference", "calls", "schema", "pattern", "error"})


class Parties(Struct, frozen=True, kw_only=True):
    """Who said what is compared.

    Attributes:
        first, second: the models; a judge does not grade its relatives. "" where not known.
        request_id: where what a judge costs is kept.
    """

    first: str = ""
    second: str = ""
    request_id: str = ""


NOBODY = Parties()


class Deciders(Struct, frozen=True, kw_only=True):
    """What can tell which of two models' answers is better.

    Attributes:
        names: of what can.
        unfit: why what there is besides cannot, and what to do; a sentence each.
    """

    names: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()


class Decider(Protocol):
    """Says which of two answers is better. It takes as long as it takes: never wait for it where a
    client waits."""

    async def decide(
        self,
        request: ChatRequest,
        first: Heard,
        second: Heard,
        expected: Expected,
        parties: Parties = NOBODY,
    ) -> Compared:
        """Compare; a win is one of the second. What cannot be told, or fails, is undecided.

        Cancellation ends whatever was asked.
        """
        ...


class Rules(Protocol):
    """A judge (`evals.judging.Judge`)."""

    async def rule(
        self, request: ChatRequest, first: Heard, second: Heard, parties: Parties
    ) -> Ruling: ...


class Checks:
    """Decides by checks alone: at once, and the same every time."""

    async def decide(
        self,
        request: ChatRequest,
        first: Heard,
        second: Heard,
        expected: Expected,
        parties: Parties = NOBODY,
    ) -> Compared:
        """See `Decider`."""
        return compared(first, second, expected)


class InTurn:
    """Asks the strongest first, and the next one only where that cannot tell.

    What is expected of an answer proves which one is right. The user's own check comes next, before
    signs such as a refusal or that both come to the same; the judge gets what nobody else decides.

    Args:
        program: the user's own check, None for none.
        judge: None for none.
    """

    def __init__(self, program: Program | None = None, judge: Rules | None = None) -> None:
        self._program = program
        self._judge = judge

    async def decide(
        self,
        request: ChatRequest,
        first: Heard,
        second: Heard,
        expected: Expected,
        parties: Parties = NOBODY,
    ) -> Compared:
        """See `Decider`. A program or judge that fails leaves the pair to the next one, with a
        warning in the log."""
        found = compared(first, second, expected)
        if found.by in _PROVEN:
            return found
        detail = ""
        if self._program is not None:
            try:
                own = await self._program.decide(request, first, second, expected)
            except ReshoreError as error:
                log.warning("%s", error, extra={"request_id": parties.request_id})
                detail = str(error)
            else:
                found = own if own.result != "undecided" else found
        if found.result == "undecided" and self._judge is not None:
            ruling = await self._judge.rule(request, first, second, parties)
            detail = detail or ruling.detail
            found = Compared(result=ruling.result, by=ruling.by)
        return Compared(result=found.result, by=found.by, detail=detail)
