"""How much prompt fits: `num_ctx`, and prompts that are hopeless before they are tokenized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.errors import ContextTooLong
from reshore.types import ChatRequest, ImagePart, Options, Sampling
from reshore.wire.llamacpp.replies import (
    decode_input_tokens,
    decode_prompt,
    decode_text,
    decode_tokens,
)

NUM_CTX_HEADER = "x-reshore-num-ctx"

# No vocabulary in use has an ordinary token longer than this many bytes (runs of 128 spaces are
# the longest known). A text longer than context * this cannot fit, and tokenizing it is what
# costs: measured on llama.cpp, 60 MB took 60 s before the engine refused it.
BYTES_PER_TOKEN = 256

_COUNT_TIMEOUT_S = 60.0

# What of a chat request decides the text of its prompt.
_TEMPLATE_FIELDS = frozenset({"messages", "tools", "chat_template_kwargs"})


def refuse_hopeless(text_bytes: int, context_length: int, param: str) -> None:
    """Raise ContextTooLong for a text that cannot fit whatever its tokens are."""
    if hopeless(text_bytes, context_length):
        least = text_bytes // BYTES_PER_TOKEN
        raise ContextTooLong(prompt_tokens=least, context_length=context_length, param=param)


def hopeless(text_bytes: int, context_length: int) -> bool:
    """Whether a text of so many bytes cannot fit whatever its tokens are."""
    return text_bytes // BYTES_PER_TOKEN > context_length


def chat_bytes(request: ChatRequest) -> int:
    """Characters of all text in a conversation: a lower bound of its bytes."""
    total = 0
    for message in request.messages:
        if isinstance(message.content, str):
            total += len(message.content)
        else:
            total += sum(
                len(part.text) for part in message.content or () if not isinstance(part, ImagePart)
            )
    return total


def clamp_num_ctx(options: Options, engine: Engine, notices: dict[str, str]) -> int | None:
    """The context a request is limited to, None for the engine's own.

    A larger `num_ctx` than the engine has is clamped and declared, never a reason to reload.
    """
    if options.num_ctx is None or options.num_ctx == engine.context_length:
        return None
    if options.num_ctx > engine.context_length:
        notices[NUM_CTX_HEADER] = str(engine.context_length)
        return None
    return options.num_ctx


async def count_chat(client: EngineClient, engine: Engine, body: dict[str, Any]) -> int:
    """Tokens of a conversation after the chat template, with those of its images.

    How many an image takes only its projector knows, and the engine once it has decoded it; what
    `/apply-template` puts in its place is a marker. Engines older than 2026.10 lack the other
    endpoint, so only images depend on it.
    """
    if not any(_has_image(message) for message in body["messages"]):
        return len(await tokenize(client, engine, await render(client, engine, body)))
    path, wanted = "/v1/chat/completions/input_tokens", _of_template(body)
    return decode_input_tokens(await client.post(engine, path, wanted, timeout_s=_COUNT_TIMEOUT_S))


async def render(client: EngineClient, engine: Engine, body: dict[str, Any]) -> str:
    """The prompt that the chat template makes of a conversation."""
    reply = await client.post(
        engine, "/apply-template", _of_template(body), timeout_s=_COUNT_TIMEOUT_S
    )
    return decode_prompt(reply)


def _of_template(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key in _TEMPLATE_FIELDS}


def _has_image(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(part["type"] == "image_url" for part in content)


async def tokenize(
    client: EngineClient, engine: Engine, text: str, *, special: bool = True
) -> list[int]:
    """Token ids of `text` as the engine would prefill it.

    `special`: with the tokens that the model puts around every prompt.
    """
    body = {"content": text, "add_special": special, "parse_special": True}
    return decode_tokens(await client.post(engine, "/tokenize", body, timeout_s=_COUNT_TIMEOUT_S))


async def detokenize(client: EngineClient, engine: Engine, tokens: Sequence[int]) -> str:
    """The text of token ids."""
    body = {"tokens": tokens}
    return decode_text(await client.post(engine, "/detokenize", body, timeout_s=_COUNT_TIMEOUT_S))


def limit_tokens(sampling: Sampling, *, prompt_tokens: int, num_ctx: int, param: str) -> Sampling:
    """`sampling` with what is left of `num_ctx` as the most it may generate.

    Raises:
        ContextTooLong: nothing is left.
    """
    room = num_ctx - prompt_tokens
    if room <= 0:
        raise ContextTooLong(
            prompt_tokens=prompt_tokens, context_length=num_ctx, param=param, setting="num_ctx"
        )
    asked = sampling.max_tokens
    most = room if asked is None or asked < 0 else min(room, asked)
    return msgspec.structs.replace(sampling, max_tokens=most)
