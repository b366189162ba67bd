"""What `decide` may know of a request. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Literal

from msgspec import Struct

from reshore.routing.content import Content, has_token_ids, read_content, texts
from reshore.routing.policy import Cloud, Local
from reshore.types import Side

Kind = Literal["chat", "completion", "embedding", "forward"]


def _without_headers(_: str) -> str | None:
    return None


class Asking(Struct, frozen=True, kw_only=True, dict=True):
    """One request, of which no more is read than the policy of its route needs.

    Belongs to its request's task.

    Attributes:
        name: the model's name as the client sent it; "" where it sent none.
        kind: `forward` is an endpoint that only upstreams have.
        user: the field `user`, "" without one.
        key: id of the API key (`Outcome.key`), None without keys.
        pin: the side that the header `x-reshore-route` asks for.
        target: an operator asks this model, whatever the routes say; privacy rules hold.
        header: the value of a request header by its name, in any case; None without it.
        load: decodes the body from JSON; called when something has to be known of it, and once.
    """

    name: str
    kind: Kind = "chat"
    user: str = ""
    key: str | None = None
    pin: Side | None = None
    target: Local | Cloud | None = None
    header: Callable[[str], str | None] = _without_headers
    load: Callable[[], Any] = dict

    @cached_property
    def content(self) -> Content:
        """The messages, and what is asked for, read leniently."""
        return read_content(self._body)

    def texts(self) -> Iterator[str]:
        """Every text anywhere in the body, for privacy rules."""
        return texts(self._body)

    def has_token_ids(self) -> bool:
        """Whether what it says is given as numbers, in which no text can be found."""
        return has_token_ids(self._body)

    def opening(self) -> bytes:
        """The messages up to the user's first one, as bytes: what a conversation is known by."""
        pieces = (
            "\x1f".join((turn.role, turn.text, *turn.links)) for turn in self.content.opening()
        )
        return "\x1e".join(pieces).encode("utf-8", "surrogatepass")

    def needs(self) -> frozenset[str]:
        """Capabilities that whoever answers must have: `vision`, `tools`, `embedding`."""
        found = {"embedding"} if self.kind == "embedding" else set()
        if self.content.tools:
            found.add("tools")
        if any(turn.images for turn in self.content.turns):
            found.add("vision")
        return frozenset(found)

    @cached_property
    def _body(self) -> Any:
        return self.load()
