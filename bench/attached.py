"""The server over engines that somebody else started: `python -m bench.attached`.

Everything between the client's socket and the engine's is what `reshore serve` runs; only the
launching of engines is left out. The engines come as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
import uvloop

from bench.servers import Attachment
from reshore.config import load
from reshore.engine.base import Address, LaunchPlan, State
from reshore.models.facts import Servable
from reshore.server.run import serve
from reshore.telemetry.logs import configure


class AttachedEngine:
    """Implements `EngineProcess` for a process that it neither starts nor stops."""

    def __init__(self, model: Servable, attachment: Attachment) -> None:
        self._model = model
        self._attachment = attachment
        self._state = State.STOPPED
        self._left = asyncio.Event()

    @property
    def model(self) -> Servable:
        return self._model

    @property
    def state(self) -> State:
        return self._state

    @property
    def address(self) -> Address:
        return self._attachment.address

    @property
    def slots(self) -> int:
        return self._attachment.slots

    @property
    def context_length(self) -> int:
        return self._attachment.context_length

    @property
    def memory_bytes(self) -> int:
        return self._attachment.memory_bytes

    @property
    def pid(self) -> int | None:
        return self._attachment.pid

    @property
    def log_tail(self) -> tuple[str, ...]:
        return ()

    async def start(self) -> None:
        self._state = State.READY

    async def stop(self) -> None:
        self._state = State.STOPPED
        self._left.set()

    async def wait_exit(self) -> int:
        await self._left.wait()
        return 0


class AttachedLauncher:
    """Implements `Launcher` by handing out the engines there are."""

    def __init__(self, attachments: list[Attachment]) -> None:
        self._attachments = {one.model: one for one in attachments}

    def key(self, model: Servable) -> str:
        return model.name

    def free_bytes(self) -> int:
        return 2 * sum(one.memory_bytes for one in self._attachments.values())

    def plan(self, model: Servable, budget_bytes: int) -> LaunchPlan:
        one = self._attachments[model.name]
        return LaunchPlan(
            context_length=one.context_length,
            slots=one.slots,
            batch=0,
            micro_batch=0,
            threads=0,
            gpu_layers=0,
            flash_attention=None,
            kv_cache_type="f16",
            embedding="embedding" in model.capabilities,
            pooling=None,
            weights_bytes=0,
            kv_bytes=0,
            compute_bytes=0,
        )

    def launch(self, model: Servable, plan: LaunchPlan) -> AttachedEngine:
        return AttachedEngine(model, self._attachments[model.name])


def main() -> None:
    attachments = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Attachment])
    configure("WARNING")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(load(), on_ready=lambda: None, launcher=AttachedLauncher(attachments)))


if __name__ == "__main__":
    main()
