"""Engines without processes: a test decides when one becomes ready, fails or crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path

from reshore.engine.base import Address, LaunchPlan, State
from reshore.errors import OutOfMemory, StartFailed
from reshore.models.facts import GgufFacts, Servable

MIB = 1024 * 1024


def fake_model(
    name: str = "tiny:latest",
    *,
    digest: str | None = None,
    block_count: int = 2,
    file: str | None = None,
) -> Servable:
    """A model that only fakes can serve: its file does not exist.

    Args:
        name: of the model.
        digest: of its manifest; made from the name if None.
        block_count: layers, for tests of what lies on a GPU.
        file: name of its file; models of one file share an engine. The digest if None.
    """
    digest = digest or name.encode().hex().ljust(64, "0")[:64]
    facts = GgufFacts(
        architecture="llama",
        name=name,
        quantization="Q4_1",
        parameter_count=1_000_000,
        context_length=2048,
        embedding_length=64,
        block_count=block_count,
        head_count=4,
        head_count_kv=(4,) * block_count,
        key_length=16,
        value_length=16,
        vocab_size=256,
        sliding_window=0,
        pooling=None,
        causal=True,
        chat_template=None,
        special_tokens={},
        layer_bytes=(MIB,) * block_count,
        other_bytes=MIB,
        file_bytes=(block_count + 1) * MIB,
        metadata={},
    )
    return Servable(
        name=name,
        digest=digest,
        model_path=Path("/nonexistent") / (file or digest),
        projector_path=None,
        facts=facts,
        capabilities=("completion",),
        parameters={},
        system=None,
        size=facts.file_bytes,
        modified_s=0.0,
    )


class FakeEngine:
    """An engine without a process.

    Args:
        model: what it pretends to serve.
        plan: what it was launched with.
        may_start: `start` waits for it; set from the beginning unless a test holds it back.
        start_error: raised by `start` instead of becoming ready.
        pid: made up; None once it has ended.
        watch: called after every change of state.
    """

    def __init__(
        self,
        model: Servable,
        plan: LaunchPlan,
        *,
        may_start: asyncio.Event | None = None,
        start_error: Exception | None = None,
        pid: int = 1_000_000,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.model = model
        self.plan = plan
        self.stops = 0
        self._may_start = may_start
        self._start_error = start_error
        self._pid = pid
        self._watch = watch
        self._state = State.STOPPED
        self._exit_code: int | None = None
        self._exited = asyncio.Event()

    @property
    def state(self) -> State:
        return self._state

    @property
    def address(self) -> Address:
        return Address("http://127.0.0.1:9", "fake")

    @property
    def slots(self) -> int:
        return self.plan.slots

    @property
    def context_length(self) -> int:
        return self.plan.context_length

    @property
    def memory_bytes(self) -> int:
        return self.plan.memory_bytes

    @property
    def pid(self) -> int | None:
        return self._pid if self.alive else None

    @property
    def log_tail(self) -> tuple[str, ...]:
        return ("fake engine",)

    @property
    def alive(self) -> bool:
        """Whether a real one would have a process now."""
        return self._state in (State.STARTING, State.READY, State.STOPPING)

    async def start(self) -> None:
        """Become ready once `may_start` is set, or raise `start_error`."""
        self._set(State.STARTING)
        try:
            if self._may_start is not None:
                await self._may_start.wait()
            else:
                await asyncio.sleep(0)
            if self._start_error is not None:
                raise self._start_error
        except BaseException:
            self._end(State.FAILED, code=-9)
            raise
        if self._state is not State.STARTING:
            raise StartFailed("crashed while it started", model=self.model.name)
        self._set(State.READY)

    async def stop(self) -> None:
        """End; a real process takes a moment, too."""
        self.stops += 1
        if self.alive:
            self._set(State.STOPPING)
            await asyncio.sleep(0)
            self._end(State.STOPPED, code=-15)

    async def wait_exit(self) -> int:
        await self._exited.wait()
        return self._exit_code or 0

    def crash(self, code: int = -9) -> None:
        """End as a real one does when it is killed."""
        self._end(State.FAILED, code=code)

    def _end(self, state: State, *, code: int) -> None:
        if not self._exited.is_set():
            self._exit_code = code
            self._exited.set()
            self._set(state)

    def _set(self, state: State) -> None:
        self._state = state
        self._watch()


class FakeLauncher:
    """Makes fake engines on a machine whose memory is a number.

    Attributes set by tests at any time: `start_errors` (model name to what `start` raises),
    `held` (model name to the event that lets it become ready). `engines` lists every engine that
    was made, in order; `most_alive` says how many were alive at once.

    Args:
        total_bytes: main memory of the machine; living engines take their plan's share of it.
        need_bytes: what a model needs per slot, by name; `default_bytes` for others.
        slots: per engine, fewer when memory is short.
    """

    def __init__(
        self,
        *,
        total_bytes: int = 1000 * MIB,
        need_bytes: Mapping[str, int] | None = None,
        default_bytes: int = MIB,
        slots: int = 2,
        gpu_layers: int = 0,
    ) -> None:
        self.engines: list[FakeEngine] = []
        self.most_alive = 0
        self.start_errors: dict[str, Exception] = {}
        self.held: dict[str, asyncio.Event] = {}
        self._total_bytes = total_bytes
        self._need_bytes = dict(need_bytes or {})
        self._default_bytes = default_bytes
        self._slots = slots
        self._gpu_layers = gpu_layers

    def alive(self) -> list[FakeEngine]:
        """The engines that a real machine would have processes of."""
        return [engine for engine in self.engines if engine.alive]

    def key(self, model: Servable) -> Hashable:
        return model.model_path, model.embeds

    def free_bytes(self) -> int:
        return self._total_bytes - sum(engine.memory_bytes for engine in self.alive())

    def plan(self, model: Servable, budget_bytes: int) -> LaunchPlan:
        need = self._need_bytes.get(model.name, self._default_bytes)
        slots = min(self._slots, budget_bytes // need)
        if slots < 1:
            raise OutOfMemory(
                f"'{model.name}' needs {need} bytes, but {max(0, budget_bytes)} are free. "
                "Unload other models.",
                model=model.name,
            )
        return LaunchPlan(
            context_length=2048,
            slots=slots,
            batch=512,
            micro_batch=512,
            threads=2,
            gpu_layers=self._gpu_layers,
            flash_attention=None,
            kv_cache_type="f16",
            embedding=False,
            pooling=None,
            weights_bytes=need * slots,
            kv_bytes=0,
            compute_bytes=0,
        )

    def launch(self, model: Servable, plan: LaunchPlan) -> FakeEngine:
        engine = FakeEngine(
            model,
            plan,
            may_start=self.held.get(model.name),
            start_error=self.start_errors.get(model.name),
            pid=1_000_000 + len(self.engines),
            watch=self._count,
        )
        self.engines.append(engine)
        return engine

    def _count(self) -> None:
        self.most_alive = max(self.most_alive, len(self.alive()))
