"""The same load on everybody, by turns: what each costs and adds."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from bench.gateway.client import Failed, Seen, at_once, closed_loop, open_loop
from bench.gateway.contestants import Contestant
from bench.gateway.figures import PEERS, name_of, percentile

T = TypeVar("T")
Samples = defaultdict[str, list[float]]

CONNECTIONS = (1, 16, 64)
RATES = (100, 200)
_CPU_CLIENTS = 16
_LONGEST_S = 120.0  # of one measurement; who takes longer hangs
_SPARE = 0.9  # of what was answered per second in a closed loop; beyond it queues grow without end
# Words that differ: LiteLLM ends a stream that says the same a hundred times in a row.
_TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom and of more"
_WHOLE = {"tokens": 16, "text": _TEXT}
_STREAMS = 16
_GAP_MS = 4


class Effort(Struct, frozen=True, kw_only=True):
    """How often and how long."""

    rounds: int = 5
    window_s: float = 1.5
    stream_s: float = 1.5
    burst_tokens: int = 4000
    bursts: int = 2


QUICK = Effort(rounds=2, window_s=0.5, stream_s=0.5, burst_tokens=1000, bursts=1)


async def compare(
    contestants: Sequence[Contestant], effort: Effort, samples: Samples, failures: dict[str, str]
) -> None:
    """Measure everybody in rounds, in another order each, so that what drifts hurts nobody more.

    Among `contestants` are "direct", the upstream itself, and "pass_through", which the others are
    compared with. A peer that fails at something has no figure for it; `failures` says why.

    Raises:
        Failed: one of ours failed.
    """
    rounds = _Rounds(effort, samples, failures)
    for one in contestants:
        await rounds.attempt(one, "requests", partial(_warm_up, one))
        await rounds.attempt(one, "streams", partial(_warm_streams, one))
    for turn in range(effort.rounds):
        first = turn % len(contestants)
        order = [*contestants[first:], *contestants[:first]]
        for clients in CONNECTIONS:
            await rounds.closed_loops(order, clients)
        for rate in RATES:
            await rounds.open_loops(order, rate)
        proxies = [one for one in order if one.name != "direct"]
        await rounds.streams(proxies)
        await rounds.bursts(proxies)
        say(f"round {turn + 1} of {effort.rounds} is over")
    for one in contestants:
        samples[name_of(one.name, "rss_mb")].append(one.rss_mb())


async def _warm_up(one: Contestant) -> None:
    await closed_loop(one.url, one.chat(_WHOLE), clients=16, window_s=1.0)


async def _warm_streams(one: Contestant) -> None:
    stream = one.chat({"tokens": 50, "text": _TEXT}, stream=True)
    await at_once(one.url, stream, clients=4)


class _Rounds:
    """Takes the samples of a round."""

    def __init__(self, effort: Effort, samples: Samples, failures: dict[str, str]) -> None:
        self._effort = effort
        self._samples = samples
        self._failures = failures

    async def attempt(
        self, one: Contestant, what: str, measure: Callable[[], Awaitable[T]]
    ) -> T | None:
        """What was measured, None if a peer fails at it, now or before.

        Raises:
            Failed: one of ours failed.
        """
        failed = f"{one.name}: {what}"
        if failed in self._failures:
            return None
        try:
            async with asyncio.timeout(_LONGEST_S):
                return await measure()
        except* (Failed, OSError) as group:
            if one.name not in PEERS:
                raise
            self._failures[failed] = _reason(group)
            say(f"{failed}: {self._failures[failed]}")
        return None

    async def closed_loops(self, order: Sequence[Contestant], clients: int) -> None:
        """Requests per second, what they cost and, of one client, what is added to their time."""
        latencies: dict[str, list[float]] = {}
        for one in order:
            measured = await self.attempt(one, "requests", partial(self._closed_loop, one, clients))
            if measured is None:
                continue
            seen, took_s, cpu_s = measured
            self._add(one, f"rps_{clients}", len(seen) / took_s)
            if clients == _CPU_CLIENTS:
                self._add(one, "cpu_ms_per_request", cpu_s * 1000 / len(seen))
            latencies[one.name] = [each.total_ms for each in seen]
        if clients == 1:
            self._added(order, latencies, "")

    async def _closed_loop(self, one: Contestant, clients: int) -> tuple[list[Seen], float, float]:
        """What came back, and how much time and CPU time that took."""
        cpu_s, began = one.cpu_s(), time.perf_counter()
        window_s = self._effort.window_s
        seen = await closed_loop(one.url, one.chat(_WHOLE), clients=clients, window_s=window_s)
        return seen, time.perf_counter() - began, one.cpu_s() - cpu_s

    async def open_loops(self, order: Sequence[Contestant], rate: int) -> None:
        """What is added to the time of requests that come at a constant rate."""
        latencies: dict[str, list[float]] = {}
        for one in order:
            answered = self._samples[name_of(one.name, f"rps_{_CPU_CLIENTS}")]
            if not answered or rate > _SPARE * min(answered):
                continue
            chats = one.chat(_WHOLE)
            loop = partial(open_loop, one.url, chats, per_s=rate, window_s=self._effort.window_s)
            seen = await self.attempt(one, "requests", loop)
            if seen is not None:
                latencies[one.name] = [each.total_ms for each in seen]
        self._added(order, latencies, f"_at_{rate}")

    async def streams(self, order: Sequence[Contestant]) -> None:
        """CPU per chunk of many slow streams, and beside the pass-through in this round."""
        tokens = int(self._effort.stream_s * 1000 / _GAP_MS)
        script = {"tokens": tokens, "gap_ms": _GAP_MS, "text": _TEXT}
        costs: dict[str, float] = {}
        for one in order:
            cost = await self.attempt(
                one, "streams", partial(_chunk_us, one, script, clients=_STREAMS, times=1)
            )
            if cost is not None:
                costs[one.name] = cost
                self._add(one, "chunk_us", cost)
        for one in order:
            if one.name in costs and one.name != "pass_through":
                self._add(one, "chunk_cpu_ratio", costs[one.name] / costs["pass_through"])

    async def bursts(self, order: Sequence[Contestant]) -> None:
        """CPU per chunk of one stream whose chunks come as fast as they can be read."""
        script = {"tokens": self._effort.burst_tokens, "burst": True, "text": _TEXT}
        for one in order:
            cost = await self.attempt(
                one,
                "streams",
                partial(_chunk_us, one, script, clients=1, times=self._effort.bursts),
            )
            if cost is not None:
                self._add(one, "burst_us_per_chunk", cost)

    def _added(
        self, order: Sequence[Contestant], latencies: dict[str, list[float]], suffix: str
    ) -> None:
        direct = latencies["direct"]
        for one in order:
            if one.name not in latencies or one.name == "direct":
                continue
            for label, share in (("p50", 0.5), ("p99", 0.99)):
                added = percentile(latencies[one.name], share) - percentile(direct, share)
                self._add(one, f"added_{label}_ms{suffix}", added)

    def _add(self, one: Contestant, figure: str, value: float) -> None:
        self._samples[name_of(one.name, figure)].append(value)


async def _chunk_us(one: Contestant, script: dict[str, Any], *, clients: int, times: int) -> float:
    """CPU microseconds per chunk.

    Raises:
        Failed: chunks are missing.
    """
    before_s = one.cpu_s()
    seen = await at_once(one.url, one.chat(script, stream=True), clients=clients, times=times)
    spent_s = one.cpu_s() - before_s
    tokens, due = sum(each.tokens for each in seen), script["tokens"] * clients * times
    if tokens != due:
        raise Failed(f"{tokens} of {due} chunks came")
    return spent_s * 1e6 / tokens


def _reason(group: BaseExceptionGroup[Any]) -> str:
    """The first of the errors in words."""
    error = group.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _reason(error)
    return str(error) or type(error).__name__


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)
