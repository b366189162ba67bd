"""Where calls come from and where they may go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from msgspec import Struct

from reshore.backends.answer import HeaderList
from reshore.backends.base import Backend
from reshore.backends.remote import Remote
from reshore.types import ChatRequest, Reply, Target


@dataclass(frozen=True)
class Backends:
    """Everything that answers: this machine, and upstreams by name."""

    local: Backend
    remotes: Mapping[str, Remote]

    def remote(self, target: Target) -> Remote:
        """The upstream of a cloud target."""
        return self.remotes[target.backend]

    def chat(
        self, target: Target, request: ChatRequest, *, key: int = 0, request_id: str = ""
    ) -> AbstractAsyncContextManager[Reply]:
        """Ask any target; `request` names its model. Arguments and errors are those of the
        backends."""
        if target.side == "local":
            return self.local.chat(request)
        return self.remote(target).chat(request, key=key, request_id=request_id)


class Origin(Struct, frozen=True):
    """The request that a call is about; it may outlive it, as a mirrored copy.

    Attributes:
        headers: the client's, names in lower case; an upstream gets few of them.
        elapsed_ms: since the request arrived.
    """

    request_id: str
    headers: HeaderList
    elapsed_ms: Callable[[], float]
