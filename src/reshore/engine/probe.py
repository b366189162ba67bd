"""Asking an engine on loopback whether it is ready, with nothing but a socket."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

_TIMEOUT_S = 2.0
_PAUSE_S = 0.05


async def wait_until_answering(url: str, key: str) -> None:
    """Ask again and again; for callers that have a timeout and watch the process."""
    while True:
        if await answers(url, key):
            return
        await asyncio.sleep(_PAUSE_S)


async def answers(url: str, key: str) -> bool:
    """Whether the engine at `url` has loaded its model and knows `key`.

    `/props` is behind the key and, unlike `/health`, is not answered by a stranger on the port;
    while the model loads, llama-server answers 503 to everything.
    """
    parts = urlsplit(url)
    request = (
        f"GET /props HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(request.encode("ascii"))
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return status.split(b" ")[1:2] == [b"200"]
