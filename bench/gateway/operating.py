"""What operators do, on a gateway of ours alone: change routes under load, go back, mirror
requests, hold many connections."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from msgspec import Struct

from bench.gateway.client import Failed, Line, Seen, connect, open_loop, successful, together
from bench.gateway.comparing import Samples, say
from bench.gateway.contestants import MODEL, Contestant, Cores, gateway
from bench.gateway.figures import percentile
from bench.servers import RESHORE, Homes, Server
from reshore.testing import ScriptedUpstream

_SIDES = ("a", "b")
_BACKEND = re.compile(rb"backend=(\w+)")
_VERSION = re.compile(rb"version=(\d+)$")
_FIELD = re.compile(rb'"model":"at-(\w+)"')
_LOADERS = 16
_SHADOW_MS = 200
_SHADOW_PER_S = 20
_PORTS_PER_SOURCE = 20_000
_SPARE_FILES = 500
_OPENERS = 100
_PROBE = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Effort(Struct, frozen=True, kw_only=True):
    """How often and how long."""

    rollbacks: int = 15
    commands: int = 5
    changes: int = 1000
    shadow_pairs: int = 10
    shadow_s: float = 2.0
    connections: int = 10_000
    idle_s: float = 60.0


QUICK = Effort(
    rollbacks=5, commands=2, changes=100, shadow_pairs=3, shadow_s=1.0, connections=1000, idle_s=5.0
)


async def operate(
    homes: Homes, upstream: Server, cores: Cores, effort: Effort, samples: Samples
) -> None:
    """All of it, one after the other.

    Raises:
        Failed: a request failed, or was answered by somebody whom its version does not name.
    """
    upstreams = dict.fromkeys(_SIDES, upstream.url)
    async with gateway(homes, upstreams, {MODEL: _policy("a")}) as one:
        cores.measure(one)
        await _changes(one, effort, samples)
        await _rollbacks(one, effort, samples)
        say("routes are changed")
    await _shadows(homes, cores, effort, samples)
    async with gateway(homes, {"a": upstream.url}, {MODEL: "cloud"}) as one:
        cores.measure(one)
        await _idle(one, effort, samples)


def _policy(side: str) -> str:
    return f"cloud:{side}/at-{side}"


class Admin:
    """The admin API of a gateway, over its socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def set(self, policy: str) -> int:
        """Set the route; its new version."""
        return await self._send("PUT", f"/admin/routes/{MODEL}", {"policy": policy})

    async def roll_back(self) -> int:
        """Go back by one version; the new version."""
        return await self._send("POST", "/admin/rollback", {})

    async def _send(self, method: str, path: str, body: dict[str, Any]) -> int:
        url = f"http://admin{path}"
        async with self._session.request(method, url, json=body) as reply:
            said = await reply.json()
            if reply.status != 200:
                raise Failed(f"{method} {path}: {said}")
            return int(said["version"])


