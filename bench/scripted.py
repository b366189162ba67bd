"""What the gateway itself costs: figures over the scripted engine, whose own speed is no matter."""

from __future__ import annotations

import aiohttp
from msgspec import Struct

from bench.load import ask, by_turns, client, many, scripted, whole
from bench.servers import CHAT_MODEL, Homes, Server, bare, engine, pass_through, served

_SETTINGS = {"RESHORE_ENGINE_KIND": "echo", "RESHORE_ENGINE_PARALLEL": "32"}
_STREAMS = 16
_GAP_MS = 4
_CLIENTS = 8
_BURST_TOKENS = 4000

Samples = dict[str, list[float]]


class Effort(Struct, frozen=True, kw_only=True):
    """How often things are measured."""

    ttft_pairs: int = 300
    rounds: int = 7
    requests: int = 1000
    processes: int = 5
    rounds_each: int = 4
    stream_s: float = 1.0
    bursts: int = 10
    starts: int = 9


QUICK = Effort(
    ttft_pairs=60, rounds=3, requests=300, processes=2, rounds_each=2, bursts=4, starts=3
)


async def measure(homes: Homes, effort: Effort) -> Samples:
    """Samples of every figure that needs no model."""
    samples: Samples = {}
    async with (
        engine(homes, CHAT_MODEL, _SETTINGS) as own_engine,
        served(homes, _SETTINGS) as gateway,
        client() as session,
    ):
        await whole(session, gateway, scripted({"tokens": 1}))  # loads the model
        samples["serve.added_ttft_ms"] = await _added_ttft(
            session, gateway, bare(own_engine), effort.ttft_pairs
        )
        samples["serve.cpu_ms_per_request"] = await _cpu_per_request(session, gateway, effort)
        samples["serve.burst_us_per_chunk"] = await _burst(session, gateway, effort)
        samples["serve.rss_mb"] = [gateway.rss_mb()]
    samples |= await _chunk_cpu(homes, effort)
    samples["serve.ready_s"] = [await _start(homes) for _ in range(effort.starts)]
    return samples


async def _added_ttft(
    session: aiohttp.ClientSession, gateway: Server, direct: Server, pairs: int
) -> list[float]:
    """Milliseconds until the first content, through the stack minus without it."""
    body = scripted({"text": "one two three", "gap_ms": 1})
    for server in (gateway, direct) * 20:
        await ask(session, server, body)

    async def one(server: Server) -> float:
        return (await ask(session, server, body)).first_s * 1000

    return [stack - bare for stack, bare in await by_turns(one, gateway, direct, pairs)]


async def _cpu_per_request(
    session: aiohttp.ClientSession, gateway: Server, effort: Effort
) -> list[float]:
    """CPU milliseconds of the gateway per non-streamed request."""
    body = scripted({"tokens": 16, "burst": True}, stream=False)
    await many(session, gateway, body, count=200, clients=_CLIENTS)
    costs = []
    for _ in range(effort.rounds):
        before = gateway.cpu_s()
        await many(session, gateway, body, count=effort.requests, clients=_CLIENTS)
        costs.append((gateway.cpu_s() - before) * 1000 / effort.requests)
    return costs


async def _chunk_cpu(homes: Homes, effort: Effort) -> Samples:
    """CPU per chunk of gateway and pass-through, by turns, and the ratio within each pair.

    The same program started twice differs by a tenth, so several processes of both are measured.
    """
    costs: list[tuple[float, float]] = []
    for _ in range(effort.processes):
        async with (
            engine(homes, CHAT_MODEL, _SETTINGS) as own_engine,
            served(homes, _SETTINGS) as gateway,
            pass_through(bare(own_engine)) as plain,
            client() as session,
        ):

            async def one(server: Server, session: aiohttp.ClientSession = session) -> float:
                return await _streams_us(session, server, effort.stream_s)

            await by_turns(one, gateway, plain, 1)
            costs += await by_turns(one, gateway, plain, effort.rounds_each)
    return {
        "serve.chunk_cpu_ratio": [ours / theirs for ours, theirs in costs],
        "serve.chunk_us": [ours for ours, _ in costs],
        "serve.pass_through_chunk_us": [theirs for _, theirs in costs],
    }


async def _streams_us(session: aiohttp.ClientSession, server: Server, lasting_s: float) -> float:
    tokens = int(lasting_s * 1000 / _GAP_MS)
    body = scripted({"text": "word", "tokens": tokens, "gap_ms": _GAP_MS})
    before = server.cpu_s()
    received = await many(session, server, body, count=_STREAMS, clients=_STREAMS)
    return (server.cpu_s() - before) * 1e6 / received


async def _burst(session: aiohttp.ClientSession, gateway: Server, effort: Effort) -> list[float]:
    """CPU microseconds per chunk of one stream whose chunks come as fast as they can be read."""
    body = scripted({"text": "word", "forever": True, "burst": True})
    body["max_tokens"] = _BURST_TOKENS
    costs = []
    for _ in range(effort.rounds):
        before = gateway.cpu_s()
        received = await many(session, gateway, body, count=effort.bursts, clients=1)
        costs.append((gateway.cpu_s() - before) * 1e6 / received)
    return costs


async def _start(homes: Homes) -> float:
    async with served(homes, _SETTINGS) as server:
        return server.ready_s
