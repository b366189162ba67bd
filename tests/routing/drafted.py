"""A call whose drafts a test writes word by word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reshore.backends.answer import Answer, Measured
from reshore.types import (
    ChatRequest,
    FinishReason,
    Message,
    Target,
    TokenLogprob,
    ToolCall,
)
from tests.routing.scripted import ScriptedCall

QUESTION = ChatRequest(model="m", messages=(Message(role="user", content="How many?"),))


class Script:
    """What a draft says, and what was done with it. Implements `Draft`."""

    def __init__(self, text: str = "", reason: FinishReason | None = None) -> None:
        self.request: ChatRequest = QUESTION
        self.target: Target | None = None
        self.opening_error: Exception | None = None
        self.may_open = asyncio.Event()
        self.may_open.set()
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self.finish_reason: FinishReason | None = None
        self.tool_calls: tuple[ToolCall, ...] = ()
        self.logprobs: tuple[TokenLogprob, ...] = ()
        self.measured = Measured(model="small", text=[])
        self.asked_logprobs = False
        self.asked_temperature: float | None = None
        self.state = "unasked"
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self.say(text)
        if reason is not None:
            self.end(reason)

    @property
    def text(self) -> str:
        return "".join(self.measured.text or ())

    def say(self, text: str) -> None:
        assert self.measured.text is not None
        if text:
            self.measured.text.append(text)
        self._news.set()

    def end(self, reason: FinishReason = "stop") -> None:
        self.finish_reason = reason
        self.measured.finish_reason = reason
        self._news.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._news.set()

    async def finish(self) -> None:
        while self.finish_reason is None and self._error is None:
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error

    def answer(self) -> Answer:
        assert self.state == "open"
        assert self.target is not None
        headers = [(b"content-type", b"text/event-stream")]
        return Answer(self.target, 200, headers, self._frames(), True, self.measured)

    async def _frames(self) -> AsyncIterator[bytes]:
        place = 0
        pieces = self.measured.text
        assert pieces is not None
        while True:
            while place < len(pieces):
                yield pieces[place].encode()
                place += 1
            if self.finish_reason is not None:
                await self.may_end.wait()  # the end of some dialects takes another question
                return
            if self._error is not None:
                raise self._error
            await asyncio.sleep(0)


@dataclass
class DraftedCall(ScriptedCall):
    """A `ScriptedCall` with drafts: those of a target in turn."""

    drafts: dict[Target, list[Script]] = field(default_factory=dict)

    @asynccontextmanager
    async def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> AsyncIterator[Script]:
        script = self.drafts[target].pop(0)
        script.target = target
        script.asked_logprobs, script.asked_temperature = logprobs, temperature
        script.state = "opening"
        try:
            await script.may_open.wait()
            if script.opening_error is not None:
                raise script.opening_error
            script.state = "open"
            yield script
        finally:
            await script.may_leave.wait()
            script.state = "left"
