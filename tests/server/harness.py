"""A real server on a real socket over the scripted engine, in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from reshore.config import Config, load
from reshore.models.assemble import assemble
from reshore.models.manifest import MODEL_TYPE
from reshore.models.names import parse_name
from reshore.models.store import Store
from reshore.server.app import App, create_app
from reshore.types import Outcome
from tests.models.tiny import write_tiny_gguf

MODEL = "tiny:latest"


def install(home: Path, name: str, **options: Any) -> None:
    """Put a tiny GGUF into the store of `home` under `name`."""
    store = Store(home / "models")
    path = write_tiny_gguf(home / "tiny.gguf", **options)
    layer = store.blobs.add([path.read_bytes()], MODEL_TYPE)
    assemble(store, parse_name(name), layer, source="file:tiny.gguf")


class Server:
    """A running server, and what it has recorded."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._recorded = asyncio.Event()

    def serves(self, url: str, app: App) -> None:
        """From now on requests can be sent."""
        self.url = url
        self.app = app
        self.session = aiohttp.ClientSession()

    async def recorded(self, count: int) -> None:
        """Wait until so many requests have ended."""
        async with asyncio.timeout(10):
            while len(self.outcomes) < count:
                await self._recorded.wait()
                self._recorded.clear()

    def record(self, outcome: Outcome) -> None:
        """Take what the server records."""
        self.outcomes.append(outcome)
        self._recorded.set()

    async def post(
        self, path: str, body: Any, **kwargs: Any
    ) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
        """Post JSON (bytes go as they are) and read a JSON reply."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | kwargs.pop("headers", {})
        async with self.session.post(
            self.url + path, data=data, headers=headers, **kwargs
        ) as response:
            return response, json.loads(await response.read())

    async def chat(self, content: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The reply to one user message; a dict is a directive to the scripted engine."""
        response, reply = await self.post("/v1/chat/completions", chat_body(content, **fields))
        assert response.status == 200, reply
        return reply

    async def refusal(self, path: str, body: Any, status: int = 400) -> dict[str, Any]:
        """The error object of a request that must fail with `status`."""
        response, reply = await self.post(path, body)
        assert response.status == status, reply
        assert set(reply["error"]) == {"message", "type", "param", "code"}
        error: dict[str, Any] = reply["error"]
        return error

    async def stream(self, path: str, body: dict[str, Any]) -> list[str]:
        """The payloads of a streamed reply, `[DONE]` included."""
        async with self.session.post(self.url + path, json=body | {"stream": True}) as response:
            assert response.status == 200, await response.text()
            text = await response.text()
        return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


def chat_body(content: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
    if isinstance(content, dict):
        content = "/echo " + json.dumps(content)
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **fields}


def echo_config(home: Path, **flags: Any) -> Config:
    """Settings over the scripted engine. Without a ledger, which would take longer than a test."""
    given = {"engine.kind": "echo", "ledger.enabled": False} | flags
    return load(env={"RESHORE_HOME": str(home)}, flags=given)


@asynccontextmanager
async def running(
    config: Config, *, admin: bool = False, env: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """Serve `config` on a free port until the context ends; `admin` serves the admin app."""
    running = Server()
    async with create_app(config, record=running.record, env=env or {}) as app:
        # As `server.listen` makes it: without a named protocol each reply would take 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        server = _Uvicorn(
            uvicorn.Config(
                app.admin if admin else app.public,
                lifespan="off",
                log_config=None,
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        running.serves(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        try:
            yield running
        finally:
            await running.session.close()
            server.should_exit = True
            await task


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The test runner keeps its own handlers."""
        yield
