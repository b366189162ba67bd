"""Inputs of an embedding request cut to the context, when that is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from reshore.backends.budget import tokenize
from reshore.engine.base import Engine
from reshore.engine.client import EngineClient
from reshore.errors import ContextTooLong, RequestError
from reshore.types import Prompt

# More special tokens than any model puts around an input.
_SPECIALS = 8


async def fit_inputs(
    inputs: Sequence[Prompt],
    limit: int,
    engine: Engine,
    client: EngineClient,
    *,
    truncate: bool,
) -> tuple[list[Prompt], int]:
    """The inputs, each within `limit` tokens, and how many of them were cut.

    The special tokens that a model puts around an input count and stay; the text loses its end.
    An input whose bytes are fewer than the limit is not counted: no text has more tokens.

    Raises:
        ContextTooLong: one is too long for the request's `num_ctx`, and `truncate` is not set.
        RequestError: the limit leaves no room for any text.
    """
    fitted: list[Prompt] = []
    cut = 0
    for one in inputs:
        ids = await _ids(one, limit, engine, client)
        if ids is None or len(ids) <= limit:
            fitted.append(one)
            continue
        if not truncate:
            raise ContextTooLong(
                prompt_tokens=len(ids), context_length=limit, param="input", setting="num_ctx"
            )
        fitted.append(await _cut(one, ids, limit, engine, client))
        cut += 1
    return fitted, cut


async def _ids(
    one: Prompt, limit: int, engine: Engine, client: EngineClient
) -> Sequence[int] | None:
    """The tokens of an input, None for one that needs no counting."""
    if not isinstance(one, str):
        return one
    if len(one.encode()) + _SPECIALS <= limit:
        return None
    return await tokenize(client, engine, one)


async def _cut(
    one: Prompt, ids: Sequence[int], limit: int, engine: Engine, client: EngineClient
) -> Prompt:
    plain = await tokenize(client, engine, one, special=False) if isinstance(one, str) else ids
    specials = len(ids) - len(plain)
    if limit <= specials:
        raise RequestError("input after truncation exceeds maximum context length", param="input")
    head = next((n for n in range(specials + 1) if ids[n] == plain[0]), specials)
    tail = specials - head
    return (*ids[: limit - tail], *ids[len(ids) - tail :])
