"""A registry on loopback that models are pushed to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.models.sources.scripted_registry import Fault, Reply, listening, sha256


@dataclass
class TakingRegistry:
    """Takes blobs in parts and manifests whose blobs it has; strict about the protocol."""

    url: str = ""
    fault: Fault | None = None
    blobs: dict[str, bytes] = field(default_factory=dict)
    mountable: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    async def answer(self, request: web.Request) -> Reply:
        span = request.headers.get("Content-Range", "")
        self.seen.append((request.method, request.path, span))
        if self.fault is not None and (reply := await self.fault(request)) is not None:
            return reply
        path = request.path
        if match := re.fullmatch(r"/v2/[^/]+/[^/]+/blobs/(sha256:[0-9a-f]{64})", path):
            return web.Response(status=200 if match[1] in self.blobs else 404)
        if path.endswith("/blobs/uploads/") and request.method == "POST":
            return self._begin(request)
        if match := re.fullmatch(r"/uploads/([0-9]+)/([0-9]+)", path):
            return await self._go_on(request, match[1], int(match[2]))
        if match := re.fullmatch(r"/v2/([^/]+/[^/]+)/manifests/([^/]+)", path):
            return await self._name(request, f"{match[1]}:{match[2]}")
        return web.Response(status=404)

    def _begin(self, request: web.Request) -> Reply:
        mount = (request.query.get("from", ""), request.query.get("mount", ""))
        if mount in self.mountable:
            self.blobs[mount[1]] = self.mountable[mount]
            return web.Response(status=201)
        number = str(len(self.uploads))
        self.uploads[number] = bytearray()
        return web.Response(status=202, headers={"Location": f"/uploads/{number}/0"})

    async def _go_on(self, request: web.Request, number: str, position: int) -> Reply:
        body = await request.read()
        upload = self.uploads[number]
        if request.method == "PATCH":
            wanted = f"{len(upload)}-{len(upload) + len(body) - 1}"
            if request.headers["Content-Range"] != wanted or position != len(upload):
                return web.Response(status=416)
            upload += body
            place = f"/uploads/{number}/{len(upload)}"
            return web.Response(status=202, headers={"Location": place})
        digest = request.query["digest"]
        if sha256(bytes(upload)) != digest or position != len(upload):
            return web.Response(status=400, text="digest does not fit")
        self.blobs[digest] = bytes(upload)
        return web.Response(status=201)

    async def _name(self, request: web.Request, name: str) -> Reply:
        assert "manifest.v2+json" in request.headers["Content-Type"]
        body = await request.read()
        if not set(re.findall(rb"sha256:[0-9a-f]{64}", body)) <= {d.encode() for d in self.blobs}:
            return web.Response(status=400, text="blob unknown")
        self.manifests[name] = body
        return web.Response(status=201)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[TakingRegistry]:
        async with listening(self.answer) as self.url:
            yield self
