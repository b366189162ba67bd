"""Models that reshore made itself, on the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from reshore.config import load
from reshore.models.create import create
from reshore.models.recipe import Recipe
from reshore.models.store import Store
from tests.models.tiny_vision import write_tiny_vision
from tests.server.harness import Server, running

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
async def store(home: Path, tmp_path: Path) -> Store:
    """Has the model `full`, of random numbers in 32 bits."""
    store = Store(home / "models")
    model, _ = write_tiny_vision(tmp_path)
    await create(store, "full", Recipe(paths=(model,)))
    return store


def write_lora(path: Path, width: int = 64, rank: int = 4) -> Path:
    """An adapter of the first layer's query matrix that is hard to overlook."""
    random = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 64.0)
    for name, shape in (("lora_a", (rank, width)), ("lora_b", (width, rank))):
        tensor = random.standard_normal(shape).astype(np.float32)
        writer.add_tensor(f"blk.0.attn_output.weight.{name}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def first_token(server: Server, model: str) -> dict[str, float]:
    """The likeliest first tokens after a prompt, with their log-probabilities."""
    body: dict[str, Any] = {
        "model": model,
        "prompt": "12",
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 5,
    }
    response, reply = await server.post("/v1/completions", body)
    assert response.status == 200, reply
    found: dict[str, float] = reply["choices"][0]["logprobs"]["top_logprobs"][0]
    return found


@pytest.mark.parametrize(("level", "apart"), [("Q8_0", 0.1), ("Q4_0", 1.5)])
async def test_a_quantised_model_says_nearly_the_same(
    home: Path, store: Store, level: str, apart: float
) -> None:
    await create(store, "small", Recipe(base="full", quantize=level))
    async with running(load(env={"RESHORE_HOME": str(home)})) as server:
        full, small = await first_token(server, "full"), await first_token(server, "small")
    shared = full.keys() & small.keys()
    assert shared
    assert all(abs(full[token] - small[token]) < apart for token in shared)


async def test_a_lora_adapter_changes_what_is_said(
    home: Path, store: Store, tmp_path: Path
) -> None:
    adapter = write_lora(tmp_path / "lora.gguf")
    await create(store, "tuned", Recipe(base="full", adapter_paths=(adapter,)))
    async with running(load(env={"RESHORE_HOME": str(home)})) as server:
        full, tuned = await first_token(server, "full"), await first_token(server, "tuned")
    shared = full.keys() & tuned.keys()
    assert len(shared) < len(full) or any(abs(full[t] - tuned[t]) > 0.1 for t in shared)
