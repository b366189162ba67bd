"""Engines for benches: started as the server starts them, with one variable changed."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from reshore.config import EchoConfig, EngineConfig
from reshore.engine.child import Launch, Ready
from reshore.engine.environment import child_environment
from reshore.engine.hardware import detect
from reshore.engine.plan import make_plan
from reshore.models.facts import GgufFacts

_BUDGET_BYTES = 2 << 30
_SETTINGS = EngineConfig(context_length=2048, parallel=1)
_PROMPT = "The history of the city begins with"


class BenchEngine:
    """A running worker process and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, key: str) -> None:
        self._process = process
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.returncode is None else None

    async def tokens(self, session: aiohttp.ClientSession) -> AsyncIterator[None]:
        """Generate without end, one item a token; leaving ends the generation."""
        body = {
            "prompt": _PROMPT,
            "n_predict": 1500,
            "ignore_eos": True,
            "stream": True,
            "temperature": 0,
        }
        post = session.post(f"{self._url}/completion", json=body, headers=self._headers)
        async with post as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: ") and json.loads(line[6:])["tokens"]:
                    yield None


@asynccontextmanager
async def engine(
    path: Path, facts: GgufFacts, environment: dict[str, str]
) -> AsyncIterator[BenchEngine]:
    """A worker process that serves the file, with these variables over the usual ones."""
    plan = make_plan(facts, _SETTINGS, detect(), budget_bytes=_BUDGET_BYTES, embedding=False)
    launch = Launch(
        parent_pid=os.getpid(),
        key=secrets.token_hex(16),
        name=path.stem,
        model_path=str(path),
        projector_path=None,
        plan=plan,
        echo=EchoConfig(),
        embedding_length=facts.embedding_length,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "reshore.engine.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=child_environment() | environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(launch) + b"\n")
        line = await process.stdout.readline()
        ready = msgspec.json.decode(line, type=Ready)
        if ready.url is None:
            raise SystemExit(f"the engine did not start: {ready.error}")
        yield BenchEngine(process, ready.url, launch.key)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
