"""Embeddings that an upstream made."""

from __future__ import annotations

import base64
import sys
from array import array

import msgspec
from msgspec import Struct

from reshore.errors import BadReply
from reshore.types import Embeddings
from reshore.wire.openai.glance import UsageBody

_FLOAT_BYTES = 4


class _Vector(Struct, gc=False):
    embedding: str | list[float]
    index: int | None = None


class _Reply(Struct, gc=False):
    data: list[_Vector]
    model: str | None = None
    usage: UsageBody | None = None


_reply = msgspec.json.Decoder(_Reply)


def read_embeddings(body: bytes, *, inputs: int, model: str, backend: str) -> Embeddings:
    """The reply of `POST /v1/embeddings`, with vectors as base64 or as numbers.

    Args:
        inputs: how many vectors there must be.
        model: who is said to have made them if the reply does not.
        backend: who sent it, for messages.

    Raises:
        BadReply: vectors are missing, of several lengths, or none at all.
    """
    try:
        reply = _reply.decode(body)
        ordered = sorted(
            enumerate(reply.data), key=lambda row: row[0] if row[1].index is None else row[1].index
        )
        vectors = tuple(_vector(row.embedding) for _, row in ordered)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadReply(
            f"{backend} answered with what are no embeddings ({error})", backend=backend
        ) from error
    lengths = {len(vector) for vector in vectors}
    if len(vectors) != inputs or len(lengths) != 1 or lengths.pop() % _FLOAT_BYTES:
        raise BadReply(
            f"{backend} answered {inputs} inputs with {len(vectors)} vectors that do not fit",
            backend=backend,
        )
    return Embeddings(
        model=reply.model or model,
        vectors=vectors,
        prompt_tokens=reply.usage.usage().prompt_tokens if reply.usage else 0,
    )


def _vector(embedding: str | list[float]) -> bytes:
    """Little-endian float32."""
    if isinstance(embedding, str):
        return base64.b64decode(embedding, validate=True)
    numbers = array("f", embedding)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
