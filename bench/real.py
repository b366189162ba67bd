"""The whole stack against the bare engine: the same llama.cpp process, asked by turns."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

import aiohttp
from msgspec import Struct

from bench.load import (
    Answer,
    Bodies,
    Body,
    ask,
    banned_tokens,
    by_turns,
    client,
    rate,
    wait_idle,
    whole,
)
from bench.servers import (
    CHAT_MODEL,
    EMBEDDING_MODEL,
    Homes,
    Server,
    attached,
    bare,
    engine,
    pass_through,
)
from bench.slots import slot_free_ms

_DECODE_WORDS, _DECODE_TOKENS = 20, 128
_PREFILL_WORDS = 600
_TTFT_WORDS = 20
_CHAT_WORDS, _CHAT_TOKENS = 10, 64
_EMBED_TEXTS, _EMBED_WORDS = 16, 30

Samples = dict[str, list[float]]
T = TypeVar("T")


class Effort(Struct, frozen=True, kw_only=True):
    """How often things are measured."""

    pairs: int = 15
    ttft_pairs: int = 40
    window_s: float = 2.0
    slot_rounds: int = 8


QUICK = Effort(pairs=3, ttft_pairs=8, window_s=0.7, slot_rounds=2)


class Rates(NamedTuple):
    """Tokens per second of all clients together."""

    one: float
    eight: float


async def measure(homes: Homes, effort: Effort) -> Samples:
    """Samples of every figure that needs a model."""
    async with (
        engine(homes, CHAT_MODEL, {}) as chat,
        engine(homes, EMBEDDING_MODEL, {}) as embedder,
        attached(homes, (chat, embedder)) as gateway,
        pass_through(bare(chat)) as plain,
        client() as session,
    ):
        bodies = Bodies(await banned_tokens(session, bare(chat)))
        pairs = Pairs(session, gateway, bare(chat), bodies)
        await pairs.warm_up()
        return {
            "serve.decode_ratio": await pairs.decode(gateway, effort.pairs),
            "serve.decode_ratio_pass_through": await pairs.decode(plain, effort.pairs),
            "serve.prefill_ratio": await pairs.prefill(effort.pairs),
            "serve.added_ttft_real_ms": await pairs.added_ttft(effort.ttft_pairs),
            **await pairs.clients(effort.pairs, effort.window_s),
            "serve.slot_free_ms": await pairs.slot_free(effort.slot_rounds),
            "serve.embeddings_ratio": await pairs.embeddings(bare(embedder), effort.pairs),
        }


class Pairs:
    """Measurements by turns: the stack and the bare engine, then the other way round."""

    def __init__(
        self, session: aiohttp.ClientSession, gateway: Server, direct: Server, bodies: Bodies
    ) -> None:
        self._session = session
        self._gateway = gateway
        self._direct = direct
        self._bodies = bodies

    async def warm_up(self) -> None:
        """Both ways once, so that nothing is done for the first time while it is measured."""
        for server in (self._gateway, self._direct) * 2:
            await self._ask(server, words=_PREFILL_WORDS, tokens=16)

    async def decode(self, stack: Server, pairs: int) -> list[float]:
        """Tokens per second after the first, `stack` / bare engine."""

        async def one(server: Server) -> float:
            answer = await self._ask(server, words=_DECODE_WORDS, tokens=_DECODE_TOKENS)
            return answer.decode_rate

        measured = await by_turns(one, stack, self._direct, pairs)
        return [through / engine for through, engine in measured]

    async def prefill(self, pairs: int) -> list[float]:
        """Prompt tokens per second, stack / bare engine."""

        async def one(server: Server) -> float:
            return (await self._ask(server, words=_PREFILL_WORDS, tokens=1)).prefill_rate

        return [stack / engine for stack, engine in await self._by_turns(one, pairs)]

    async def added_ttft(self, pairs: int) -> list[float]:
        """Milliseconds until the first content, stack - bare engine."""

        async def one(server: Server) -> float:
            return (await self._ask(server, words=_TTFT_WORDS, tokens=2)).first_s

        return [(stack - engine) * 1000 for stack, engine in await self._by_turns(one, pairs)]

    async def clients(self, pairs: int, window_s: float) -> Samples:
        """Tokens per second of one client and of eight, of the stack and of the bare engine."""

        async def both(server: Server) -> Rates:
            return Rates(
                await self._rate(server, clients=1, window_s=window_s),
                await self._rate(server, clients=8, window_s=window_s),
            )

        measured = await self._by_turns(both, pairs)
        return {
            "serve.eight_over_one": [stack.eight / stack.one for stack, _ in measured],
            "serve.eight_over_one_bare": [engine.eight / engine.one for _, engine in measured],
            "serve.eight_ratio": [stack.eight / engine.eight for stack, engine in measured],
            "serve.tokens_per_s_of_1": [stack.one for stack, _ in measured],
            "serve.tokens_per_s_of_8": [stack.eight for stack, _ in measured],
        }

    async def slot_free(self, rounds: int) -> list[float]:
        """Milliseconds until the engine is idle; streamed and whole answers by turns."""
        found = []
        for number in range(rounds):
            await wait_idle(self._session, self._direct)
            found.append(
                await slot_free_ms(
                    self._session,
                    self._gateway,
                    self._direct,
                    self._bodies,
                    stream=number % 2 == 0,
                )
            )
        return found

    async def embeddings(self, direct: Server, pairs: int) -> list[float]:
        """Texts embedded per second, stack / bare engine."""

        async def one(server: Server) -> float:
            texts = self._bodies.texts(_EMBED_TEXTS, _EMBED_WORDS)
            body = {"model": EMBEDDING_MODEL, "input": texts}
            started = time.perf_counter()
            await whole(self._session, server, body, "/v1/embeddings")
            return _EMBED_TEXTS / (time.perf_counter() - started)

        await by_turns(one, self._gateway, direct, 1)
        measured = await by_turns(one, self._gateway, direct, pairs)
        return [stack / engine for stack, engine in measured]

    async def _ask(self, server: Server, *, words: int, tokens: int) -> Answer:
        await wait_idle(self._session, self._direct)
        return await ask(self._session, server, self._bodies.chat(words=words, tokens=tokens))

    async def _rate(self, server: Server, *, clients: int, window_s: float) -> float:
        def body() -> Body:
            return self._bodies.chat(words=_CHAT_WORDS, tokens=_CHAT_TOKENS)

        await wait_idle(self._session, self._direct)
        return await rate(self._session, server, body, clients=clients, window_s=window_s)

    async def _by_turns(
        self, one: Callable[[Server], Awaitable[T]], pairs: int
    ) -> list[tuple[T, T]]:
        return await by_turns(one, self._gateway, self._direct, pairs)
