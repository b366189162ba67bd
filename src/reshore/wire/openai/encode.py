"""Replies that are one JSON object, and what the encoders of streams share with them."""

from __future__ import annotations

import math
import secrets
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from reshore.errors import BadReply
from reshore.types import Embeddings, ModelInfo, Usage

encode_json = msgspec.json.encode
"""JSON without spaces; NaN and infinities become null."""


def new_id(prefix: str) -> str:
    """`prefix` and 96 random bits in hex: unique without a counter to keep."""
    return prefix + secrets.token_hex(12)


def event(payload: Any) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % encode_json(payload)


DONE = b"data: [DONE]\n\n"
_MINUS_INFINITY = -9999.0  # what OpenAI writes for a token that cannot be


class Head(Struct, frozen=True, kw_only=True):
    """What every piece of one reply repeats; `created` is in seconds since the epoch."""

    id: str
    created: int
    model: str
    fingerprint: str

    def fields(self, kind: str) -> dict[str, Any]:
        """The first fields of an object of this `kind`, in OpenAI's order."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def error_body(
    message: str, type: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """OpenAI's error object; its SDKs read all four fields."""
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def encode_error(
    message: str, type: str, param: str | None = None, code: str | None = None
) -> bytes:
    """The body of an error reply."""
    return encode_json(error_body(message, type, param, code))


def error_event(
    message: str, type: str, param: str | None = None, code: str | None = None
) -> bytes:
    """The event that ends a stream that failed; the SDKs raise on it. No `[DONE]` follows."""
    return event(error_body(message, type, param, code))


def encode_model(model: ModelInfo) -> bytes:
    """The body of `GET /v1/models/{id}`."""
    return encode_json(_model(model))


def encode_models(models: Iterable[ModelInfo]) -> bytes:
    """The body of `GET /v1/models`."""
    return encode_json({"object": "list", "data": [_model(model) for model in models]})


def encode_embeddings(
    embeddings: Embeddings, encoding_format: Literal["float", "base64"] = "float"
) -> bytes:
    """The body of `POST /v1/embeddings`: numbers, or base64 of little-endian float32."""
    # msgspec writes bytes as base64
    written: Sequence[Any] = (
        embeddings.vectors
        if encoding_format == "base64"
        else [floats(vector) for vector in embeddings.vectors]
    )
    usage = {
        "prompt_tokens": embeddings.prompt_tokens,
        "total_tokens": embeddings.prompt_tokens,
    }
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(written)
    ]
    return encode_json({"object": "list", "data": data, "model": embeddings.model, "usage": usage})


def usage_body(usage: Usage, *, reasoned: bool = False) -> dict[str, Any]:
    """OpenAI's `usage`.

    Args:
        reasoned: there was reasoning; where nobody counted its tokens they are left out, not 0.
    """
    thought = 0 if usage.reasoning_tokens is None and not reasoned else usage.reasoning_tokens
    details = {
        "audio_tokens": usage.completion_audio_tokens,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "audio_tokens": usage.prompt_audio_tokens,
        },
        "completion_tokens_details": details
        if thought is None
        else {"reasoning_tokens": thought} | details,
    }


def add_usage(one: Usage | None, other: Usage) -> Usage:
    """The sum, field by field."""
    if one is None:
        return other
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        reasoning_tokens=_sum_known(one.reasoning_tokens, other.reasoning_tokens),
        prompt_audio_tokens=one.prompt_audio_tokens + other.prompt_audio_tokens,
        prompt_image_tokens=one.prompt_image_tokens + other.prompt_image_tokens,
        completion_audio_tokens=one.completion_audio_tokens + other.completion_audio_tokens,
        completion_image_tokens=one.completion_image_tokens + other.completion_image_tokens,
    )


def _sum_known(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def finite(logprob: float) -> float:
    """A log-probability that JSON can hold."""
    return logprob if math.isfinite(logprob) else _MINUS_INFINITY


def unfinished(model: str) -> BadReply:
    """The error for a generation that stopped without a finish reason."""
    return BadReply(
        f"The answer of '{model}' broke off before it was complete; send the request again.",
        backend=model,
        retryable=True,
    )


def _model(model: ModelInfo) -> dict[str, Any]:
    """OpenAI's four fields, then two of ours, by the names that clients of other servers read."""
    return {
        "id": model.name,
        "object": "model",
        "created": model.created_s,
        "owned_by": model.owned_by,
        "capabilities": model.capabilities,
        "context_length": model.context_length,
    }


def floats(vector: bytes) -> list[float]:
    """A vector of little-endian float32 as numbers."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
