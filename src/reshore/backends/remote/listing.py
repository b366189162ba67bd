"""Which models an upstream has, and whether it is there at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from reshore.backends.remote.peer import Peer
from reshore.errors import BackendError, BadReply
from reshore.types import ModelInfo
from reshore.wire.openai.listing import read_models

log = logging.getLogger("reshore.backends")

_PATH = "/v1/models"
_FRESH_S = 60.0
# A list is asked for while somebody waits, and of a server that does nothing else for it.
_PATIENCE_S = 5.0
# OpenRouter lists some hundred models in half a megabyte.
_LIST_BYTES = 16 * 1024 * 1024


class Listing:
    """The models of one upstream, asked for at most once a minute. Belongs to the event loop.

    Args:
        names: our names for models of the upstream, by which they are listed as well.
    """

    def __init__(self, peer: Peer, names: Mapping[str, str]) -> None:
        self._peer = peer
        self._names = names
        self._known: tuple[ModelInfo, ...] = ()
        self._asked_s: float | None = None
        self._asking = asyncio.Lock()

    async def models(self) -> tuple[ModelInfo, ...]:
        """What it lists, and what is configured to be there; of one that fails only the latter."""
        async with self._asking:
            now = self._peer.clock.monotonic()
            if self._asked_s is None or now - self._asked_s >= _FRESH_S:
                self._known = await self._ask_kindly()
                self._asked_s = now
        return self._known

    async def ping(self) -> float:
        """How many milliseconds it takes to list them. Raises BackendError if it does not."""
        started = asyncio.get_running_loop().time()
        await self._ask()
        return (asyncio.get_running_loop().time() - started) * 1000

    async def _ask_kindly(self) -> tuple[ModelInfo, ...]:
        try:
            theirs = await self._ask()
        except BackendError as error:
            log.warning("the models of %s are not listed: %s", self._peer.name, error)
            theirs = ()
        listed = {model.name for model in theirs}
        ours = tuple(
            ModelInfo(name=name, created_s=0, owned_by=self._peer.name)
            for name in self._names
            if name not in listed
        )
        return theirs + ours

    async def _ask(self) -> tuple[ModelInfo, ...]:
        peer = self._peer
        key = peer.pick_key("", 0)
        url, headers = peer.url(_PATH), peer.headers.make([], key)
        with peer.translated(f"did not list its models within {_PATIENCE_S:g} s"):
            async with (
                asyncio.timeout(_PATIENCE_S),
                await peer.door.request("GET", url, headers) as reply,
            ):
                if reply.status != 200:
                    await peer.refuse(reply, key, "")
                body = await peer.read(reply, _LIST_BYTES)
        try:
            return read_models(body, owner=peer.name)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadReply(
                f"{peer.name} answered {_PATH} with what is no list of models", backend=peer.name
            ) from error
