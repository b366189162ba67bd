"""Chat requests: OpenAI's JSON to `ChatRequest`."""

from __future__ import annotations

from typing import Any

from reshore.config import LimitsConfig
from reshore.types import ChatRequest
from reshore.wire.openai import values
from reshore.wire.openai.generation import (
    read_choices,
    read_max_tokens,
    read_model,
    read_options,
    read_sampling,
    read_stream,
)
from reshore.wire.openai.messages import read_messages
from reshore.wire.openai.reader import Decoded, Reader
from reshore.wire.openai.tools import read_response_format, read_tools

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def decode_chat(
    body: dict[str, Any], *, lenient: bool, limits: LimitsConfig
) -> Decoded[ChatRequest]:
    """Read the body of `POST /v1/chat/completions`, as `parse_body` gives it.

    Raises:
        RequestError: malformed, over a limit, or a field that OpenAI does not know and `lenient`
            is not set. What only OpenAI could honour is not raised: see `Decoded.refused`.
    """
    reader = Reader(lenient=lenient, limits=limits)
    reader.check(body, "CreateChatCompletionRequest")
    model = read_model(body)
    messages = read_messages(body, reader)
    tools, tool_choice = read_tools(body, reader)
    stream, include_usage = read_stream(body, reader)
    max_tokens = read_max_tokens(body, "max_tokens")
    newer = read_max_tokens(body, "max_completion_tokens")
    parallel = values.optional(body, "parallel_tool_calls", values.flag)
    request = ChatRequest(
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=True if parallel is None else parallel,
        response_format=read_response_format(body, reader),
        sampling=read_sampling(body, max_tokens if newer is None else newer),
        options=read_options(body),
        n=read_choices(body, reader) or 1,
        top_logprobs=_top_logprobs(body),
        reasoning_effort=values.optional(body, "reasoning_effort", values.one_of, _EFFORTS),
    )
    return Decoded(
        request=request,
        raw=body,
        stream=stream,
        include_usage=include_usage,
        ignored=reader.ignored,
        refused=reader.refused,
    )


def _top_logprobs(body: dict[str, Any]) -> int | None:
    wanted = values.optional(body, "logprobs", values.flag)
    top = values.optional(body, "top_logprobs", values.integer, 0, 20)
    if wanted:
        return top or 0
    if top is not None:
        raise values.invalid("top_logprobs", "it is only allowed when 'logprobs' is true")
    return None
