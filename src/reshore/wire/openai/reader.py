"""One decoding: holds a request against the table of fields and remembers what it met."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from reshore.config import LimitsConfig
from reshore.errors import RequestError, Unsupported
from reshore.wire.openai.fields import TABLE, Field, Group, Rule
from reshore.wire.openai.values import clip, mapping, wrong_type

R = TypeVar("R")

_UNSAFE = re.compile(r"[^A-Za-z0-9_.\[\]-]")  # these names end in a response header
_INDEX = re.compile(r"\[\d+\]")
_MAX_IGNORED = 32


class Decoded(Struct, Generic[R], frozen=True, kw_only=True):
    """A request as we understand it, beside what we did not.

    Attributes:
        include_usage: the stream ends with the usage of the whole request.
        encoding_format: how embeddings are written; only for embeddings.
        ignored: harmless and leniently accepted fields that were present, safe for a header; at
            most 32, then `...`.
        refused: the first thing that only OpenAI could honour. A local backend raises it; an
            upstream gets `raw` as it came.
        raw: the body.
    """

    request: R
    raw: dict[str, Any]
    stream: bool = False
    include_usage: bool = False
    encoding_format: Literal["float", "base64"] = "float"
    ignored: tuple[str, ...] = ()
    refused: RequestError | None = None


class Reader:
    """The state of one decoding: belongs to the call that made it.

    Args:
        lenient: fields that the dialect does not know are accepted and listed.
        limits: of what one request may hold.
        table: every field of the dialect.
    """

    __slots__ = ("_ignored", "_table", "images", "lenient", "limits", "refused")

    def __init__(
        self, *, lenient: bool, limits: LimitsConfig, table: Mapping[str, Group] = TABLE
    ) -> None:
        self.lenient = lenient
        self.limits = limits
        self._table = table
        self.refused: RequestError | None = None
        self.images = 0
        self._ignored: dict[str, None] = {}

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names of accepted fields without effect, once each."""
        return tuple(self._ignored)

    def check(self, value: Any, group: str, where: str = "") -> dict[str, Any]:
        """The object `value` at path `where`, its keys held against the table's `group`.

        Raises:
            RequestError: not an object, an unknown field, or a harmless one of the wrong type.
        """
        found = mapping(value, where)
        fields = self._table[group].fields
        for key, item in found.items():
            field = fields.get(key)
            if field is None:
                self._unknown(key, where)
            elif field.rule is not Rule.HONOURED and item is not None:
                self._judge(field, item, f"{where}.{key}" if where else key)
        return found

    def refuse(self, param: str, reason: str) -> None:
        """Remember a refusal, if it is the first."""
        if self.refused is None:
            self.refused = Unsupported(f"'{param}' is not supported here: {reason}.", param=param)

    def _judge(self, field: Field, item: Any, param: str) -> None:
        if field.rule is Rule.HARMLESS:
            if field.kind is not None and not isinstance(item, field.kind):
                raise wrong_type(item, param, _KIND_NAMES[field.kind])
            self.ignore(param)
        elif not any(type(item) is type(value) and item == value for value in field.neutral):
            self.refuse(param, field.note)

    def _unknown(self, key: str, where: str) -> None:
        param = f"{where}.{clip(key)}" if where else clip(key)
        if not self.lenient:
            raise RequestError(
                f"Unrecognized request argument supplied: {param}",
                param=param,
                code="unknown_parameter",
            )
        self.ignore(param)

    def ignore(self, param: str) -> None:
        """Remember a field that is accepted without effect."""
        # One name for all messages: a header must not grow with the conversation.
        name = _UNSAFE.sub("?", _INDEX.sub("[]", param))
        if len(self._ignored) < _MAX_IGNORED:
            self._ignored[name] = None
        elif name not in self._ignored:
            self._ignored["..."] = None


_KIND_NAMES: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    dict: "an object",
    list: "an array",
}
