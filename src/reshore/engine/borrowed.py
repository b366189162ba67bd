"""An engine that several models share, as the requests of one of them see it."""

from __future__ import annotations

from reshore.engine.base import Address, Engine, State
from reshore.models.facts import Servable


class Borrowed:
    """Implements `Engine`: another one under a model of its own name, prompt and parameters."""

    def __init__(self, engine: Engine, model: Servable) -> None:
        self._engine = engine
        self._model = model

    @property
    def model(self) -> Servable:
        return self._model

    @property
    def state(self) -> State:
        return self._engine.state

    @property
    def address(self) -> Address:
        return self._engine.address

    @property
    def slots(self) -> int:
        return self._engine.slots

    @property
    def context_length(self) -> int:
        return self._engine.context_length

    @property
    def log_tail(self) -> tuple[str, ...]:
        return self._engine.log_tail

    async def stop(self) -> None:
        await self._engine.stop()

    async def wait_exit(self) -> int:
        return await self._engine.wait_exit()
