"""Embedding requests: OpenAI's JSON to `EmbedRequest`."""

from __future__ import annotations

from typing import Any, Literal, cast

from reshore.config import LimitsConfig
from reshore.types import EmbedRequest
from reshore.wire.openai import values
from reshore.wire.openai.generation import read_model, read_options
from reshore.wire.openai.prompts import read_prompts
from reshore.wire.openai.reader import Decoded, Reader


def decode_embedding(
    body: dict[str, Any], *, lenient: bool, limits: LimitsConfig
) -> Decoded[EmbedRequest]:
    """Read the body of `POST /v1/embeddings`, as `parse_body` gives it.

    Any number of inputs is taken; the size of the body bounds it.

    Raises:
        RequestError: malformed, or a field that OpenAI does not know and `lenient` is not set.
    """
    reader = Reader(lenient=lenient, limits=limits)
    reader.check(body, "CreateEmbeddingRequest")
    request = EmbedRequest(
        model=read_model(body),
        inputs=read_prompts(values.required(body, "input"), "input", empty_text=False),
        dimensions=values.optional(body, "dimensions", values.integer, 1, values.INT32_MAX),
        prompt_name=values.optional(body, "prompt_name", values.filled_text),
        options=read_options(body),
    )
    encoding = values.optional(body, "encoding_format", values.one_of, ("float", "base64"))
    return Decoded(
        request=request,
        raw=body,
        encoding_format=cast(Literal["float", "base64"], encoding or "float"),
        ignored=reader.ignored,
        refused=reader.refused,
    )
