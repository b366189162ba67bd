"""The fields that chat and completions share: sampling, engine options, streaming, choices."""

from __future__ import annotations

import math
from typing import Any

from reshore.config import parse_duration
from reshore.errors import RequestError
from reshore.types import Options, Sampling
from reshore.wire.openai import values
from reshore.wire.openai.fields import MAX_BIASES, MAX_CHOICES, MAX_STOPS
from reshore.wire.openai.reader import Reader
from reshore.wire.openai.values import INT32_MAX, INT64, optional

_MAX_N = 128  # OpenAI's own limit; between it and ours an upstream may still answer


def read_model(body: dict[str, Any]) -> str:
    """The name the client asks for, not resolved."""
    return values.filled_text(values.required(body, "model"), "model")


def read_sampling(body: dict[str, Any], max_tokens: int | None) -> Sampling:
    """How tokens are chosen; the limits are OpenAI's, for our extra fields llama.cpp's."""
    return Sampling(
        temperature=optional(body, "temperature", values.number, 0, 2),
        top_p=optional(body, "top_p", values.number, 0, 1),
        top_k=optional(body, "top_k", values.integer, 0, INT32_MAX),
        min_p=optional(body, "min_p", values.number, 0, 1),
        repeat_penalty=optional(body, "repeat_penalty", values.number, 0.01, 10),
        presence_penalty=optional(body, "presence_penalty", values.number, -2, 2),
        frequency_penalty=optional(body, "frequency_penalty", values.number, -2, 2),
        seed=optional(body, "seed", values.integer, -INT64, INT64 - 1),
        stop=optional(body, "stop", _stop) or (),
        max_tokens=max_tokens,
        logit_bias=optional(body, "logit_bias", _logit_bias) or {},
    )


def read_max_tokens(body: dict[str, Any], key: str) -> int | None:
    return optional(body, key, values.integer, 1, INT32_MAX)


def read_options(body: dict[str, Any]) -> Options:
    """What the request says about the engine."""
    return Options(
        keep_alive_s=optional(body, "keep_alive", _keep_alive),
        num_ctx=optional(body, "num_ctx", values.integer, 1, INT32_MAX),
    )


def read_stream(body: dict[str, Any], reader: Reader) -> tuple[bool, bool]:
    """Whether to stream, and whether the stream ends with its usage."""
    stream = optional(body, "stream", values.flag) or False
    options = body.get("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise values.invalid("stream_options", "it is only allowed when 'stream' is true")
    found = reader.check(options, "ChatCompletionStreamOptions", "stream_options")
    include_usage = found.get("include_usage")
    if include_usage is None:
        return stream, False
    return stream, values.flag(include_usage, "stream_options.include_usage")


def read_choices(body: dict[str, Any], reader: Reader, key: str = "n") -> int | None:
    """`n` or `best_of`: over our limit it is refused, over OpenAI's it is wrong."""
    count = optional(body, key, values.integer, 1, _MAX_N)
    if count is not None and count > MAX_CHOICES:
        reader.refuse(key, f"at most {MAX_CHOICES} choices are generated at once; send fewer")
        return MAX_CHOICES
    return count


def _stop(value: Any, param: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (values.filled_text(value, param),)
    if not isinstance(value, list):
        raise values.wrong_type(value, param, "a string or an array of strings")
    return tuple(
        values.filled_text(item, f"{param}[{i}]")
        for i, item in enumerate(values.array(value, param, MAX_STOPS))
    )


def _logit_bias(value: Any, param: str) -> dict[int, float]:
    biases = values.mapping(value, param)
    if len(biases) > MAX_BIASES:
        raise values.invalid(param, f"at most {MAX_BIASES} tokens, got {len(biases)}")
    found: dict[int, float] = {}
    for token, bias in biases.items():
        if not (token.isascii() and token.isdigit() and len(token) <= 10):
            raise values.invalid(param, f"'{values.clip(token)}' is not a token id")
        where = f"{param}.{token}"
        token_id = values.integer(int(token), where, 0, INT32_MAX)
        found[token_id] = values.number(bias, where, -100, 100)
    return found


def _keep_alive(value: Any, param: str) -> float:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise values.wrong_type(value, param, "a number of seconds or a duration such as '5m'")
    try:
        seconds = float(parse_duration(value))
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise RequestError(
            f"Invalid '{param}': write seconds (300), a duration ('5m', '1h30m') or -1 for ever.",
            param=param,
            code="invalid_value",
        )
    return seconds
