"""A call whose targets do what a test wrote down, and that knows what was done with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reshore.backends.answer import Answer, Draft, Measured
from reshore.errors import Unsupported, UpstreamStatus
from reshore.routing.plan import Ask
from reshore.types import Target, Usage

LOCAL = Target(side="local", backend="local", model="small")
OTHER = Target(side="local", backend="local", model="other")
CLOUD = Target(side="cloud", backend="openai", model="big")
SPARE = Target(side="cloud", backend="spare", model="big")
TARGETS = (LOCAL, OTHER, CLOUD, SPARE)


def ask(target: Target) -> Ask:
    return Ask(target=target)


@dataclass
class Turn:
    """What a target does when it is asked once.

    Attributes:
        fault: what the answer means, if it is an error.
        gate: it begins when this is set; None: at once.
        delay: waited for before it begins.
        error: raised instead of beginning.
        frames: sent one by one; an event is waited for, an exception is raised.
        made_frames: sent instead of `frames`.
        leaving: leaving takes until this is set; None: no time.
    """

    frames: Sequence[bytes | asyncio.Event | Exception] = (b"one ", b"two ", b"three")
    error: BaseException | None = None
    gate: asyncio.Event | None = None
    stream: bool = True
    status: int = 200
    fault: UpstreamStatus | None = None
    usage: Usage | None = None
    finish_reason: str | None = "stop"
    resumable: bool = True
    leaving: asyncio.Event | None = None
    delay: Callable[[], Awaitable[None]] | None = None
    made_frames: Callable[[Measured], AsyncIterator[bytes]] | None = None


@dataclass
class Asked:
    """One time that a target was asked. `state`: waiting, answering, left."""

    target: Target
    key: int = 0
    keep_text: bool = False
    goes_on_from: str | None = None
    state: str = "waiting"
    task: asyncio.Task[object] | None = None
    left_in: asyncio.Task[object] | None = None


@dataclass
class ScriptedCall:
    """Implements `Call`. A target without turns left repeats its last one."""

    turns: dict[Target, list[Turn]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    stream: bool = True

    def names(self) -> list[str]:
        return [each.target.model for each in self.asked]

    def open_now(self) -> list[Target]:
        return [each.target for each in self.asked if each.state != "left"]

    @asynccontextmanager
    async def open(
        self, target: Target, *, key: int = 0, keep_text: bool = False
    ) -> AsyncIterator[Answer]:
        asked = Asked(target, key=key, keep_text=keep_text)
        async with self._ask(asked) as answer:
            yield answer

    @asynccontextmanager
    async def resume(self, target: Target, begun: Answer) -> AsyncIterator[Answer]:
        text = begun.measured.text
        assert text is not None
        async with self._ask(Asked(target, goes_on_from="".join(text), keep_text=True)) as answer:
            yield answer

    def draft(
        self, target: Target, *, logprobs: bool = False, temperature: float | None = None
    ) -> _NoDraft:
        raise Unsupported("nothing here is judged")

    @asynccontextmanager
    async def _ask(self, asked: Asked) -> AsyncIterator[Answer]:
        self.asked.append(asked)
        asked.task = asyncio.current_task()
        turn = self._turn(asked)
        try:
            if turn.gate is not None:
                await turn.gate.wait()
            if turn.delay is not None:
                await turn.delay()
            if turn.error is not None:
                raise turn.error
            if asked.goes_on_from is not None and not turn.resumable:
                raise Unsupported("tool calls are under way")
            asked.state = "answering"
            measured = Measured(model=asked.target.model, text=[] if asked.keep_text else None)
            yield Answer(
                target=asked.target,
                status=turn.status,
                headers=[(b"content-type", b"text/event-stream")],
                frames=turn.made_frames(measured)
                if turn.made_frames
                else self._frames(turn, measured),
                stream=turn.stream,
                measured=measured,
                fault=turn.fault,
            )
        finally:
            if turn.leaving is not None:
                await turn.leaving.wait()
            asked.state = "left"
            asked.left_in = asyncio.current_task()

    def _turn(self, asked: Asked) -> Turn:
        turns = self.turns.get(asked.target, [Turn()])
        return turns.pop(0) if len(turns) > 1 else turns[0]

    async def _frames(self, turn: Turn, measured: Measured) -> AsyncIterator[bytes]:
        for frame in turn.frames:
            if isinstance(frame, asyncio.Event):
                await frame.wait()
            elif isinstance(frame, bytes):
                if measured.text is not None:
                    measured.text.append(frame.decode())
                yield frame
            else:
                raise frame
        measured.finish_reason = turn.finish_reason
        measured.usage = turn.usage


class _NoDraft:
    async def __aenter__(self) -> Draft:
        raise NotImplementedError

    async def __aexit__(self, *_: object) -> None: ...
