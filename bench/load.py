"""Clients: what they send, and what they see of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from bench.servers import CHAT_MODEL, Server

Body = dict[str, Any]
T = TypeVar("T")

# Common words that are one token each, so that prompts of as many words are as long.
_WORDS = tuple(
    """
    time year people way day man thing woman life child world school state family student group
    country problem hand part place case week company system program question work number night
    point home water room mother area money story fact month lot right study book eye job word
    """.split()  # noqa: SIM905 (a literal of 45 strings is no pleasure to read)
)
_DONE = b"data: [DONE]"
_STALE_CONNECTIONS = 16  # as many as may lie in the pool, each of them ended


class Prompts:
    """Prompts of one length that have no beginning in common: a prefix cache is of no use.

    Two objects with the same seed give the same prompts.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def next(self, words: int) -> str:
        return " ".join(self._random.choices(_WORDS, k=words))


class Bodies:
    """Requests to the chat model. `banned` are the tokens that would end an answer early."""

    def __init__(self, banned: tuple[int, ...], seed: int = 0) -> None:
        self._bias = {str(token): -100 for token in banned}
        self._prompts = Prompts(seed)

    def chat(self, *, words: int, tokens: int, stream: bool = True) -> Body:
        """A prompt of so many words, never sent before, answered with so many tokens."""
        body: Body = {
            "model": CHAT_MODEL,
            "messages": [{"role": "user", "content": self._prompts.next(words)}],
            "max_tokens": tokens,
            "temperature": 0,
            "seed": 1,
            "logit_bias": self._bias,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def texts(self, count: int, words: int) -> list[str]:
        """Texts to embed."""
        return [self._prompts.next(words) for _ in range(count)]


def scripted(directive: Body, *, stream: bool = True) -> Body:
    """A request that tells the scripted engine what to answer."""
    content = f"/echo {json.dumps(directive)}"
    body: Body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": content}]}
    return body | ({"stream": True} if stream else {})


async def by_turns(
    measure: Callable[[Server], Awaitable[T]], stack: Server, other: Server, pairs: int
) -> list[tuple[T, T]]:
    """What was measured of both, pair by pair, every other pair the other way round.

    What drifts, a processor that grows hot say, then hurts neither side more.
    """
    measured = []
    for pair in range(pairs):
        if pair % 2:
            second = await measure(other)
            measured.append((await measure(stack), second))
        else:
            first = await measure(stack)
            measured.append((first, await measure(other)))
    return measured


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int


class _Event(Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """What a client saw of a stream. Times are seconds since it sent its request.

    Attributes:
        first_s: when the first content came; 0.0 if none did.
        total_s: when the stream ended.
    """

    first_s: float
    total_s: float
    prompt_tokens: int
    completion_tokens: int

    @property
    def decode_rate(self) -> float:
        """Tokens per second after the first one."""
        return (self.completion_tokens - 1) / (self.total_s - self.first_s)

    @property
    def prefill_rate(self) -> float:
        """Prompt tokens per second until the end of the stream; for answers of one token."""
        return self.prompt_tokens / self.total_s


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A session without limits of its own, its connections kept alive as SDKs keep theirs."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False, keepalive_timeout=4),
        timeout=aiohttp.ClientTimeout(total=120),
        trust_env=False,
    ) as session:
        yield session


async def ask(session: aiohttp.ClientSession, server: Server, body: Body) -> Answer:
    """Send one streamed chat and watch it to its end.

    Raises:
        aiohttp.ClientResponseError: it was refused.
    """
    decode = msgspec.json.Decoder(_Event).decode
    usage, first_s = _Usage(0, 0), 0.0
    started = time.perf_counter()
    async with _post(session, server, body) as response:
        async for line in response.content:
            if not line.startswith(b"data: ") or line.startswith(_DONE):
                continue
            event = decode(line[6:])
            if not first_s and any(choice.delta.content for choice in event.choices):
                first_s = time.perf_counter() - started
            usage = event.usage or usage
    return Answer(
        first_s=first_s,
        total_s=time.perf_counter() - started,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )


async def whole(
    session: aiohttp.ClientSession, server: Server, body: Body, path: str = "/v1/chat/completions"
) -> int:
    """Send one request and take its whole reply.

    Returns:
        How many tokens came: deltas with content. Nothing is decoded, so it costs next to nothing.
    """
    tokens = 0
    async with _post(session, server, body, path) as response:
        while data := await response.content.readany():
            tokens += data.count(b'"content":"') - data.count(b'"content":""')
    return tokens


async def many(
    session: aiohttp.ClientSession, server: Server, body: Body, *, count: int, clients: int
) -> int:
    """The same request `count` times, by so many clients at once; tokens of all answers."""
    left = iter(range(count))

    async def work() -> int:
        return sum([await whole(session, server, body) for _ in left])

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in range(clients)]
    return sum(task.result() for task in tasks)


async def rate(
    session: aiohttp.ClientSession,
    server: Server,
    new_body: Callable[[], Body],
    *,
    clients: int,
    window_s: float,
) -> float:
    """Tokens per second of all clients together, each asking again as soon as it is answered.

    The window opens once a token has come, and closes on generations that still run: they are cut
    off, so that no tail of a few clients counts for all.
    """
    tokens = 0
    begun = asyncio.Event()

    async def work() -> None:
        nonlocal tokens
        while True:
            async with _post(session, server, new_body()) as response:
                async for line in response.content:
                    if b'"content":"' in line and b'"content":""' not in line:
                        tokens += 1
                        begun.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in range(clients)]
        await begun.wait()
        before, started = tokens, time.perf_counter()
        await asyncio.sleep(window_s)
        result = (tokens - before) / (time.perf_counter() - started)
        for task in tasks:
            task.cancel()
    return result


@asynccontextmanager
async def _post(
    session: aiohttp.ClientSession, server: Server, body: Body, path: str = "/v1/chat/completions"
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Post, again if the connection had ended: llama.cpp ends those that it has no thread for."""
    response = await _opened(
        lambda: session.post(
            server.url + path, json=body, headers=server.headers, raise_for_status=True
        )
    )
    async with response:
        yield response


async def _opened(post: Callable[[], Awaitable[aiohttp.ClientResponse]]) -> aiohttp.ClientResponse:
    for _ in range(_STALE_CONNECTIONS):
        with contextlib.suppress(aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            return await post()
    return await post()


async def banned_tokens(session: aiohttp.ClientSession, server: Server) -> tuple[int, ...]:
    """Ids of the tokens with which the chat model ends an answer, as its engine numbers them."""
    found: list[int] = []
    for text in ("<|im_end|>", "<|endoftext|>"):
        body = {"content": text, "parse_special": True}
        async with _post(session, server, body, "/tokenize") as response:
            found += (await response.json())["tokens"]
    return tuple(found)


async def wait_idle(session: aiohttp.ClientSession, server: Server) -> None:
    """Wait until no slot of a bare engine works."""
    while await busy_slots(session, server):  # noqa: ASYNC110 (it is another process)
        await asyncio.sleep(0.002)


async def busy_slots(session: aiohttp.ClientSession, server: Server) -> int:
    """Slots of a bare engine that work now."""
    # A GET is sent again by aiohttp itself when its connection had ended.
    async with session.get(f"{server.url}/slots", headers=server.headers) as response:
        return sum(slot["is_processing"] for slot in await response.json())
