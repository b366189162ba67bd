"""`options`: what a request says about sampling and about the engine.

Types are checked as Ollama checks them: an integer takes any number and drops its fraction, null
is as if the option were not there, and a wrong type is a `WrongOptionType` in Ollama's words. A
value that no sampler can use is brought to the nearest it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct

from reshore.errors import WrongOptionType
from reshore.types import Sampling
from reshore.wire.openai.values import INT32_MAX, INT64, mapping

Kind = Literal["integer", "float32", "boolean", "array"]

# Fewer tokens than this are no context (facts, section 1.5).
MIN_NUM_CTX = 4

_LARGEST_FLOAT = 3.4e38  # of 32 bits, which is what the samplers compute with


class Option(Struct, frozen=True, kw_only=True):
    """One option.

    Attributes:
        field: what it sets in `Sampling`; None for those read elsewhere or not at all.
        honoured: whether it changes anything.
        specified: whether Ollama's specification names it, and not only its documentation.
        low, high: the nearest values that the engine takes.
    """

    kind: Kind
    field: str | None = None
    note: str = ""
    honoured: bool = False
    specified: bool = False
    low: float = -_LARGEST_FLOAT
    high: float = _LARGEST_FLOAT


def _sampling(
    kind: Kind,
    field: str,
    note: str = "",
    *,
    low: float = -_LARGEST_FLOAT,
    high: float = _LARGEST_FLOAT,
    specified: bool = False,
) -> Option:
    return Option(
        kind=kind, field=field, note=note, honoured=True, specified=specified, low=low, high=high
    )


_PLACED = "how a model is loaded is set in `reshore.toml`, so that no request reloads it"

OPTIONS: Mapping[str, Option] = {
    "temperature": _sampling("float32", "temperature", "0 is greedy", low=0, specified=True),
    "top_k": _sampling(
        "integer", "top_k", "0 and below: off", low=0, high=INT32_MAX, specified=True
    ),
    "top_p": _sampling("float32", "top_p", low=0, high=1, specified=True),
    "min_p": _sampling("float32", "min_p", low=0, high=1, specified=True),
    "typical_p": _sampling("float32", "typical_p", "1 is off", low=0, high=1),
    "repeat_last_n": _sampling(
        "integer", "repeat_last_n", "0: off, -1: the context", low=-1, high=INT32_MAX
    ),
    "repeat_penalty": _sampling("float32", "repeat_penalty", "1 is off", low=0.01),
    "presence_penalty": _sampling("float32", "presence_penalty"),
    "frequency_penalty": _sampling("float32", "frequency_penalty"),
    "seed": _sampling(
        "integer", "seed", "-1: another one each time", low=-INT64, high=INT64 - 1, specified=True
    ),
    "num_predict": _sampling(
        "integer",
        "max_tokens",
        "below 0: until the model stops or the context ends",
        low=-1,
        high=INT32_MAX,
        specified=True,
    ),
    "stop": Option(
        kind="array",
        note="texts, or one; they add to the model's own",
        honoured=True,
        specified=True,
    ),
    "num_ctx": Option(
        kind="integer",
        note="limits the context; more than the engine has is clamped, which the header "
        "`x-reshore-num-ctx` tells; never reloads a model",
        honoured=True,
        specified=True,
        high=INT32_MAX,
        low=-1,
    ),
    "num_keep": Option(
        kind="integer",
        note="tokens that stay of the beginning of a raw prompt that is cut; 4 if not given, below "
        "0: as many as fit",
        honoured=True,
        low=-1,
        high=INT32_MAX,
    ),
    "num_batch": Option(kind="integer", note=_PLACED),
    "num_gpu": Option(kind="integer", note=_PLACED),
    "main_gpu": Option(kind="integer", note=_PLACED),
    "num_thread": Option(kind="integer", note=_PLACED),
    "use_mmap": Option(kind="boolean", note=_PLACED),
    "draft_num_predict": Option(kind="integer", note="no draft models are run"),
}


class ReadOptions(Struct, frozen=True, kw_only=True):
    """`options` as we understand them; `ignored` are the names without effect."""

    sampling: Sampling = Sampling()
    num_ctx: int | None = None
    num_keep: int | None = None
    ignored: tuple[str, ...] = ()


def read_options(value: Any) -> ReadOptions:
    """The `options` of a request; None is as good as none.

    Raises:
        RequestError: it is no object.
        WrongOptionType: a known option has a value of another type.
    """
    if value is None:
        return ReadOptions()
    fields: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    ignored = []
    for name, item in mapping(value, "options").items():
        if item is None:
            continue
        option = OPTIONS.get(name)
        if option is None:
            ignored.append(name)
            continue
        read = _READERS[option.kind](name, item)
        if not option.honoured:
            ignored.append(name)
        elif name == "stop":
            fields["stop"] = read
        else:
            read = type(read)(min(max(read, option.low), option.high))
            if option.field is None:
                sizes[name] = read
            else:
                fields[option.field] = read
    return ReadOptions(sampling=Sampling(**fields), ignored=tuple(ignored), **sizes)


def _wrong(name: str, kind: str) -> WrongOptionType:
    return WrongOptionType(f'option "{name}" must be of type {kind}', param=f"options.{name}")


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "integer")
    return int(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "float32")
    return float(max(min(value, _LARGEST_FLOAT), -_LARGEST_FLOAT))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "boolean")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """One text is taken too: Ollama's specification allows it, though its server does not."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise _wrong(name, "array")
    if not all(isinstance(item, str) for item in items):
        raise WrongOptionType(
            f'option "{name}" must be of an array of strings', param=f"options.{name}"
        )
    return tuple(item for item in items if item)


_READERS: Mapping[Kind, Callable[[str, Any], Any]] = {
    "integer": _integer,
    "float32": _number,
    "boolean": _flag,
    "array": _texts,
}
