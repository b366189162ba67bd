"""What is read of a request that goes elsewhere, and the request with another model's name.

An upstream gets every field as it came: values are not parsed, only skipped, and their bytes are
put back one by one. A key that stands there twice goes on once, with its last value: what was
decided on is what the upstream reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from reshore.config import LimitsConfig
from reshore.wire.jsonbody import parse_body, too_deep
from reshore.wire.openai import values

T = TypeVar("T")

_members = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.encode

_TRUE = Raw(b"true")


class Envelope(Struct, frozen=True, kw_only=True):
    """The outside of a request.

    Attributes:
        model: the name the client asks for; "" where the endpoint needs none.
        include_usage: the client asked for its stream to end with the token counts.
        user: whom the client says the request is for.
        members: every field, not parsed, in the order in which it came.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    members: dict[str, Raw]

    def with_model(self, model: str, *, include_usage: bool = False) -> bytes:
        """The body for an upstream that knows the model as `model`; it has one then in any case.

        Args:
            include_usage: ask for the token counts of a stream. Where the client has not, they
                come in an event that it must not see (`hides_usage`).
        """
        changed = self.members | {"model": Raw(_encode(model))}
        if include_usage and self.stream and not self.include_usage:
            changed["stream_options"] = _asking(changed.get("stream_options"))
        return _encode(changed)

    @property
    def hides_usage(self) -> bool:
        """Whether token counts that were asked for in our name are not for the client."""
        return self.stream and not self.include_usage

    def value(self, key: str) -> Any:
        """One field, parsed; None when absent."""
        raw = self.members.get(key)
        return None if raw is None else msgspec.json.decode(raw)


def read_envelope(body: bytes, limits: LimitsConfig, *, needs_model: bool = True) -> Envelope:
    """One pass over the body, which parses nothing but a handful of small fields.

    Args:
        needs_model: whether a request without a model is an error.

    Raises:
        EmptyBody: there is nothing in it.
        RequestError: not a JSON object, nested deeper than `limits.depth`, or one of the fields
            read here has another type than it must have.
    """
    members = _read_members(body, limits)
    stream = _optional(members, "stream", values.flag) or False
    user = members.get("user")
    return Envelope(
        model=_model(members, needed=needs_model),
        stream=stream,
        include_usage=stream and _wants_usage(members),
        user=_as_text(user) if user is not None else None,
        members=members,
    )


def _read_members(body: bytes, limits: LimitsConfig) -> dict[str, Raw]:
    try:
        if too_deep(body, limits.depth):
            parse_body(body, limits)
        body.decode()
        return _members.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        parse_body(body, limits)  # says what is wrong
        raise


def _model(members: dict[str, Raw], *, needed: bool) -> str:
    if not needed and "model" not in members:
        return ""
    return values.filled_text(_parsed(values.required(members, "model"), "model"), "model")


def _wants_usage(members: dict[str, Raw]) -> bool:
    options = _optional(members, "stream_options", values.mapping)
    return options is not None and options.get("include_usage") is True


def _optional(members: dict[str, Raw], key: str, read: Callable[[Any, str], T]) -> T | None:
    raw = members.get(key)
    value = None if raw is None else _parsed(raw, key)
    return None if value is None else read(value, key)


def _parsed(raw: Raw, key: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:  # a number that no double holds
        raise values.invalid(key, "the number is out of range") from None


def _as_text(raw: Raw) -> str | None:
    """A text; what else it may be is its reader's business."""
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.ValidationError:
        return None


def _asking(options: Raw | None) -> Raw:
    given = _members.decode(options) if options is not None and bytes(options) != b"null" else {}
    return Raw(_encode(given | {"include_usage": _TRUE}))
