"""Pairs of answers to be decided, and a judge that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reshore.checks.check import Said
from reshore.evals.judge import Form
from reshore.evals.judging import Spoken
from reshore.evals.scoring import Heard
from reshore.types import ChatRequest, Message

REQUEST = ChatRequest(model="gpt-4o", messages=(Message(role="user", content="Why is it blue?"),))


def heard(text: str = "Because of the air.", *, error: str = "", **more: Any) -> Heard:
    given = {"finish_reason": "stop", **more}
    return Heard(said=Said(request=REQUEST, text=text, **given), error=error)


class ScriptedJudge:
    """Implements `AsksChat`: says what `says` makes of the question, or raises it."""

    def __init__(self, says: Callable[[str, Form], str | BaseException], by: str = "") -> None:
        self._says = says
        self._by = by
        self.asked: list[tuple[Sequence[Message], Form, str]] = []

    async def ask(self, messages: Sequence[Message], form: Form, *, request_id: str) -> Spoken:
        self.asked.append((messages, form, request_id))
        said = self._says(messages[-1].text, form)
        if isinstance(said, BaseException):
            raise said
        return Spoken(text=said, by=self._by)


def verdict(better: str, reason: str = "It is so.") -> str:
    """As a judge writes it."""
    return f'{{"reason": "{reason}", "better": "{better}"}}'


def preferring(text: str, by: str = "") -> ScriptedJudge:
    """A judge that finds the answer better that holds `text`, wherever it stands."""

    def says(asked: str, form: Form) -> str:
        first, second = asked.split("second answer begins")
        word = "tie" if (text in first) == (text in second) else ""
        return verdict(word or ("first" if text in first else "second"))

    return ScriptedJudge(says, by)
