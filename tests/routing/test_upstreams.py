"""Dispatch over real sockets: what upstreams see of retries, hedges and hang-ups."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from reshore.backends.remote import Remote, open_session
from reshore.clock import SystemClock
from reshore.config import RoutingConfig, Seconds, UpstreamConfig
from reshore.errors import BackendError, Unreachable, UpstreamStatus
from reshore.routing.dispatch import Dispatcher, Journal
from reshore.routing.plan import Ask, FallbackPlan, HedgePlan, Plan
from reshore.types import Target
from tests.backends.remote.scripted import Peer, Script, Seen, Upstream, upstream
from tests.routing.dispatching import local_side, only_this_task
from tests.routing.scripted import ScriptedCall

ONE = Target(side="cloud", backend="one", model="gpt-4o-mini")
TWO = Target(side="cloud", backend="two", model="gpt-4o-mini")
BODY = b'{"model":"gpt-4o-mini","stream":true}'
WORD = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
ANSWER = WORD + STOP + DONE


@dataclass
class PassedOn(ScriptedCall):
    """A request of OpenAI's dialect, for whichever upstream."""

    remotes: dict[str, Remote] = field(default_factory=dict)

    def open(self, target: Target, *, key: int = 0, keep_text: bool = False) -> Any:
        return self.remotes[target.backend].open_raw(
            target, "/v1/chat/completions", BODY, [], stream=True, key=key, keep_text=keep_text
        )


@dataclass
class Setup:
    call: PassedOn
    one: Upstream
    two: Upstream
    dispatcher: Dispatcher
    journal: Journal

    async def read(self, plan: Plan, into: list[bytes] | None = None) -> bytes:
        frames = [] if into is None else into
        async with self.dispatcher.open(self.call, plan, self.journal) as answer:
            async for frame in answer.frames:
                frames.append(frame)
        return b"".join(frames)

    def told(self) -> list[str]:
        return [
            f"{'*' if each.answered else ''}{each.role} {each.target.backend} {each.status}"
            f" {each.error}"
            for each in self.journal.attempts()
        ]


@asynccontextmanager
async def serving(
    one: Script, two: Script, *, keys: Sequence[str] = ("sk-one",)
) -> AsyncIterator[Setup]:
    config = RoutingConfig(retries=1, retry_base_s=Seconds(0))
    dispatcher = Dispatcher(config, cascade=local_side, keys=lambda upstream: len(keys))
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(upstream(script)) for script in (one, two)]
        session = await stack.enter_async_context(open_session())
        remotes = {
            name: Remote(name, UpstreamConfig(url=served.url), keys, session, clock, "abc123")
            for name, served in zip(("one", "two"), servers, strict=True)
        }
        yield Setup(PassedOn(remotes=remotes), *servers, dispatcher, Journal(clock))


async def answers(peer: Peer, seen: Seen) -> None:
    await peer.stream(WORD, STOP, DONE)


async def never_answers(peer: Peer, seen: Seen) -> None:
    await peer.watch()


def refuses(status: int, **headers: str) -> Script:
    async def script(peer: Peer, seen: Seen) -> None:
        body = json.dumps({"error": {"message": "no", "type": "server_error"}}).encode()
        await peer.reply(body, status=status, **headers)

    return script


async def test_a_hedge_takes_its_loser_off_the_wire() -> None:
    hedged = HedgePlan(first=Ask(target=ONE), second=Ask(target=TWO), after_ms=5)
    gone = asyncio.Event()

    async def late(peer: Peer, seen: Seen) -> None:
        await peer.watch()
        gone.set()

    async with serving(late, answers) as setup:
        assert await setup.read(hedged) == ANSWER
        await asyncio.wait_for(gone.wait(), 5)
        assert setup.told() == ["primary one None Cancelled", "*hedge two 200 None"]


async def test_a_hedge_whose_client_hangs_up_is_seen_by_both() -> None:
    hedged = HedgePlan(first=Ask(target=ONE), second=Ask(target=TWO), after_ms=0)
    asked, gone = asyncio.Semaphore(0), asyncio.Semaphore(0)

    async def late(peer: Peer, seen: Seen) -> None:
        asked.release()
        await peer.watch()
        gone.release()

    async with serving(late, late) as setup:
        reading = asyncio.create_task(setup.read(hedged))
        for _ in range(2):
            await asyncio.wait_for(asked.acquire(), 5)
        reading.cancel()
        await asyncio.wait([reading])
        for _ in range(2):
            await asyncio.wait_for(gone.acquire(), 5)
        assert setup.told() == ["primary one None Cancelled", "hedge two None Cancelled"]


async def test_a_failing_upstream_is_retried_and_then_left_for_the_next() -> None:
    plan = FallbackPlan(plans=(Ask(target=ONE), Ask(target=TWO)))
    async with serving(refuses(500), answers) as setup:
        assert await setup.read(plan) == ANSWER
        assert setup.told() == [
            "primary one 500 UpstreamStatus",
            "retry one 500 UpstreamStatus",
            "*fallback two 200 None",
        ]


async def test_x_should_retry_false_is_obeyed() -> None:
    async with serving(refuses(500, x_should_retry="false"), answers) as setup:
        with pytest.raises(UpstreamStatus):
            await setup.read(Ask(target=ONE))
        assert len(setup.one.seen) == 1


async def test_a_limited_key_gives_way_to_the_next() -> None:
    limited = refuses(429, retry_after="60")

    async def by_key(peer: Peer, seen: Seen) -> None:
        used_up = seen.headers["authorization"] == "Bearer sk-one"
        await (limited if used_up else answers)(peer, seen)

    async with serving(by_key, answers, keys=("sk-one", "sk-two")) as setup:
        assert await setup.read(Ask(target=ONE)) == ANSWER
        assert await setup.read(Ask(target=ONE)) == ANSWER
        used = [seen.headers["authorization"] for seen in setup.one.seen]
        assert used == ["Bearer sk-one", "Bearer sk-two", "Bearer sk-two"]
        assert setup.told() == [
            "primary one 429 UpstreamStatus",
            "retry one 200 None",
            "*primary one 200 None",
        ]


async def test_a_stream_that_is_cut_is_not_begun_again() -> None:
    async def cut(peer: Peer, seen: Seen) -> None:
        await peer.start()
        await peer.chunk(WORD)
        peer.cut()

    plan = FallbackPlan(plans=(Ask(target=ONE), Ask(target=TWO)))
    async with serving(cut, answers) as setup:
        seen: list[bytes] = []
        with pytest.raises(BackendError):
            await setup.read(plan, seen)
        assert b"".join(seen) == WORD
        assert setup.two.seen == []
        assert setup.told() == ["*primary one 200 Disconnected"]


async def test_an_outage_opens_the_breaker_and_costs_no_network() -> None:
    plan = FallbackPlan(plans=(Ask(target=ONE), Ask(target=TWO)))
    async with serving(refuses(503, x_should_retry="false"), answers) as setup:
        for _ in range(8):
            assert await setup.read(plan) == ANSWER
        assert len(setup.one.seen) == 5
        assert setup.told()[-2:] == ["primary one None CircuitOpen", "*fallback two 200 None"]
        [state] = setup.dispatcher.breakers()
        assert (state.backend, state.state) == ("one", "open")
        with pytest.raises(Unreachable):
            await setup.read(Ask(target=ONE))
    only_this_task()
