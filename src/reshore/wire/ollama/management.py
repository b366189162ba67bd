"""Requests of the native API that manage models: create, copy, delete, pull, push.

Fields we do not know are tolerated and named to the client, as everywhere under `/api`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from reshore.errors import RequestError

# Asks for what reshore cannot do; the reason is told.
_REFUSED = {
    "renderer": "it names code inside Ollama; the chat template of the GGUF file is used",
    "parser": "it names code inside Ollama; replies are read by the engine",
    "draft_files": "speculative decoding with a draft model is not supported",
    "draft_quantize": "speculative decoding with a draft model is not supported",
    "remote_host": "a model of another server is no model of this one",
    "path": "paths of the server are not read; upload the file to /api/blobs/sha256:... and name "
    "it in 'files'",
    "modelfile": "send its parts as 'from', 'files', 'system' and so on; "
    "`reshore create -f Modelfile` does that",
}


class Turn(Struct, frozen=True, kw_only=True):
    """A message of a model; fields for calls and images belong to no example turn."""

    role: Literal["system", "user", "assistant"]
    content: str = ""


class _Named(Struct, frozen=True, kw_only=True):
    """`name` is the older word for `model`."""

    model: str = ""
    name: str = ""

    @property
    def asked(self) -> str:
        """The model's name as the client wrote it."""
        return self.model or self.name


class CreateRequest(_Named, frozen=True, kw_only=True):
    """`POST /api/create`; the fields are those of Ollama."""

    from_: str | None = msgspec.field(default=None, name="from")
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str | None = None
    system: str | None = None
    license: str | list[str] | None = None
    parameters: dict[str, Any] | None = None
    messages: list[Turn] | None = None
    quantize: str | None = None
    quantization: str | None = None
    stream: bool | None = None

    @property
    def licenses(self) -> tuple[str, ...]:
        """The licences, none of them empty."""
        texts = [self.license] if isinstance(self.license, str) else self.license or []
        return tuple(text for text in texts if text)


class TransferRequest(_Named, frozen=True, kw_only=True):
    """`POST /api/pull` and `POST /api/push`."""

    insecure: bool | None = None
    stream: bool | None = None


class CopyRequest(Struct, frozen=True, kw_only=True):
    """`POST /api/copy`"""

    source: str = ""
    destination: str = ""


class DeleteRequest(_Named, frozen=True, kw_only=True):
    """`DELETE /api/delete`"""


T = TypeVar("T", CreateRequest, TransferRequest, CopyRequest, DeleteRequest)


def decode_management(body: dict[str, Any], kind: type[T]) -> tuple[T, tuple[str, ...]]:
    """The request, and the fields of it that have no effect.

    Raises:
        RequestError: a field has the wrong type, or asks for what cannot be done.
    """
    fields = {field.encode_name for field in msgspec.structs.fields(kind)}
    unknown: list[str] = [key for key in body if key not in fields and body[key]]
    for key in unknown:
        if kind is CreateRequest and key in _REFUSED:
            raise RequestError(f"'{key}' cannot be honoured: {_REFUSED[key]}", param=key)
    try:
        request = msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        param = text.rpartition("at `$.")[2].partition("`")[0] or None
        raise RequestError(f"the request is malformed: {text}", param=param) from error
    return request, (*unknown, *_unheard(body.get("messages")))


def _unheard(turns: Any) -> list[str]:
    """Fields of a model's messages that have no effect."""
    if not isinstance(turns, list):
        return []
    known = Turn.__struct_fields__
    return [
        f"messages[{place}].{key}"
        for place, turn in enumerate(turns)
        if isinstance(turn, dict)
        for key, value in turn.items()
        if key not in known and value
    ]
