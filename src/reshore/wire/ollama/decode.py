"""Requests of the native API: JSON to what a backend answers.

A request without prompt or messages is no question: it loads the model, or unloads it with
`keep_alive` 0. `Loading` says so; everything else is decoded into the nouns of `types`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from reshore.config import LimitsConfig
from reshore.errors import RequestError
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    Message,
    Options,
    ResponseFormat,
    Sampling,
)
from reshore.wire.ollama.fields import TABLE
from reshore.wire.ollama.messages import read_images, read_messages, read_tools, with_images
from reshore.wire.ollama.options import MIN_NUM_CTX, read_options
from reshore.wire.ollama.values import (
    read_format,
    read_keep_alive,
    read_think,
    read_top_logprobs,
)
from reshore.wire.openai import values
from reshore.wire.openai.reader import Decoded, Reader

R = TypeVar("R")

_KEEP_TOKENS = 4  # Ollama's default of `num_keep` (facts, section 1.5)


class Loading(Struct, frozen=True, kw_only=True):
    """A request that only loads or unloads a model.

    Attributes:
        keep_alive_s: as in `Options`; 0 unloads.
    """

    model: str
    keep_alive_s: float | None = None

    @property
    def unloads(self) -> bool:
        return self.keep_alive_s == 0


class Show(Struct, frozen=True, kw_only=True):
    """A request to describe a model; `verbose` asks for what is long, too."""

    model: str
    verbose: bool = False


def decode_chat(
    body: dict[str, Any], *, limits: LimitsConfig
) -> Decoded[ChatRequest] | Decoded[Loading]:
    """Read the body of `POST /api/chat`, as `parse_body` gives it.

    Raises:
        RequestError: malformed, or over a limit. What a local model cannot honour is not raised:
            see `Decoded.refused`.
    """
    reader = _reader(limits)
    reader.check(body, "ChatRequest")
    model = _model(body)
    common = _Common(body, reader)
    messages = read_messages(body, reader)
    tools = read_tools(body, reader)
    if not messages:
        return _decoded(Loading(model=model, keep_alive_s=common.keep_alive_s), body, reader)
    request = common.chat(model, messages)
    return _decoded(msgspec.structs.replace(request, tools=tools), body, reader)


def decode_generate(
    body: dict[str, Any], *, limits: LimitsConfig
) -> Decoded[ChatRequest] | Decoded[CompletionRequest] | Decoded[Loading]:
    """Read the body of `POST /api/generate`: a chat of one message, or with `raw` or `suffix` a
    completion.

    Raises:
        RequestError: as `decode_chat`.
    """
    reader = _reader(limits)
    reader.check(body, "GenerateRequest")
    model = _optional_text(body, "model")
    common = _Common(body, reader)
    prompt, suffix = _optional_text(body, "prompt"), _optional_text(body, "suffix")
    raw = values.optional(body, "raw", values.flag) or False
    context = _context(body)
    system = _optional_text(body, "system")
    if raw and (_optional_text(body, "template") or system or context):
        raise RequestError("raw mode does not support template, system, or context", param="raw")
    images = read_images(body.get("images"), "images", reader)
    if not prompt and not suffix and not images:
        return _decoded(Loading(model=model, keep_alive_s=common.keep_alive_s), body, reader)
    if raw or suffix:
        if images:
            reader.refuse("images", "a raw prompt has no place for them; leave raw out")
        if suffix and common.format.kind != "text":
            reader.refuse("format", "what is filled in between two texts has no format")
        # No template that could think, no messages to put before the prompt; and the engine itself
        # cuts what it fills in between.
        for name in ("think", "system", "context", *(("truncate",) if suffix else ())):
            if body.get(name):
                reader.ignore(name)
        request = common.completion(model, prompt, suffix or None)
        return _decoded(request, body, reader)
    messages = [Message(role="user", content=with_images(prompt, images))]
    if system:
        messages.insert(0, Message(role="system", content=system))
    chat = common.chat(model, tuple(messages))
    return _decoded(msgspec.structs.replace(chat, context=context), body, reader)


def decode_embed(
    body: dict[str, Any], *, limits: LimitsConfig
) -> Decoded[EmbedRequest] | Decoded[Loading]:
    """Read the body of `POST /api/embed`.

    Raises:
        RequestError: malformed.
    """
    reader = _reader(limits)
    reader.check(body, "EmbedRequest")
    model = _optional_text(body, "model")
    inputs = _inputs(body.get("input"))
    dimensions = values.optional(body, "dimensions", values.integer, 0, values.INT32_MAX)
    truncate = values.optional(body, "truncate", values.flag)
    options = _embedding_options(body, reader, truncate=truncate is not False)
    if not inputs:
        return _decoded(Loading(model=model, keep_alive_s=options.keep_alive_s), body, reader)
    request = EmbedRequest(
        model=model,
        inputs=inputs,
        dimensions=dimensions or None,
        prompt_name=_optional_text(body, "prompt_name") or None,
        options=options,
    )
    return _decoded(request, body, reader)


def decode_embeddings(
    body: dict[str, Any], *, limits: LimitsConfig
) -> Decoded[EmbedRequest] | Decoded[Loading]:
    """Read the body of `POST /api/embeddings`, the older endpoint.

    Raises:
        RequestError: malformed.
    """
    reader = _reader(limits)
    reader.check(body, "EmbeddingsRequest")
    model = _optional_text(body, "model")
    prompt = _optional_text(body, "prompt")
    options = _embedding_options(body, reader, truncate=True)
    if not prompt:
        return _decoded(Loading(model=model, keep_alive_s=options.keep_alive_s), body, reader)
    request = EmbedRequest(model=model, inputs=(prompt,), normalise=False, options=options)
    return _decoded(request, body, reader)


def decode_show(body: dict[str, Any], *, limits: LimitsConfig) -> Decoded[Show]:
    """Read the body of `POST /api/show`.

    Raises:
        RequestError: malformed.
    """
    reader = _reader(limits)
    reader.check(body, "ShowRequest")
    model = _optional_text(body, "model") or _optional_text(body, "name")
    if not model:
        raise RequestError("model is required", param="model")
    verbose = values.optional(body, "verbose", values.flag) or False
    return _decoded(Show(model=model, verbose=verbose), body, reader)


class _Common:
    """What chat and generate share, read once."""

    def __init__(self, body: dict[str, Any], reader: Reader) -> None:
        read = read_options(body.get("options"))
        for name in read.ignored:
            reader.ignore(f"options.{name}")
        self.sampling: Sampling = read.sampling
        self.keep_alive_s = read_keep_alive(body)
        self.format: ResponseFormat = read_format(body, reader)
        self.think = read_think(body)
        self.top_logprobs = read_top_logprobs(body)
        truncate = values.optional(body, "truncate", values.flag) is not False
        shift = values.optional(body, "shift", values.flag)
        if shift:
            reader.ignore("shift")  # an answer that meets the end of the context ends
        keep = _KEEP_TOKENS if read.num_keep is None else read.num_keep
        num_ctx = None if read.num_ctx is None or read.num_ctx <= 0 else read.num_ctx
        self.options = Options(
            keep_alive_s=self.keep_alive_s,
            num_ctx=None if num_ctx is None else max(num_ctx, MIN_NUM_CTX),
            truncate=truncate,
            keep_tokens=keep if truncate and shift is not False else None,
        )

    def chat(self, model: str, messages: tuple[Message, ...]) -> ChatRequest:
        return ChatRequest(
            model=model,
            messages=messages,
            response_format=self.format,
            sampling=self.sampling,
            options=self.options,
            top_logprobs=self.top_logprobs,
            thinking=self.think.thinking,
            reasoning_effort=self.think.effort,
        )

    def completion(self, model: str, prompt: str, suffix: str | None) -> CompletionRequest:
        return CompletionRequest(
            model=model,
            prompts=(prompt,),
            suffix=suffix,
            response_format=self.format,
            sampling=self.sampling,
            options=self.options,
            logprobs=self.top_logprobs,
        )


def _reader(limits: LimitsConfig) -> Reader:
    return Reader(lenient=True, limits=limits, table=TABLE)


def _decoded(request: R, body: dict[str, Any], reader: Reader) -> Decoded[R]:
    stream = values.optional(body, "stream", values.flag)
    return Decoded(
        request=request,
        raw=body,
        stream=stream is not False,
        ignored=reader.ignored,
        refused=reader.refused,
    )


def _model(body: dict[str, Any]) -> str:
    model = _optional_text(body, "model")
    if not model:
        raise RequestError("model is required", param="model")
    return model


def _optional_text(body: dict[str, Any], key: str) -> str:
    return values.optional(body, key, values.text) or ""


def _context(body: dict[str, Any]) -> tuple[int, ...]:
    listed = values.optional(body, "context", values.array)
    return tuple(
        values.integer(token, f"context[{i}]", 0, values.INT32_MAX)
        for i, token in enumerate(listed or ())
    )


def _inputs(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise RequestError("invalid input type", param="input")
    return tuple(listed)


def _embedding_options(body: dict[str, Any], reader: Reader, *, truncate: bool) -> Options:
    num_ctx = read_options(body.get("options")).num_ctx
    for name, value in (body.get("options") or {}).items():
        if name != "num_ctx" and value is not None:  # nothing is sampled
            reader.ignore(f"options.{name}")
    return Options(
        keep_alive_s=read_keep_alive(body),
        num_ctx=None if num_ctx is None or num_ctx < 0 else num_ctx,
        truncate=truncate,
    )
