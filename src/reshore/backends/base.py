"""The contract between routing and whatever answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from reshore.types import (
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    ModelInfo,
    Reply,
)


class Backend(Protocol):
    """Something that answers.

    `chat` and `complete` are context managers: entering waits until the request is admitted and
    the first chunk is known (so that errors still have a status), leaving, also by cancellation,
    frees the slot at once.

    Raises (all methods): `RequestError`, `Overloaded`, `EngineError`, `BackendError`.
    """

    def chat(self, request: ChatRequest) -> AbstractAsyncContextManager[Reply]: ...

    def complete(self, request: CompletionRequest) -> AbstractAsyncContextManager[Reply]: ...

    async def embed(self, request: EmbedRequest) -> Embeddings: ...

    async def load(self, model: str, *, keep_alive_s: float | None = None) -> float:
        """Have the model ready; for how many milliseconds it had to be waited for.

        keep_alive_s: as in `Options`.
        """
        ...

    async def unload(self, model: str) -> None:
        """Free the model's memory once its running requests have ended; nothing if it is free."""
        ...

    async def models(self) -> Sequence[ModelInfo]: ...

    async def aclose(self) -> None: ...
