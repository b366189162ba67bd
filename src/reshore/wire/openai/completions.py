"""Legacy completion requests: OpenAI's JSON to `CompletionRequest`."""

from __future__ import annotations

from typing import Any

from reshore.config import LimitsConfig
from reshore.types import CompletionRequest
from reshore.wire.openai import values
from reshore.wire.openai.generation import (
    read_choices,
    read_max_tokens,
    read_model,
    read_options,
    read_sampling,
    read_stream,
)
from reshore.wire.openai.prompts import read_prompts
from reshore.wire.openai.reader import Decoded, Reader

_DEFAULT_MAX_TOKENS = 16  # OpenAI's specification, CreateCompletionRequest.max_tokens
_MAX_PROMPTS = 2048  # as OpenAI limits arrays of inputs


def decode_completion(
    body: dict[str, Any], *, lenient: bool, limits: LimitsConfig
) -> Decoded[CompletionRequest]:
    """Read the body of `POST /v1/completions`, as `parse_body` gives it.

    `prompt` is required: OpenAI's default, its end-of-document token, means nothing to a local
    model.

    Raises:
        RequestError: malformed, over a limit, or a field that OpenAI does not know and `lenient`
            is not set. What only OpenAI could honour is not raised: see `Decoded.refused`.
    """
    reader = Reader(lenient=lenient, limits=limits)
    reader.check(body, "CreateCompletionRequest")
    model = read_model(body)
    prompt = values.required(body, "prompt")
    stream, include_usage = read_stream(body, reader)
    n = read_choices(body, reader) or 1
    logprobs = values.optional(body, "logprobs", values.integer, 0, 5)
    echo = values.optional(body, "echo", values.flag) or False
    if echo and logprobs is not None:
        reader.refuse("echo", "there are no logprobs for the prompt; send echo or logprobs")
    request = CompletionRequest(
        model=model,
        prompts=read_prompts(prompt, "prompt", empty_text=True, at_most=_MAX_PROMPTS),
        suffix=values.optional(body, "suffix", values.text),
        echo=echo,
        n=n,
        best_of=_best_of(body, n, stream, reader),
        logprobs=logprobs,
        sampling=read_sampling(body, _max_tokens(body, reader)),
        options=read_options(body),
    )
    return Decoded(
        request=request,
        raw=body,
        stream=stream,
        include_usage=include_usage,
        ignored=reader.ignored,
        refused=reader.refused,
    )


def _max_tokens(body: dict[str, Any], reader: Reader) -> int:
    if values.optional(body, "max_tokens", values.integer, 0, values.INT32_MAX) == 0:
        reader.refuse("max_tokens", "at least one token is generated; send 1 or more")
        return 1
    return read_max_tokens(body, "max_tokens") or _DEFAULT_MAX_TOKENS


def _best_of(body: dict[str, Any], n: int, stream: bool, reader: Reader) -> int | None:
    best_of = read_choices(body, reader, "best_of")
    if best_of is None:
        return None
    if best_of < n:
        raise values.invalid("best_of", f"it must be at least 'n', which is {n}")
    if stream and best_of > n:
        raise values.invalid("best_of", "more than 'n' cannot be streamed; set 'stream' to false")
    return best_of
