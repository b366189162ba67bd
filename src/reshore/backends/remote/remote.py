"""One upstream as a backend: bytes passed on, or typed requests answered."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import aiohttp

from reshore.backends.answer import Answer, HeaderList
from reshore.backends.remote.forward import Forwarded, forward
from reshore.backends.remote.headers import RequestHeaders
from reshore.backends.remote.keys import KeyRing
from reshore.backends.remote.listing import Listing
from reshore.backends.remote.peer import Peer
from reshore.backends.remote.raw import RawRequest, open_raw
from reshore.backends.remote.session import Door
from reshore.backends.remote.typed import embed, open_reply
from reshore.clock import Clock
from reshore.config import UpstreamConfig
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    Embeddings,
    EmbedRequest,
    ModelInfo,
    Reply,
    Target,
)
from reshore.wire.openai.request import write_chat, write_completion, write_embedding


class Remote:
    """One upstream, `[upstreams.NAME]`.

    Args:
        keys: its API keys (`config.read_keys`); none for one that needs none.
        session: from `open_session`, shared by all upstreams; the caller closes it.
        instance_id: of this process, for `via`.
        tls: how its certificate is checked; None: as the system does.

    All methods raise `Unreachable`, `BackendTimeout`, `BadReply`, `UpstreamStatus` or `Overloaded`,
    in none of which a key appears.
    """

    def __init__(
        self,
        name: str,
        config: UpstreamConfig,
        keys: Sequence[str],
        session: aiohttp.ClientSession,
        clock: Clock,
        instance_id: str,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self._key_count = len(keys)
        timeouts = config.timeouts()
        key_header = "api-key" if config.kind == "azure" else "authorization"
        self._peer = peer = Peer(
            name,
            base_url=config.base_url(),
            door=Door(session, tls or True, timeouts.connect_s),
            headers=RequestHeaders(instance_id, key_header=key_header),
            keys=KeyRing(keys, clock),
            timeouts=timeouts,
            clock=clock,
            max_connections=config.max_connections,
        )
        self._listing = Listing(peer, config.models)

    @property
    def key_count(self) -> int:
        """How many API keys are configured."""
        return self._key_count

    def model_name(self, name: str) -> str:
        """What this upstream calls the model that we call `name`."""
        return self.config.models.get(name, name)

    def open_raw(
        self,
        target: Target,
        path: str,
        body: bytes,
        headers: HeaderList,
        *,
        stream: bool,
        key: int = 0,
        keep_text: bool = False,
        hide_usage: bool = False,
        request_id: str = "",
    ) -> AbstractAsyncContextManager[Answer]:
        """Pass a request of OpenAI's dialect on, and its reply back, as they are.

        `body` holds the model's name as this upstream knows it (`Envelope.with_model` with
        `model_name`). For the other arguments, and for what it raises: `raw.RawRequest` and
        `raw.open_raw`.
        """
        request = RawRequest(
            target=target,
            path=path,
            body=body,
            headers=headers,
            stream=stream,
            key=key,
            keep_text=keep_text,
            hide_usage=hide_usage,
            request_id=request_id,
        )
        return open_raw(self._peer, request)

    def forward(
        self,
        target: Target,
        method: str,
        path: str,
        headers: HeaderList,
        body: AsyncIterator[bytes] | bytes | None = None,
        *,
        key: int = 0,
        request_id: str = "",
    ) -> AbstractAsyncContextManager[Answer]:
        """Pass on what has no codec here. See `forward.Forwarded` and `forward.forward`."""
        request = Forwarded(
            target=target,
            method=method,
            path=path,
            headers=headers,
            body=body,
            key=key,
            request_id=request_id,
        )
        return forward(self._peer, request)

    def chat(
        self, request: ChatRequest, *, key: int = 0, request_id: str = ""
    ) -> AbstractAsyncContextManager[Reply]:
        """Continue a conversation; what this upstream has no place for is named in the notices.

        Raises:
            Unsupported: it goes on from token ids.
        """
        model, usage = self.model_name(request.model), self.config.usage
        written = write_chat(request, model, self.config.kind, usage=usage)
        path = "/v1/chat/completions"
        return open_reply(self._peer, path, model, written, key=key, request_id=request_id)

    def complete(
        self, request: CompletionRequest, *, key: int = 0, request_id: str = ""
    ) -> AbstractAsyncContextManager[Reply]:
        """Continue raw text.

        Raises:
            Unsupported: the completion must have a shape.
        """
        model, usage = self.model_name(request.model), self.config.usage
        written = write_completion(request, model, self.config.kind, usage=usage)
        path = "/v1/completions"
        return open_reply(self._peer, path, model, written, key=key, request_id=request_id)

    async def embed(
        self, request: EmbedRequest, *, key: int = 0, request_id: str = ""
    ) -> Embeddings:
        """One vector per input."""
        model = self.model_name(request.model)
        written = write_embedding(request, model)
        inputs = len(request.inputs)
        return await embed(
            self._peer, model, written, inputs=inputs, key=key, request_id=request_id
        )

    async def load(self, model: str, *, keep_alive_s: float | None = None) -> float:
        """Nothing: an upstream loads its models itself."""
        return 0.0

    async def unload(self, model: str) -> None:
        """Nothing, as `load`."""

    async def models(self) -> Sequence[ModelInfo]:
        """What it lists, at most a minute old; nothing where it cannot be asked."""
        return await self._listing.models()

    async def health(self) -> float:
        """How many milliseconds it takes to list its models. Raises BackendError if it does not."""
        return await self._listing.ping()

    async def aclose(self) -> None:
        """Nothing: the session belongs to whoever opened it."""
