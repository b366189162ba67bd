"""What a model's own parameters (Ollama's params layer) add to a request. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from reshore.types import SYSTEM_ROLES, Message, Options, Sampling

# Ollama's parameter name -> the field of Sampling it sets.
_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "typical_p": "typical_p",
    "repeat_last_n": "repeat_last_n",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "num_predict": "max_tokens",
}


def with_model_defaults(sampling: Sampling, parameters: dict[str, Any]) -> Sampling:
    """`sampling` with the model's parameters wherever the request says nothing.

    Stop texts add up, as a model needs its own to end its turns.
    """
    if not parameters:
        return sampling
    changes: dict[str, Any] = {
        field: parameters[name]
        for name, field in _FIELDS.items()
        if name in parameters and getattr(sampling, field) is None
    }
    if changes.get("max_tokens", 1) <= 0:  # Ollama's -1 and -2: until the end
        del changes["max_tokens"]
    stop = parameters.get("stop", ())
    texts = (stop,) if isinstance(stop, str) else tuple(stop)
    if texts:
        changes["stop"] = sampling.stop + tuple(t for t in texts if t not in sampling.stop)
    return msgspec.structs.replace(sampling, **changes)


def with_model_options(options: Options, parameters: dict[str, Any]) -> Options:
    """`options` with the model's own `num_ctx` when the request has none."""
    if options.num_ctx is None and isinstance(parameters.get("num_ctx"), int):
        return msgspec.structs.replace(options, num_ctx=parameters["num_ctx"])
    return options


def with_own_messages(
    messages: tuple[Message, ...], system: str | None, examples: tuple[Message, ...]
) -> tuple[Message, ...]:
    """`messages` led by the model's own system prompt, unless they bring one, and its examples.

    The order is Ollama's: a system prompt of the request comes after the model's examples.
    """
    if not system or messages[0].role in SYSTEM_ROLES:
        return (*examples, *messages)
    return (Message(role="system", content=system), *examples, *messages)
