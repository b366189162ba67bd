"""The plan's memory against the resident size of real engines that have done some work.

Buffers are resident once they have been used, so each engine first sees a full batch of tokens.
The prompt cache, empty at first, is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from reshore.backends.embedder import as_embedder
from reshore.engine.process import ProcessEngine
from reshore.models.store import Store
from tests.engine.samples import GB, launcher, running

pytestmark = pytest.mark.slow

TOLERANCE = 0.15
EMBEDDING = " embedding"


def real_engine(starter_home: Path, home: Path, name: str, **settings: Any) -> ProcessEngine:
    model = Store(starter_home / "models").resolve(name.removesuffix(EMBEDDING))
    if name.endswith(EMBEDDING):
        model, _ = as_embedder(model)
    maker = launcher(home, "wheel", **settings)
    return maker.launch(model, maker.plan(model, 4 * GB))


async def work(engine: ProcessEngine) -> None:
    """Let the engine see as many tokens as it takes at once."""
    text = "word " * (engine.plan.micro_batch - 40)
    path, body = "/completion", {"prompt": text, "n_predict": 2}
    if engine.plan.embedding:
        path, body = "/v1/embeddings", {"input": text}
    headers = {"Authorization": f"Bearer {engine.address.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(engine.address.url + path, json=body) as reply,
    ):
        assert reply.status == 200


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("smollm2:135m", {"context_length": 512}),
        ("smollm2:135m", {"context_length": 4096}),
        ("smollm2:135m", {"context_length": 4096, "kv_cache_type": "q8_0"}),
        ("all-minilm", {}),
        ("smollm2:135m" + EMBEDDING, {"context_length": 1024}),
    ],
)
async def test_the_plan_is_near_the_resident_size_and_not_far_below_it(
    starter_home: Path, tmp_path: Path, model: str, settings: dict[str, Any]
) -> None:
    async with running(real_engine(starter_home, tmp_path, model, **settings)) as engine:
        await work(engine)
        resident = psutil.Process(engine.pid).memory_info().rss
    planned = engine.memory_bytes - engine.plan.prompt_cache_bytes
    print(f"{model} {settings}: plan {planned / 1e6:.0f} MB, resident {resident / 1e6:.0f} MB")  # noqa: T201
    assert planned >= resident * (1 - TOLERANCE / 3)
    assert planned <= resident * (1 + TOLERANCE)
