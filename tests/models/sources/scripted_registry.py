"""A registry on loopback that does what a test says, also what no registry should."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from reshore.models.manifest import CONFIG_TYPE, MANIFEST_TYPE, MODEL_TYPE

Reply = web.StreamResponse
Handler = Callable[[web.Request], Coroutine[Any, Any, Reply]]
# May answer a request in the place of the registry; None lets it answer itself.
Fault = Callable[[web.Request], Coroutine[Any, Any, Reply | None]]

_CONFIG = b'{"model_format":"gguf"}'


def sha256(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass
class ScriptedRegistry:
    """Serves one model `ns/model:tag`. `seen` is every request: path and Range header."""

    model: bytes
    url: str = ""
    fault: Fault | None = None
    manifest: bytes = b""
    seen: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.blobs = {sha256(_CONFIG): _CONFIG, sha256(self.model): self.model}
        self.manifest = self.manifest_of((CONFIG_TYPE, _CONFIG), (MODEL_TYPE, self.model))

    def add_layer(self, kind: str, body: bytes) -> None:
        """The model has this one, too, and no other beside its weights."""
        self.blobs[sha256(body)] = body
        self.manifest = self.manifest_of(
            (CONFIG_TYPE, _CONFIG), (MODEL_TYPE, self.model), (kind, body)
        )

    @property
    def name(self) -> str:
        return f"{self.url}/ns/model:tag"

    @property
    def digest(self) -> str:
        return sha256(self.model)

    @property
    def ranges(self) -> list[str]:
        """The Range headers of the requests for the model's blob."""
        return [asked for path, asked in self.seen if path.endswith(self.digest)]

    def manifest_of(self, *parts: tuple[str, bytes], **changes: object) -> bytes:
        config, *layers = (
            {"mediaType": kind, "digest": sha256(body), "size": len(body)} for kind, body in parts
        )
        whole = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config,
            "layers": layers,
        }
        return json.dumps(whole | changes).encode()

    async def answer(self, request: web.Request) -> Reply:
        self.seen.append((request.path, request.headers.get("Range", "")))
        if self.fault is not None and (reply := await self.fault(request)) is not None:
            return reply
        if request.path == "/v2/ns/model/manifests/tag":
            assert request.headers["Accept"] == MANIFEST_TYPE
            return web.Response(body=self.manifest)
        body = self.blobs.get(request.path.removeprefix("/v2/ns/model/blobs/"))
        return web.Response(status=404) if body is None else ranged(request, body)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[ScriptedRegistry]:
        async with listening(self.answer) as self.url:
            yield self


def asked_range(request: web.Request, size: int) -> tuple[int, int] | None:
    """The half-open range that a request names, None for the whole file."""
    match = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.headers.get("Range", ""))
    if match is None:
        return None
    return int(match[1]), int(match[2]) + 1 if match[2] else size


def ranged(request: web.Request, body: bytes) -> Reply:
    """The whole body, or the piece that was asked for."""
    asked = asked_range(request, len(body))
    if asked is None:
        return web.Response(body=body)
    start, end = asked
    if start >= len(body):
        return web.Response(status=416)
    span = f"bytes {start}-{end - 1}/{len(body)}"
    return web.Response(status=206, body=body[start:end], headers={"Content-Range": span})


async def cut_after(request: web.Request, body: bytes, count: int) -> Reply:
    """Announce what was asked for, send `count` bytes of it and drop the connection."""
    asked = asked_range(request, len(body))
    start, end = asked or (0, len(body))
    reply = web.StreamResponse(status=206 if asked else 200)
    reply.content_length = end - start
    if asked:
        reply.headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
    await reply.prepare(request)
    if count:
        await reply.write(body[start : min(start + count, end)])
    assert request.transport is not None
    request.transport.close()
    return reply


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    """A server on a free port of loopback; its address."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
