"""Typed requests as the JSON that an upstream reads.

This is how clients of other dialects are answered from the cloud. What an upstream does not know is
left out and named, never sent in the hope that it is ignored: OpenAI answers an unknown field with
an error, and others drop it without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from reshore.config import UpstreamKind
from reshore.errors import Unsupported
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    ImagePart,
    Message,
    Options,
    Part,
    ResponseFormat,
    Sampling,
    Tool,
    ToolChoice,
)

# Sampling that OpenAI does not have, by the names it has elsewhere. Ollama's /v1 drops all of it.
_TOP = {"top_k": "top_k", "min_p": "min_p"}
_VLLM = _TOP | {"repeat_penalty": "repetition_penalty"}
_FURTHER: Mapping[UpstreamKind, Mapping[str, str]] = {
    "vllm": _VLLM,
    "sglang": _VLLM,
    "openrouter": _VLLM,
    "reshore": _TOP | {"repeat_penalty": "repeat_penalty"},
    "llama-server": _TOP
    | {
        "repeat_penalty": "repeat_penalty",
        "typical_p": "typical_p",
        "repeat_last_n": "repeat_last_n",
    },
}
_FURTHER_FIELDS = ("top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty")
_EVERYWHERE = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")

# OpenAI's reasoning models refuse `max_tokens`; other servers may not know its newer name.
_NEWER_MAX_TOKENS = frozenset({"openai", "azure"})
# They render prompts themselves, by templates that can switch thinking on and off.
_TEMPLATED = frozenset({"vllm", "sglang", "llama-server"})

# How a conversation that ends with words of the assistant's is gone on with and not answered.
# llama.cpp, and with it Ollama and reshore, does so unasked.
_CONTINUING: Mapping[UpstreamKind, Mapping[str, bool]] = {
    "vllm": {"continue_final_message": True, "add_generation_prompt": False},
    "sglang": {"continue_final_message": True},
}


class Written(Struct, frozen=True, kw_only=True):
    """A request's body, and the fields that had no place in it."""

    body: dict[str, Any]
    left_out: tuple[str, ...]


def write_chat(request: ChatRequest, model: str, kind: UpstreamKind, *, usage: bool) -> Written:
    """The body of `POST /v1/chat/completions`, streamed.

    Args:
        model: its name at the upstream.
        usage: the stream is to end with its token counts.

    Raises:
        Unsupported: it goes on from token ids, which mean something else to every model.
    """
    if request.context:
        raise Unsupported(
            "The context of an earlier reply holds token ids, which another model cannot read; "
            "send the conversation as messages.",
            param="context",
        )
    left_out = _left_out_options(request.options)
    body = _begin(model, usage=usage)
    body["messages"] = [_message(message, kind) for message in request.messages]
    if request.messages and _is_begun(request.messages[-1]):
        body |= _CONTINUING.get(kind, {})
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        _put_choice(body, request.tool_choice)
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    _put_format(body, request.response_format)
    if request.top_logprobs is not None:
        body["logprobs"], body["top_logprobs"] = True, request.top_logprobs
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.thinking is not None:
        if kind in _TEMPLATED:
            body["chat_template_kwargs"] = {"enable_thinking": request.thinking}
        else:
            left_out.append("think")
    limit = "max_completion_tokens" if kind in _NEWER_MAX_TOKENS else "max_tokens"
    left_out += _put_sampling(body, request.sampling, kind, limit=limit, n=request.n)
    return Written(body=body, left_out=tuple(left_out))


def write_completion(
    request: CompletionRequest, model: str, kind: UpstreamKind, *, usage: bool
) -> Written:
    """The body of `POST /v1/completions`, streamed.

    Raises:
        Unsupported: the completion must have a shape, for which this endpoint has no field.
    """
    if request.response_format.kind != "text":
        raise Unsupported(
            "A completion of raw text cannot be held to a format there; send a chat.",
            param="format",
        )
    left_out = _left_out_options(request.options)
    body = _begin(model, usage=usage)
    body["prompt"] = request.prompts[0] if len(request.prompts) == 1 else request.prompts
    for name in ("suffix", "best_of", "logprobs"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.echo:
        body["echo"] = True
    left_out += _put_sampling(body, request.sampling, kind, limit="max_tokens", n=request.n)
    return Written(body=body, left_out=tuple(left_out))


def write_embedding(request: EmbedRequest, model: str) -> Written:
    """The body of `POST /v1/embeddings`; vectors are asked for as bytes, a third of the digits."""
    left_out = _left_out_options(request.options)
    body: dict[str, Any] = {
        "model": model,
        "input": request.inputs,
        "encoding_format": "base64",
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if not request.normalise:
        left_out.append("normalise")
    if request.prompt_name is not None:
        left_out.append("prompt_name")
    return Written(body=body, left_out=tuple(left_out))


def _begin(model: str, *, usage: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "stream": True}
    if usage:
        body["stream_options"] = {"include_usage": True}
    return body


def _left_out_options(options: Options) -> list[str]:
    """What says something about an engine of ours."""
    named = {"keep_alive": options.keep_alive_s, "num_ctx": options.num_ctx}
    return [name for name, value in named.items() if value is not None]


def _put_sampling(
    body: dict[str, Any], sampling: Sampling, kind: UpstreamKind, *, limit: str, n: int
) -> list[str]:
    """Add how tokens are chosen; what had no place is returned."""
    for name in _EVERYWHERE:
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    left_out = []
    known = _FURTHER.get(kind, {})
    for name in _FURTHER_FIELDS:
        value = getattr(sampling, name)
        if value is not None and name in known:
            body[known[name]] = value
        elif value is not None:
            left_out.append(name)
    if sampling.max_tokens is not None and sampling.max_tokens >= 0:
        body[limit] = sampling.max_tokens
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    if n != 1:
        body["n"] = n
    return left_out


def _put_choice(body: dict[str, Any], choice: ToolChoice) -> None:
    if choice.mode == "named":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode != "auto":
        body["tool_choice"] = choice.mode


def _put_format(body: dict[str, Any], wanted: ResponseFormat) -> None:
    if wanted.kind == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif wanted.kind == "json_schema":
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {
                "name": wanted.name or "answer",
                "schema": wanted.schema,
                "strict": wanted.strict,
            },
        }


def _is_begun(last: Message) -> bool:
    return last.role == "assistant" and not last.tool_calls


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _message(message: Message, kind: UpstreamKind) -> dict[str, Any]:
    # Only OpenAI's own models know `developer`; reasoning is taken back by servers with templates,
    # and an error elsewhere (DeepSeek).
    role = message.role
    if role == "developer" and kind not in _NEWER_MAX_TOKENS:
        role = "system"
    body: dict[str, Any] = {"role": role, "content": _content(message.content)}
    if message.name is not None and role != "tool":
        body["name"] = message.name
    if message.reasoning is not None and kind in _TEMPLATED:
        body["reasoning_content"] = message.reasoning
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return body


def _content(content: str | tuple[Part, ...] | None) -> Any:
    if content is None or isinstance(content, str):
        return content
    return [
        {"type": "image_url", "image_url": {"url": part.url}}
        if isinstance(part, ImagePart)
        else {"type": "text", "text": part.text}
        for part in content
    ]