@asynccontextmanager
async def admin(one: Contestant) -> AsyncIterator[Admin]:
    """A connection to the admin API."""
    assert one.home is not None
    connector = aiohttp.UnixConnector(path=str(one.home / "run" / "admin.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Admin(session)


class _Load:
    """Clients that ask all the time. Whoever is answered by another than the decision names, or by
    another model than that upstream's, has seen two versions at once."""

    def __init__(self, one: Contestant, clients: int) -> None:
        self._sent = one.chat({"tokens": 4, "text": "one two three four"})
        self._url = one.url
        self._clients = clients
        self._changed = asyncio.Event()
        self.answered = self.failed = self.mixed = 0
        self.latest: tuple[int, float] = (0, 0.0)  # version, and when its answer was there

    async def __aenter__(self) -> _Load:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._tasks = [self._group.create_task(self._ask()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(None, None, None)

    async def version(self, wanted: int) -> float:
        """When the first answer of this version, or a later one, was there."""
        while self.latest[0] < wanted:
            self._changed.clear()
            await self._changed.wait()
        return self.latest[1]

    async def _ask(self) -> None:
        line = await connect(self._url, keep_body=True)
        try:
            while True:
                if not line.open:
                    line = await connect(self._url, keep_body=True)
                try:
                    self._judge(await line.ask(self._sent))
                except Failed:
                    self.failed += 1
        finally:
            line.close()

    def _judge(self, seen: Seen) -> None:
        self.answered += 1
        backend, version = _BACKEND.search(seen.decision), _VERSION.search(seen.decision)
        model = _FIELD.search(seen.body)
        if seen.status != 200 or backend is None or version is None or model is None:
            self.failed += 1
            return
        number = int(version[1])
        # Versions were set by turns: odd ones ask a, even ones b.
        due = _SIDES[(number + 1) % 2].encode()
        self.mixed += not backend[1] == model[1] == due
        if number > self.latest[0]:
            self.latest = number, seen.done_s
            self._changed.set()


async def _changes(one: Contestant, effort: Effort, samples: Samples) -> None:
    """Routes change as fast as they can while clients ask."""
    async with admin(one) as routes, _Load(one, _LOADERS) as load:
        began = time.perf_counter()
        for number in range(effort.changes):
            await routes.set(_policy(_SIDES[(number + 1) % 2]))
        took_s = time.perf_counter() - began
    say(f"{effort.changes} changes, {load.answered} requests meanwhile")
    samples["gateway.changes_per_s"].append(effort.changes / took_s)
    samples["gateway.changes_failed"].append(load.failed)
    samples["gateway.changes_mixed"].append(load.mixed)


async def _rollbacks(one: Contestant, effort: Effort, samples: Samples) -> None:
    """From the admin request until an answer of the new version is there, asked one by one."""
    async with admin(one) as routes, _Load(one, 1) as load:
        for _ in range(effort.rollbacks):
            await load.version(await routes.set(_policy("b")))
            began = time.perf_counter()
            version = await routes.roll_back()
            samples["gateway.rollback_ms"].append((await load.version(version) - began) * 1000)
        for _ in range(effort.commands):
            await routes.set(_policy("b"))
            samples["gateway.rollback_command_s"].append(await _command(one))


async def _command(one: Contestant) -> float:
    began = time.perf_counter()
    command = await asyncio.create_subprocess_exec(
        RESHORE,
        "rollback",
        env={**os.environ, "RESHORE_HOME": str(one.home)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await command.wait():
        raise Failed("`reshore rollback` failed")
    return time.perf_counter() - began


async def _shadows(homes: Homes, cores: Cores, effort: Effort, samples: Samples) -> None:
    """By turns with and without a shadow of every request; both upstreams take 200 ms."""
    routes = {"plain": "cloud:a/x", "mirrored": "shadow(cloud:a/x, cloud:b/x, share=100%)"}
    more = "\n[shadow]\nconcurrency = 32\n"
    async with ScriptedUpstream(keep=0) as first, ScriptedUpstream(keep=0) as second:
        upstreams = {
            name: upstream.url.removesuffix("/v1")
            for name, upstream in zip(_SIDES, (first, second), strict=True)
        }
        async with gateway(homes, upstreams, routes, more) as one:
            cores.measure(one)
            for pair in range(effort.shadow_pairs + 1):
                medians = {}
                for name in ("plain", "mirrored") if pair % 2 else ("mirrored", "plain"):
                    medians[name] = await _slow_median(one, name, effort.shadow_s)
                if pair:  # the first pair warms up
                    samples["gateway.shadow_ms"].append(medians["mirrored"])
                    samples["gateway.shadow_p50_ratio"].append(
                        medians["mirrored"] / medians["plain"]
                    )
        due = int(_SHADOW_PER_S * effort.shadow_s) * (effort.shadow_pairs + 1)
        if second.asked != due:
            raise Failed(f"the shadow got {second.asked} of {due} requests")


async def _slow_median(one: Contestant, name: str, window_s: float) -> float:
    sent = one.chat({"tokens": 4, "text": "a b c d", "headers_ms": _SHADOW_MS}, model=name)
    seen = await open_loop(one.url, sent, per_s=_SHADOW_PER_S, window_s=window_s)
    return percentile([each.total_ms for each in seen], 0.5)


async def _idle(one: Contestant, effort: Effort, samples: Samples) -> None:
    """Connections that have asked once and then hold still, each for as long as all others."""
    count = min(effort.connections, _file_limit() - _SPARE_FILES)
    numbers = iter(range(count))
    held: list[tuple[Line, float]] = []
    before_mb = one.rss_mb()

    async def open_some() -> None:
        for number in numbers:
            source = f"127.0.0.{2 + number // _PORTS_PER_SOURCE}"
            line = await connect(one.url, source=source)
            seen = successful(await line.ask(_PROBE))
            held.append((line, seen.done_s + effort.idle_s))

    try:
        await together(open_some() for _ in range(_OPENERS))
        samples["gateway.idle_mb"].append(one.rss_mb() - before_mb)
        samples["gateway.idle_count"].append(count)
        samples["gateway.idle_lost"].append(count - await _alive(held))
    finally:
        for line, _ in held:
            line.close()


async def _alive(held: Sequence[tuple[Line, float]]) -> int:
    """How many connections still answer, each asked when its time has come."""
    left, alive = iter(held), 0

    async def ask_some() -> None:
        nonlocal alive
        for line, due_s in left:
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            with suppress(Failed):
                successful(await line.ask(_PROBE))
                alive += 1

    await together(ask_some() for _ in range(_OPENERS))
    return alive


def _file_limit() -> int:
    """How many files this process may have open; what it starts inherits the limit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
