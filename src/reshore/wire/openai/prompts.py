"""Text or token ids, one or many: the input of completions and of embeddings."""

from __future__ import annotations

from typing import Any

from reshore.types import Prompt
from reshore.wire.openai import values
from reshore.wire.openai.values import INT32_MAX

_EXPECTED = "a string, an array of strings, an array of token ids or an array of those"


def read_prompts(
    value: Any, param: str, *, empty_text: bool, at_most: int | None = None
) -> tuple[Prompt, ...]:
    """The inputs, in order; a lone string or list of token ids is one input.

    Raises:
        RequestError: another type, a mixture, an empty list, more than `at_most` inputs, or an
            empty string where `empty_text` is False.
    """
    if isinstance(value, str):
        return (_text(value, param, empty_text),)
    if not isinstance(value, list):
        raise values.wrong_type(value, param, _EXPECTED)
    first = values.filled_array(value, param)[0]
    if isinstance(first, int | float) and not isinstance(first, bool):
        return (_token_ids(value, param),)
    values.array(value, param, at_most)
    if isinstance(first, str):
        return tuple(_text(item, f"{param}[{i}]", empty_text) for i, item in enumerate(value))
    if isinstance(first, list):
        return tuple(
            _token_ids(values.filled_array(item, f"{param}[{i}]"), f"{param}[{i}]")
            for i, item in enumerate(value)
        )
    raise values.wrong_type(first, f"{param}[0]", "a string, a token id or an array of token ids")


def _text(value: Any, param: str, empty_text: bool) -> str:
    return values.text(value, param) if empty_text else values.filled_text(value, param)


def _token_ids(value: list[Any], param: str) -> tuple[int, ...]:
    # Long lists are ordinary here; only a bad one is walked element by element.
    if set(map(type, value)) == {int} and min(value) >= 0 and max(value) <= INT32_MAX:
        return tuple(value)
    return tuple(
        values.integer(item, f"{param}[{i}]", 0, INT32_MAX) for i, item in enumerate(value)
    )
