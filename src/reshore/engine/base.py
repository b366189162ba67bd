"""The contract that every engine keeps, whatever runs behind it."""

from __future__ import annotations

from collections.abc import Hashable
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from reshore.models.facts import Servable


class State(StrEnum):
    """Life of an engine.

        stopped ─start→ starting ─healthy→ ready ─stop→ stopping ─exit→ stopped
                            └──exit, timeout──┴──exit──→ failed

    `failed` is final: the pool makes a new engine instead of restarting one.
    """

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


class Address(Struct, frozen=True):
    """Where a ready engine listens; `key` goes into `Authorization: Bearer`, never into a log."""

    url: str
    key: str


class Engine(Protocol):
    """An engine as its requests see it: llama.cpp's HTTP API on loopback.

    Endpoints it answers: `/health`, `/v1/chat/completions`, `/v1/chat/completions/input_tokens`,
    `/completion`, `/infill`, `/v1/embeddings`, `/tokenize`, `/detokenize`, `/apply-template`,
    `/slots`, `/props`.
    """

    @property
    def model(self) -> Servable:
        """What the requests ask for; other models may share the engine."""
        ...

    @property
    def state(self) -> State: ...

    @property
    def address(self) -> Address:
        """Valid from `ready` on."""
        ...

    @property
    def slots(self) -> int:
        """Requests the engine decodes at once."""
        ...

    @property
    def context_length(self) -> int:
        """Tokens per slot."""
        ...

    @property
    def log_tail(self) -> tuple[str, ...]:
        """The last log lines, oldest first."""
        ...

    async def stop(self) -> None:
        """End the process and wait for it; from any state, more than once if need be."""
        ...

    async def wait_exit(self) -> int:
        """Wait until the process has ended; its exit code (negative: signal)."""
        ...


class EngineProcess(Engine, Protocol):
    """An engine as the pool sees it; `model` is the one that it was started for."""

    @property
    def memory_bytes(self) -> int:
        """What the launch plan expects it to use."""
        ...

    @property
    def pid(self) -> int | None: ...

    async def start(self) -> None:
        """Start and wait until ready.

        Raises:
            StartFailed: it exited or was not ready in time; carries the last log lines.
        Cancellation kills the process.
        """
        ...


class LaunchPlan(Struct, frozen=True, kw_only=True):
    """Everything an engine is started with, computed before anything runs.

    Attributes:
        context_length: tokens per slot; the engine allocates `context_length * slots`.
        batch, micro_batch: tokens per logical and physical prefill batch.
        gpu_layers: layers offloaded; 0 on a machine without a GPU.
        flash_attention: None leaves the choice to the engine.
        embedding: the engine embeds instead of generating.
        weights_bytes, kv_bytes, compute_bytes: expected memory, over all devices.
        prompt_cache_bytes: main memory for prompts whose slot was given to another one.
        process_bytes: the process itself: interpreter, library, vocabulary.
        gpu_bytes: the part of all that lies on GPUs with memory of their own.
        tensor_split: layers per GPU, in the order of the devices; () for one GPU or none.
        notices: what was lowered or clamped and why, for logs and `reshore ps`.
    """

    context_length: int
    slots: int
    batch: int
    micro_batch: int
    threads: int
    gpu_layers: int
    flash_attention: bool | None
    kv_cache_type: str
    embedding: bool
    pooling: int | None
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    prompt_cache_bytes: int = 0
    process_bytes: int = 0
    gpu_bytes: int = 0
    tensor_split: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """Expected main memory of the engine process."""
        everything = self.weights_bytes + self.kv_bytes + self.compute_bytes
        return everything + self.prompt_cache_bytes + self.process_bytes - self.gpu_bytes


class Launcher(Protocol):
    """Plans and makes engines; the pool decides when."""

    def key(self, model: Servable) -> Hashable:
        """What an engine of the model depends on: models with equal keys share one."""
        ...

    def free_bytes(self) -> int:
        """Main memory that is free now."""
        ...

    def plan(self, model: Servable, budget_bytes: int) -> LaunchPlan:
        """The best plan for `model` within `budget_bytes` of main memory.

        Raises:
            OutOfMemory: not even the smallest plan fits; says how much is needed.
        """
        ...

    def launch(self, model: Servable, plan: LaunchPlan) -> EngineProcess:
        """An engine in state `stopped`, ready for `start()`."""
        ...
