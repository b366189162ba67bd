"""`[engine]`: how a model is run."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.numbers import Count


class EchoConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Knobs of the scripted engine (`engine.kind = "echo"`)."""

    tokens: Annotated[Count, Meta(description="tokens per answer when the request sets none")] = 16
    ttft_ms: Annotated[float, Meta(ge=0, description="pause before the first token")] = 0.0
    gap_ms: Annotated[float, Meta(ge=0, description="pause between tokens")] = 0.0
    load_ms: Annotated[float, Meta(ge=0, description="pause before the engine is ready")] = 0.0
    fault: Annotated[
        Literal["", "exit", "hang", "garbage", "cut", "error", "start"],
        Meta(
            description="what goes wrong: exit, hang, garbage, a cut connection or an error event "
            "mid-stream, or a failed start"
        ),
    ] = ""
    fault_after: Annotated[Count, Meta(description="tokens sent before the fault")] = 3


class EngineConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is run."""

    kind: Annotated[
        Literal["wheel", "llama-server", "echo"],
        Meta(
            description="wheel: llama.cpp from the xllamacpp wheel; llama-server: an executable of "
            "yours (GPU builds); echo: scripted answers for tests"
        ),
    ] = "wheel"
    path: Annotated[str, Meta(description="the llama-server executable, or its name on PATH")] = (
        "llama-server"
    )
    context_length: Annotated[
        Count, Meta(description="tokens per slot; 0: the trained length, at most 8192")
    ] = 0
    parallel: Annotated[Count, Meta(description="slots per engine; 0: 4, fewer if memory asks")] = 0
    threads: Annotated[Count, Meta(description="threads per engine; 0: physical cores")] = 0
    batch: Annotated[Count, Meta(description="tokens per prefill batch; 0: 2048")] = 0
    gpu_layers: Annotated[int, Meta(ge=-1, description="layers on GPUs; -1: as many as fit")] = -1
    flash_attention: Annotated[
        Literal["auto", "on", "off"], Meta(description="flash attention")
    ] = "auto"
    kv_cache_type: Annotated[
        Literal["f16", "q8_0", "q4_0"],
        Meta(description="precision of the KV cache; the quantised ones need flash attention"),
    ] = "f16"
    load_timeout_s: Annotated[Seconds, Meta(description="until an engine must be ready")] = Seconds(
        300
    )
    token_timeout_s: Annotated[
        Seconds,
        Meta(description="without a token or a batch of the prompt for this long, it is dead"),
    ] = Seconds(300)
    turn_ms: Annotated[
        float,
        Meta(ge=0, description="length of a turn when several engines generate; 0: no turns"),
    ] = 150.0
    echo: EchoConfig = EchoConfig()
