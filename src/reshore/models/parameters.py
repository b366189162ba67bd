"""The options that a model may carry (Ollama's params layer), with their types. Pure."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

from reshore.errors import RequestError

Kind = type[int] | type[float] | type[bool] | type[str]

# Ollama's options and the types it reads them with (ollama-api.md, section 1.5).
KINDS: MappingProxyType[str, Kind] = MappingProxyType(
    {
        "num_keep": int,
        "seed": int,
        "num_predict": int,
        "top_k": int,
        "top_p": float,
        "min_p": float,
        "typical_p": float,
        "repeat_last_n": int,
        "temperature": float,
        "repeat_penalty": float,
        "presence_penalty": float,
        "frequency_penalty": float,
        "stop": str,
        "num_ctx": int,
        "num_batch": int,
        "num_gpu": int,
        "main_gpu": int,
        "use_mmap": bool,
        "num_thread": int,
        "draft_num_predict": int,
    }
)

# Once options of Ollama, still found in Modelfiles: accepted, reported, without effect.
RETIRED = frozenset(
    {
        "embedding_only",
        "f16_kv",
        "logits_all",
        "low_vram",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "numa",
        "num_gqa",
        "penalize_newline",
        "rope_frequency_base",
        "rope_frequency_scale",
        "tfs_z",
        "use_mlock",
        "vocab_only",
    }
)

_NAMES = {int: "integer", float: "number", bool: "boolean", str: "string"}
_TRUTH = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
_I64 = 1 << 63


def typed_parameter(name: str, text: str) -> int | float | bool | str:
    """The value that a Modelfile writes as text.

    Raises:
        RequestError: there is no such option, or the text is no value of its type.
    """
    kind = _kind(name)
    try:
        if kind is bool:
            return _TRUTH[text.lower()]
        value = kind(text)
    except (ValueError, KeyError):
        raise _wrong(name, kind, text) from None
    return _checked(name, value)


def typed_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a JSON request: known names only, each of its type.

    A whole number may stand for a float and a single text for a list of stops; retired options are
    left out.

    Raises:
        RequestError: an option is unknown or of the wrong type.
    """
    return {
        name: _typed(name, value)
        for name, value in values.items()
        if name not in RETIRED and value is not None
    }


def stored_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a model's layer, which any program may have written.

    Options that we do not know stay as they are, to be shown; null says nothing, as in Ollama.

    Raises:
        RequestError: an option is of the wrong type.
    """
    return {
        name: _typed(name, value) if name in KINDS else value
        for name, value in values.items()
        if value is not None
    }


def _typed(name: str, value: Any) -> Any:
    kind = _kind(name)
    if kind is str:
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return texts
        raise _wrong(name, kind, value)
    if isinstance(value, bool) != (kind is bool) or not isinstance(value, int | float):
        raise _wrong(name, kind, value)
    if kind is int and value != int(value):
        raise _wrong(name, kind, value)
    return _checked(name, kind(value))


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise RequestError(
            f"unknown parameter {name[:80]!r}; known are {', '.join(sorted(KINDS))}",
            param=f"parameters.{name[:80]}",
        )
    return KINDS[name]


def _checked(name: str, value: int | float | bool | str) -> int | float | bool | str:
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(name, float, value)
    if isinstance(value, int) and not -_I64 <= value < _I64:
        raise _wrong(name, int, value)
    return value


def _wrong(name: str, kind: Kind, value: Any) -> RequestError:
    return RequestError(
        f'option "{name}" must be of type {_NAMES[kind]}, not {str(value)[:80]!r}',
        param=f"parameters.{name}",
    )
