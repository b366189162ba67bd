"""Where calls come from and where they may go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import Struct

from reshore.backends.answer import HeaderList
from reshore.backends.base import Backend
from reshore.backends.remote import Remote
from reshore.types import Target


@dataclass(frozen=True)
class Backends:
    """Everything that answers: this machine, and upstreams by name."""

    local: Backend
    remotes: Mapping[str, Remote]

    def remote(self, target: Target) -> Remote:
        """The upstream of a cloud target."""
        return self.remotes[target.backend]


class Origin(Struct, frozen=True):
    """The request that a call is about; it may outlive it, as a mirrored copy.

    Attributes:
        headers: the client's, names in lower case; an upstream gets few of them.
        elapsed_ms: since the request arrived.
    """

    request_id: str
    headers: HeaderList
    elapsed_ms: Callable[[], float]
