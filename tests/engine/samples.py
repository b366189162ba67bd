"""Models, settings and engines for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from reshore.config import Config, EchoConfig, EngineConfig
from reshore.engine.hardware import Hardware
from reshore.engine.launch import EngineLauncher
from reshore.engine.process import ProcessEngine
from reshore.models.facts import GgufFacts, Servable

GB = 10**9
HARDWARE = Hardware(cores=2, total_bytes=16 * GB, free_bytes=8 * GB)


def facts(**changes: Any) -> GgufFacts:
    """The header of SmolLM2-135M-Instruct in Q4_1, with changes."""
    smol = GgufFacts(
        architecture="llama",
        name="SmolLM2 135M Instruct",
        quantization="Q4_1",
        parameter_count=134_515_008,
        context_length=8192,
        embedding_length=576,
        block_count=30,
        head_count=9,
        head_count_kv=(3,) * 30,
        key_length=64,
        value_length=64,
        vocab_size=49152,
        sliding_window=0,
        pooling=None,
        causal=True,
        chat_template="chatml",
        special_tokens={},
        layer_bytes=(2_214_144,) * 30,
        other_bytes=30_152_448,
        file_bytes=98_362_432,
        metadata={"llama.feed_forward_length": 1536},
    )
    return msgspec.structs.replace(smol, **changes)


def encoder(**changes: Any) -> GgufFacts:
    """The header of a small BERT, with changes."""
    return facts(
        **{
            "architecture": "bert",
            "context_length": 512,
            "embedding_length": 384,
            "block_count": 6,
            "head_count": 12,
            "head_count_kv": (12,) * 6,
            "key_length": 32,
            "value_length": 32,
            "vocab_size": 30522,
            "pooling": 1,
            "causal": False,
            "chat_template": None,
            "layer_bytes": (3_550_000,) * 6,
            "other_bytes": 24_000_000,
            "metadata": {"bert.feed_forward_length": 1536},
        }
        | changes
    )


def servable(
    header: GgufFacts | None = None,
    *,
    path: Path = Path("tiny.gguf"),
    capabilities: tuple[str, ...] = ("completion",),
) -> Servable:
    return Servable(
        name="tiny:latest",
        digest="0" * 64,
        model_path=path,
        projector_path=None,
        facts=header or facts(context_length=256),
        capabilities=capabilities,
        parameters={},
        system=None,
        size=1,
        modified_s=0,
    )


def launcher(home: Path, kind: str = "echo", **settings: Any) -> EngineLauncher:
    engine = EngineConfig(kind=kind, **settings)  # type: ignore[arg-type]
    return EngineLauncher(Config(home=home, engine=engine), HARDWARE, home / "run")


def echo_engine(
    home: Path,
    knobs: EchoConfig | None = None,
    *,
    model: Servable | None = None,
    **settings: Any,
) -> ProcessEngine:
    """A scripted engine in state `stopped`."""
    model = model or servable()
    maker = launcher(home, echo=knobs or EchoConfig(), **settings)
    return maker.launch(model, maker.plan(model, GB))


@asynccontextmanager
async def running(engine: ProcessEngine) -> AsyncIterator[ProcessEngine]:
    """Start the engine, and leave no process behind."""
    try:
        await engine.start()
        yield engine
    finally:
        await engine.stop()


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
