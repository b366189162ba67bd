"""A judge behind a backend: nobody waits for it, and what it costs is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from reshore.errors import BackendTimeout, Overloaded, Unreachable
from reshore.evals.judge_backend import BackendAsks
from reshore.testing import MovableClock, settle
from reshore.types import Attempt, ChatRequest, Chunk, Message, Reply, Target, Usage

TARGET = Target(side="cloud", backend="openai", model="gpt-4o")
MESSAGES = [Message(role="user", content="Which?")]


class Engines:
    def __init__(self, present: int) -> None:
        self.count = present

    def present(self) -> int:
        return self.count


class Backend:
    """Says what it is given, or raises it."""

    def __init__(self, *says: str | BaseException) -> None:
        self._says = says
        self.asked: list[tuple[ChatRequest, str]] = []
        self.open = 0
        self.engines = Engines(0)

    @asynccontextmanager
    async def chat(self, request: ChatRequest, request_id: str) -> AsyncIterator[Reply]:
        self.asked.append((request, request_id))
        self.open += 1
        self.engines.count += 1
        try:
            yield Reply(model="gpt-4o", chunks=self._chunks())
        finally:
            self.open -= 1
            self.engines.count -= 1

    async def _chunks(self) -> AsyncIterator[Sequence[Chunk]]:
        for said in self._says:
            if said == "a client comes":
                self.engines.count += 1
                continue
            if isinstance(said, BaseException):
                raise said
            yield [Chunk(content=said)]
        if not self._says:
            await asyncio.Event().wait()
        yield [
            Chunk(finish_reason="stop"),
            Chunk(index=-1, usage=Usage(prompt_tokens=900, completion_tokens=20)),
        ]


class Asked:
    def __init__(
        self, backend: Backend, local: Engines | None = None, timeout_s: float = 60
    ) -> None:
        self.late: list[tuple[str, Attempt]] = []
        self.clock = MovableClock()
        self.asks = BackendAsks(
            TARGET,
            backend.chat,
            clock=self.clock,
            record_late=lambda request_id, attempt: self.late.append((request_id, attempt)),
            local=local,
            timeout_s=timeout_s,
        )


async def test_the_verdict_comes_whole_and_its_cost_is_kept() -> None:
    backend = Backend('{"reason": "", ', '"better": "tie"}')
    asked = Asked(backend)
    said = await asked.asks.ask(MESSAGES, "json", request_id="r1")
    assert said.text == '{"reason": "", "better": "tie"}'
    [(request, request_id)] = backend.asked
    assert (request.model, request.messages, request_id) == ("gpt-4o", tuple(MESSAGES), "r1")
    assert request.response_format.kind == "json_schema"
    assert request.sampling.temperature == 0
    [(kept_under, attempt)] = asked.late
    assert (kept_under, attempt.role, attempt.target, attempt.error) == (
        "r1",
        "judge",
        TARGET,
        None,
    )
    assert attempt.usage == Usage(prompt_tokens=900, completion_tokens=20)
    assert attempt.answered is False


async def test_plain_text_is_asked_for_without_format_and_temperature() -> None:
    backend = Backend("VERDICT: TIE")
    await Asked(backend).asks.ask(MESSAGES, "line", request_id="r1")
    [(request, _)] = backend.asked
    assert request.response_format.kind == "text"
    assert request.sampling.temperature is None


async def test_a_failure_is_kept_as_one() -> None:
    backend = Backend("half", Unreachable("gone", backend="openai"))
    asked = Asked(backend)
    with pytest.raises(Unreachable):
        await asked.asks.ask(MESSAGES, "json", request_id="r1")
    assert [attempt.error for _, attempt in asked.late] == ["Unreachable"]
    assert backend.open == 0


async def test_a_verdict_that_takes_too_long_is_given_up() -> None:
    backend = Backend()
    asked = Asked(backend, timeout_s=0.01)
    with pytest.raises(BackendTimeout, match=r"no verdict within 0.01 s"):
        await asked.asks.ask(MESSAGES, "json", request_id="r1")
    assert [attempt.error for _, attempt in asked.late] == ["BackendTimeout"]
    assert backend.open == 0


async def test_cancelling_ends_the_generation() -> None:
    backend = Backend()
    asked = Asked(backend)
    task = asyncio.create_task(asked.asks.ask(MESSAGES, "json", request_id="r1"))
    await settle()
    assert backend.open == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.open == 0
    assert [attempt.error for _, attempt in asked.late] == ["Cancelled"]


async def test_a_local_judge_waits_while_clients_want_the_engines() -> None:
    backend, engines = Backend("VERDICT: TIE"), Engines(1)
    asked = Asked(backend, engines)
    task = asyncio.create_task(asked.asks.ask(MESSAGES, "line", request_id="r1"))
    await asked.clock.advance(10)
    assert backend.asked == []
    engines.count = 0
    await asked.clock.advance(1)
    assert (await task).text == "VERDICT: TIE"


async def test_a_local_judge_does_not_wait_for_ever() -> None:
    backend = Backend("VERDICT: TIE")
    asked = Asked(backend, Engines(1))
    task = asyncio.create_task(asked.asks.ask(MESSAGES, "line", request_id="r1"))
    await asked.clock.advance(16)
    with pytest.raises(Overloaded, match="gpt-4o gave way: clients had the engines for 15 s"):
        await task
    assert (backend.asked, asked.late) == ([], [])


async def test_a_local_judge_gives_way_to_a_client() -> None:
    backend = Backend("half", "a client comes", " a verdict")
    asked = Asked(backend, backend.engines)
    with pytest.raises(Overloaded, match="gave way: a client wants the engines"):
        await asked.asks.ask(MESSAGES, "line", request_id="r1")
    assert [attempt.error for _, attempt in asked.late] == ["Overloaded"]
    assert (backend.open, backend.engines.count) == (0, 1)
    backend.engines.count = 0
    assert await Asked(Backend("VERDICT: TIE")).asks.ask(MESSAGES, "line", request_id="r2")


async def test_judges_do_not_give_way_to_each_other() -> None:
    backend = Backend("VERDICT: TIE")
    asked = Asked(backend, backend.engines)
    asks = [asked.asks.ask(MESSAGES, "line", request_id=str(n)) for n in range(3)]
    assert [said.text for said in await asyncio.gather(*asks)] == ["VERDICT: TIE"] * 3
