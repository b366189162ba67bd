"""Engines for benches: planned and started as the server does, with one variable changed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

from reshore.config import Config, EngineConfig
from reshore.engine.base import Engine
from reshore.engine.hardware import detect
from reshore.engine.launch import EngineLauncher
from reshore.models.facts import Servable
from reshore.models.gguf import read_facts

_BUDGET_BYTES = 2 << 30
_SETTINGS = EngineConfig(context_length=2048, parallel=1)
_PROMPT = "The history of the city begins with"


def file_model(path: Path) -> Servable:
    """A GGUF file as if it were installed."""
    return Servable(
        name=path.stem,
        digest="",
        model_path=path,
        projector_path=None,
        facts=read_facts(path),
        capabilities=("completion",),
        parameters={},
        system=None,
        size=path.stat().st_size,
        modified_s=0.0,
    )


@asynccontextmanager
async def engine(model: Servable, variables: dict[str, str]) -> AsyncIterator[Engine]:
    """An engine that serves the model, with these variables over the usual ones."""
    with tempfile.TemporaryDirectory() as folder:
        config = Config(home=Path(folder), engine=_SETTINGS)
        launcher = EngineLauncher(config, detect(), Path(folder))
        made = launcher.launch(model, launcher.plan(model, _BUDGET_BYTES))
        try:
            with _environment(variables):
                await made.start()
            yield made
        finally:
            await made.stop()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for as long as an engine starts; a launcher hands its own environment on."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)


async def tokens(one: Engine, session: aiohttp.ClientSession) -> AsyncIterator[None]:
    """Generate without end, one item a token; leaving ends the generation."""
    body = {
        "prompt": _PROMPT,
        "n_predict": 1500,
        "ignore_eos": True,
        "stream": True,
        "temperature": 0,
    }
    headers = {"Authorization": f"Bearer {one.address.key}"}
    async with session.post(f"{one.address.url}/completion", json=body, headers=headers) as reply:
        reply.raise_for_status()
        async for line in reply.content:
            if line.startswith(b"data: ") and json.loads(line[6:])["tokens"]:
                yield None
