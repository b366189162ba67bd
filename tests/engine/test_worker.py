"""The wheel's worker: its parameters, its failures in words, and (slow) real answers."""

from __future__ import annotations

import enum
import math
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest

from reshore.config import EchoConfig
from reshore.engine.base import LaunchPlan, State
from reshore.engine.child import Launch
from reshore.engine.process import ProcessEngine
from reshore.engine.worker import parameters, pooling
from reshore.errors import StartFailed
from reshore.models.store import Store
from tests.engine.samples import GB, alive, encoder, launcher, running, servable


class Flash(enum.Enum):
    LLAMA_FLASH_ATTN_TYPE_AUTO = -1
    LLAMA_FLASH_ATTN_TYPE_DISABLED = 0
    LLAMA_FLASH_ATTN_TYPE_ENABLED = 1


class Kind(enum.Enum):
    GGML_TYPE_F16 = 1
    GGML_TYPE_Q8_0 = 8


class Pooling(enum.IntEnum):
    MEAN = 1
    CLS = 2


def library() -> Any:
    """The part of xllamacpp's module that parameters are made with."""

    def params() -> SimpleNamespace:
        return SimpleNamespace(
            model=SimpleNamespace(path=""),
            mmproj=SimpleNamespace(path=""),
            cpuparams=SimpleNamespace(n_threads=0),
            cpuparams_batch=SimpleNamespace(n_threads=0),
        )

    return SimpleNamespace(
        CommonParams=params,
        llama_flash_attn_type=Flash,
        ggml_type=Kind,
        llama_pooling_type=Pooling,
    )


def launch(plan: LaunchPlan, **changes: Any) -> Launch:
    made = Launch(
        parent_pid=1,
        key="k",
        name="tiny",
        model_path="/tiny.gguf",
        projector_path=None,
        plan=plan,
        echo=EchoConfig(),
        embedding_length=8,
    )
    return msgspec.structs.replace(made, **changes)


def test_parameters_follow_the_plan(tmp_path: Path) -> None:
    plan = launcher(tmp_path, kv_cache_type="q8_0", threads=3).plan(servable(), GB)
    made = parameters(library(), launch(plan, projector_path="/mm.gguf"))
    assert (made.n_ctx, made.n_parallel) == (256 * 4, 4)
    assert (made.cpuparams.n_threads, made.cpuparams_batch.n_threads) == (3, 3)
    assert made.cache_type_k is made.cache_type_v is Kind.GGML_TYPE_Q8_0
    assert made.flash_attn_type is Flash.LLAMA_FLASH_ATTN_TYPE_ENABLED
    assert (made.model.path, made.mmproj.path) == ("/tiny.gguf", "/mm.gguf")
    assert made.embedding is False


def test_engines_are_private_and_offline(tmp_path: Path) -> None:
    made = parameters(library(), launch(launcher(tmp_path).plan(servable(), GB)))
    assert made.hostnames == ["127.0.0.1"]
    assert (made.port, made.api_keys, made.offline, made.ui) == (0, ["k"], True, False)


def test_an_embedder_pools_as_its_file_says_or_by_the_mean(tmp_path: Path) -> None:
    model = servable(encoder(pooling=2), capabilities=("embedding",))
    made = parameters(library(), launch(launcher(tmp_path).plan(model, GB)))
    assert made.embedding is True
    assert made.pooling_type is Pooling.CLS
    assert pooling(None) == pooling(0) == 1


def test_layers_are_split_over_gpus(tmp_path: Path) -> None:
    plan = launcher(tmp_path).plan(servable(), GB)
    plan = msgspec.structs.replace(plan, gpu_layers=8, tensor_split=(3, 5))
    made = parameters(library(), launch(plan))
    assert (made.n_gpu_layers, made.tensor_split) == (8, [3.0, 5.0])


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file: No such file')",
            r"libgomp\.so\.1.*apt-get install libgomp1",
        ),
        (
            "class CommonParams: pass\nraise OSError('something odd')",
            "cannot be loaded: something odd",
        ),
    ],
)
async def test_a_library_that_cannot_be_loaded_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, words: str
) -> None:
    (tmp_path / "xllamacpp.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    maker, model = launcher(tmp_path, "wheel"), servable()
    engine = maker.launch(model, maker.plan(model, GB))
    with pytest.raises(StartFailed, match=words) as failed:
        await engine.start()
    assert "\n" not in str(failed.value)
    assert engine.state is State.FAILED


def real_engine(starter_home: Path, home: Path, name: str, **settings: Any) -> ProcessEngine:
    model = Store(starter_home / "models").resolve(name)
    maker = launcher(home, "wheel", **settings)
    return maker.launch(model, maker.plan(model, 4 * GB))


async def ask(engine: ProcessEngine, path: str, **body: Any) -> Any:
    headers = {"Authorization": f"Bearer {engine.address.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(engine.address.url + path, json=body) as reply,
    ):
        assert reply.status == 200
        return await reply.json()


@pytest.mark.slow
async def test_a_real_model_answers(starter_home: Path, tmp_path: Path) -> None:
    engine = real_engine(starter_home, tmp_path, "smollm2:135m", context_length=512)
    async with running(engine):
        body = await ask(
            engine,
            "/v1/chat/completions",
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=4,
            n=4,
        )
        assert len(body["choices"]) == 4
        assert all(choice["message"]["content"] for choice in body["choices"])
        assert engine.pid is not None
        pid = engine.pid
    assert engine.state is State.STOPPED
    assert not alive(pid)


@pytest.mark.slow
async def test_a_real_model_embeds_its_longest_input(starter_home: Path, tmp_path: Path) -> None:
    async with running(real_engine(starter_home, tmp_path, "all-minilm")) as engine:
        length = engine.context_length
        body = await ask(engine, "/v1/embeddings", input=["word " * (length - 2), "a"])
        for item in body["data"]:
            assert math.hypot(*item["embedding"]) == pytest.approx(1.0, abs=1e-3)
        assert body["usage"]["prompt_tokens"] > length


@pytest.mark.slow
async def test_a_real_engine_killed_is_failed(starter_home: Path, tmp_path: Path) -> None:
    engine = real_engine(starter_home, tmp_path, "smollm2:135m", context_length=512)
    async with running(engine):
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        assert await engine.wait_exit() == -signal.SIGKILL
        assert engine.state is State.FAILED


@pytest.mark.slow
async def test_a_file_that_is_no_model_is_a_failed_start_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"junk")
    maker, model = launcher(tmp_path, "wheel"), servable(path=path)
    with pytest.raises(StartFailed, match=r"could not load .*junk\.gguf") as failed:
        await maker.launch(model, maker.plan(model, GB)).start()
    assert any("invalid magic" in line for line in failed.value.log_tail)
