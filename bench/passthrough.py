"""A pass-through: uvicorn and aiohttp, a raw ASGI app, bytes as they come. The yardstick of the
gateway's CPU per chunk; it looks at nothing and promises nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import msgspec
import uvicorn
from msgspec import Struct


class Upstream(Struct, frozen=True):
    """Where to pass requests on to, and the port to listen on."""

    url: str
    key: str
    port: int


class PassThrough:
    """An ASGI app; `/readyz` it answers itself."""

    def __init__(self, upstream: Upstream) -> None:
        self._url = upstream.url
        self._headers = {
            "Authorization": f"Bearer {upstream.key}",
            "Content-Type": "application/json",
        }
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/readyz":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        url = self._url + scope["path"]
        async with self._session.post(url, data=body, headers=self._headers) as response:
            kind = response.headers["content-type"].encode()
            headers = [(b"content-type", kind)]
            await send(
                {"type": "http.response.start", "status": response.status, "headers": headers}
            )
            async for data in response.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    upstream = msgspec.json.decode(sys.stdin.buffer.read(), type=Upstream)
    uvicorn.run(
        PassThrough(upstream),
        port=upstream.port,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
