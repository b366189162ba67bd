"""What a request says outside of its body about where it may go, and its body, parsed when asked.

Headers of clients that begin with `x-reshore-` are read here and never sent on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from reshore.config import LimitsConfig
from reshore.errors import LoopDetected, RequestError
from reshore.types import Side
from reshore.wire.jsonbody import parse_body

Headers = Sequence[tuple[bytes, bytes]]

PIN = b"x-reshore-route"
_SIDES = ("local", "cloud")
_OURS = b"reshore-"
# Chains of gateways are short; what is longer goes round through something that drops `via`.
_HOPS = 5


class Body:
    """A JSON body: as bytes for upstreams, as an object for whoever has to look into it."""

    def __init__(self, raw: bytes, limits: LimitsConfig) -> None:
        self.raw = raw
        self._limits = limits
        self._parsed: dict[str, Any] | None = None

    def parsed(self) -> dict[str, Any]:
        """The JSON object. Raises as `parse_body`."""
        if self._parsed is None:
            self._parsed = parse_body(self.raw, self._limits)
        return self._parsed


def read_pin(headers: Headers, instance_id: str) -> Side | None:
    """The side that the client asks for, None if it does not.

    Raises:
        LoopDetected: the request has been here before, or has gone through too many of us.
        RequestError: the pin names no side.
    """
    pin: Side | None = None
    hops = 0
    for name, value in headers:
        if name == b"via":
            hops += _hops(value, instance_id)
        elif name == PIN and value:
            pin = _side(value)
    if hops > _HOPS:
        raise LoopDetected(
            f"The request has gone through {hops} reshores, more than the {_HOPS} that are "
            "allowed; see whether the `url` of an upstream leads back."
        )
    return pin


def header_reader(headers: Headers) -> Callable[[str], str | None]:
    """Finds the value of a header by its name, in any case."""

    def find(name: str) -> str | None:
        wanted = name.lower().encode("latin-1", "replace")
        return next((value.decode("latin-1") for key, value in headers if key == wanted), None)

    return find


def _hops(via: bytes, instance_id: str) -> int:
    """How many of us a `via` header names (RFC 9110, 7.6.3: `1.1 pseudonym (comment), …`)."""
    names = [words[1] for hop in via.split(b",") if len(words := hop.split()) > 1]
    ours = [name.lower() for name in names if name.lower().startswith(_OURS)]
    if _OURS + instance_id.encode() in ours:
        raise LoopDetected(
            "The request came back to the server that had sent it on: the `url` of one of its "
            "upstreams leads to itself."
        )
    return len(ours)


def _side(value: bytes) -> Side:
    side = value.decode("latin-1").strip().lower()
    if side not in _SIDES:
        raise RequestError(
            f"x-reshore-route is {ascii(side)[:40]}; it must be local or cloud.",
            param=PIN.decode(),
            code="invalid_value",
        )
    return cast(Side, side)
