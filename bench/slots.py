"""How soon an engine is idle after its clients have left."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

from bench.load import Bodies, busy_slots
from bench.servers import Server

_CLIENTS = 32
_TOKENS = 4000  # more than can be generated before they leave
_POLL_S = 0.002
_CALM = 5  # polls in a row without work: nothing that waited has slipped in
_GIVEN_UP_S = 20.0


async def slot_free_ms(
    session: aiohttp.ClientSession, gateway: Server, direct: Server, bodies: Bodies, *, stream: bool
) -> float:
    """Milliseconds from when all clients hang up until the engine works no more.

    The engine is asked directly. As many clients generate as it has slots; the others wait in the
    gateway, and must not begin when those before them leave.

    Raises:
        SystemExit: the engine was not idle after 20 s.
    """
    async with _hanging(gateway, bodies, stream=stream) as writers:
        while not await busy_slots(session, direct):  # noqa: ASYNC110 (it is another process)
            await asyncio.sleep(_POLL_S)
        await asyncio.sleep(1.0)  # in the middle of decoding, prompts long read
        for writer in writers:
            writer.transport.abort()
        left = time.perf_counter()
        return (await _idle_since(session, direct) - left) * 1000


async def _idle_since(session: aiohttp.ClientSession, direct: Server) -> float:
    given_up = time.perf_counter() + _GIVEN_UP_S
    calm, since = 0, 0.0
    while calm < _CALM:
        if await busy_slots(session, direct):
            calm = 0
            if time.perf_counter() > given_up:
                raise SystemExit("the engine still generates for clients that have left")
        else:
            since = since if calm else time.perf_counter()
            calm += 1
        await asyncio.sleep(_POLL_S)
    return since


@asynccontextmanager
async def _hanging(
    gateway: Server, bodies: Bodies, *, stream: bool
) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Clients that have sent a request and read nothing of the answer but what the kernel takes."""
    address = urlsplit(gateway.url)
    writers = []
    try:
        for _ in range(_CLIENTS):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            writers.append(writer)
            body = json.dumps(bodies.chat(words=10, tokens=_TOKENS, stream=stream)).encode()
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
        yield writers
    finally:
        for writer in writers:
            writer.transport.abort()
